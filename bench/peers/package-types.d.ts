/** What is used of packages that are installed only where the peers run; the rest of the repository is checked without them. */

declare module 'bullmq' {
  interface Connection {
    readonly host: string;
    readonly port: number;
    readonly maxRetriesPerRequest?: null;
  }

  interface JobOptions {
    readonly attempts: number;
    readonly backoff: { readonly type: 'exponential'; readonly delay: number };
    readonly removeOnComplete: boolean;
  }

  interface Job<Data> {
    readonly data: Data;
    readonly attemptsMade: number;
    readonly opts: { readonly attempts?: number };
  }

  export class Queue<Data> {
    constructor(name: string, options: { readonly connection: Connection; readonly defaultJobOptions: JobOptions });
    waitUntilReady(): Promise<unknown>;
    addBulk(jobs: readonly { readonly name: string; readonly data: Data }[]): Promise<unknown>;
    close(): Promise<void>;
  }

  export class Worker<Data> {
    constructor(
      name: string,
      process: (job: Job<Data>) => Promise<unknown>,
      options: { readonly connection: Connection; readonly concurrency: number },
    );
    waitUntilReady(): Promise<unknown>;
    on(event: 'completed', listener: () => void): this;
    on(event: 'failed', listener: (job: Job<Data> | undefined, error: Error) => void): this;
    on(event: 'error', listener: (error: Error) => void): this;
    close(): Promise<void>;
  }
}

declare module 'amqplib' {
  export interface Message {
    readonly content: Buffer;
  }

  interface Channel {
    assertQueue(
      queue: string,
      options: { readonly durable: boolean; readonly arguments?: Readonly<Record<string, string>> },
    ): Promise<unknown>;
    prefetch(count: number): Promise<unknown>;
    consume(queue: string, listener: (message: Message | null) => void): Promise<unknown>;
    ack(message: Message, allUpTo?: boolean): void;
    close(): Promise<void>;
  }

  interface ConfirmChannel extends Channel {
    sendToQueue(
      queue: string,
      content: Buffer,
      options: { readonly persistent: boolean },
      confirmed: (error: Error | null) => void,
    ): boolean;
  }

  interface Connection {
    createChannel(): Promise<Channel>;
    createConfirmChannel(): Promise<ConfirmChannel>;
    close(): Promise<void>;
  }

  export function connect(url: string): Promise<Connection>;
}
