import type { Clock } from '../core/clock.ts';
import type { Connection, Peer, Receiver } from '../core/network.ts';

/** What this process is to its own sessions. */
const ADDRESS = '127.0.0.1';

export interface Loopback {
  /** For a client of this process. */
  readonly client: Connection;
  /** For `Sessions.accept`. */
  readonly server: Connection;
}

/**
 * A connection of this process with itself: what is written at one end arrives at the other at the end of the turn, in
 * order and without a copy. `peer` is what the server's end says of the client.
 */
export function createLoopback(clock: Clock, peer: Peer): Loopback {
  const client = new LoopbackEnd(clock, undefined);
  const server = new LoopbackEnd(clock, peer);
  client.join(server);
  server.join(client);
  return { client, server };
}

class LoopbackEnd implements Connection {
  readonly remoteAddress = ADDRESS;
  readonly peer: Peer | undefined;
  readonly #clock: Clock;
  #other!: LoopbackEnd;
  #receiver: Receiver | undefined;
  /** Written at this end and not yet taken by the other. */
  #chunks: Uint8Array[] = [];
  #bufferedBytes = 0;
  #isPaused = false;
  /** Nothing more is written at this end; what was is still delivered. */
  #isEnding = false;
  #isClosed = false;
  #isTold = false;
  #isAwaited = false;

  constructor(clock: Clock, peer: Peer | undefined) {
    this.#clock = clock;
    this.peer = peer;
  }

  join(other: LoopbackEnd): void {
    this.#other = other;
  }

  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  open(receiver: Receiver): void {
    this.#receiver = receiver;
    if (this.#isClosed) this.#clock.defer(this.#tellClosed);
    else this.#other.#deliverLater();
  }

  write(chunk: Uint8Array): void {
    if (this.#isEnding || this.#isClosed) return;
    this.#chunks.push(chunk);
    this.#bufferedBytes += chunk.length;
    this.#deliverLater();
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#other.#deliverLater();
  }

  end(): void {
    if (this.#isEnding || this.#isClosed) return;
    this.#isEnding = true;
    this.#deliverLater();
  }

  destroy(): void {
    this.#chunks = [];
    this.#bufferedBytes = 0;
    this.#closed();
    this.#other.#closed();
  }

  #deliverLater(): void {
    if (this.#isAwaited || this.#isClosed || (this.#chunks.length === 0 && !this.#isEnding)) return;
    this.#isAwaited = true;
    this.#clock.defer(this.#deliver);
  }

  readonly #deliver = (): void => {
    this.#isAwaited = false;
    const other = this.#other;
    if (this.#isClosed || other.#receiver === undefined) return;
    const chunks = this.#chunks;
    this.#chunks = [];
    for (let i = 0; i < chunks.length; i++) {
      if (other.#isPaused) {
        this.#chunks = [...chunks.slice(i), ...this.#chunks];
        return;
      }
      this.#bufferedBytes -= chunks[i]!.length;
      other.#receiver.data(chunks[i]!);
      if (this.#isClosed) return;
    }
    if (this.#chunks.length > 0) return this.#deliverLater();
    if (this.#isEnding) return this.destroy();
    if (chunks.length > 0) this.#receiver?.drain();
  };

  /** Told in a later turn, so that nobody is called back from within a call. */
  #closed(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#clock.defer(this.#tellClosed);
  }

  readonly #tellClosed = (): void => {
    if (this.#isTold || this.#receiver === undefined) return;
    this.#isTold = true;
    this.#receiver.close();
  };
}
