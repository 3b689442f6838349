import type { Reply } from './replies.ts';

/** A command that waits for as many answers as it named channels. */
export interface ChannelCommand {
  readonly name: string;
  readonly args: readonly string[];
  resolve(value: unknown): void;
}

/** What ioredis keeps of the channels of one connection in RESP2, where a message looks like any reply. */
export class DriverChannels<C extends ChannelCommand> {
  readonly #names = new Set<string>();
  /** Until the number of channels that the server tells is 0. */
  #isSubscriber = false;
  /** How many answers a command has still to get. */
  readonly #missing = new Map<C, number>();
  readonly #onMessage: (channel: string, message: string) => void;

  constructor(onMessage: (channel: string, message: string) => void) {
    this.#onMessage = onMessage;
  }

  get isSubscriber(): boolean {
    return this.#isSubscriber;
  }

  get names(): readonly string[] {
    return [...this.#names];
  }

  /** Takes a reply; false when it answers the first command of the queue as any other. */
  take(reply: Reply, queue: C[]): boolean {
    const [kind, name, count] = Array.isArray(reply) ? (reply as readonly Reply[]) : [];
    if (!this.#isSubscriber) {
      const head = queue[0]?.name;
      if (head === 'subscribe') {
        this.#isSubscriber = true;
        this.#names.add(name as string);
      } else if (head !== 'unsubscribe') return false;
      this.#fill(queue, count as number);
      return true;
    }
    if (kind === 'message') this.#onMessage(name as string, count as string);
    else if (kind === 'subscribe') {
      this.#names.add(name as string);
      this.#fill(queue, count as number);
    } else if (kind === 'unsubscribe') {
      if (typeof name === 'string') this.#names.delete(name);
      if (count === 0) this.#isSubscriber = false;
      if (queue[0]?.name === 'unsubscribe') this.#fill(queue, count as number);
    } else return false;
    return true;
  }

  /** One more answer to the first command, which gives the last number that it was told. */
  #fill(queue: C[], count: number): void {
    const [command] = queue as [C];
    const left = this.#missing.get(command) ?? command.args.length;
    // To leave all channels there is an answer for each.
    if (left === 0 && count !== 0) return void this.#missing.set(command, 0);
    if (left > 1) return void this.#missing.set(command, left - 1);
    this.#missing.delete(command);
    queue.shift();
    command.resolve(count);
  }
}
