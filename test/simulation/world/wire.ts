/**
 * One end of a connection between two processes: messages arrive in order, or the connection ends. A message is a chunk
 * of bytes or any value that neither side changes afterwards.
 */
export interface Wire {
  readonly peer: string;
  /** Messages sent from this end that the other has not received yet, in the sizes that were given. */
  readonly inFlightBytes: number;
  /** Installs the receiver; what came before is delivered to it. Called once. */
  open(receiver: WireReceiver): void;
  send(message: unknown, bytes?: number): void;
  /** Holds back what arrives, and goes on: the peer sees its {@link inFlightBytes} grow. */
  pause(): void;
  resume(): void;
  /** The peer receives what was sent, then the end. This end receives nothing more. */
  close(): void;
  /** Ends at once: part of what is under way is lost. */
  reset(): void;
}

/** Messages that were sent at once, and travel as one: when a connection breaks, the first of them may still arrive. */
export class Together {
  readonly messages: readonly unknown[];

  constructor(messages: readonly unknown[]) {
    this.messages = messages;
  }
}

export interface WireReceiver {
  message(message: unknown): void;
  /** Called once, with the reason when the connection broke; not after {@link Wire.close} or {@link Wire.reset} of this end. */
  closed(error?: Error): void;
  /** Whether it wants to hear of what has {@link moved}. */
  awaitsMoves?(): boolean;
  /** Something that was in flight has arrived. */
  moved?(): void;
}
