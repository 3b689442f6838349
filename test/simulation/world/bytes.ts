import type { Connection, Dialer, Receiver } from '../../../src/core/network.ts';
import type { Host } from './host.ts';
import type { Network } from './network.ts';
import type { Wire } from './wire.ts';

/** What a kernel takes over from a process that writes. */
const SOCKET_BUFFER_BYTES = 64 * 1024;

/** A wire as the byte connection that sessions and clients know. */
export class ByteConnection implements Connection {
  readonly remoteAddress: string;
  readonly #wire: Wire;
  #receiver: Receiver | undefined;
  #hasGrown = false;
  #isClosed = false;

  constructor(wire: Wire, remoteAddress = '127.0.0.1') {
    this.#wire = wire;
    this.remoteAddress = remoteAddress;
  }

  get bufferedBytes(): number {
    return Math.max(0, this.#wire.inFlightBytes - SOCKET_BUFFER_BYTES);
  }

  open(receiver: Receiver): void {
    this.#receiver = receiver;
    this.#wire.open({
      message: (chunk) => receiver.data(chunk as Uint8Array),
      closed: (error) => this.#closed(error),
      awaitsMoves: () => this.#hasGrown,
      moved: () => {
        if (!this.#hasGrown || this.bufferedBytes > 0) return;
        this.#hasGrown = false;
        receiver.drain();
      },
    });
  }

  write(chunk: Uint8Array): void {
    // A copy: the bytes that travel are those that were written, whatever becomes of the sender's memory.
    this.#wire.send(Uint8Array.from(chunk), chunk.length);
    if (this.bufferedBytes > 0) this.#hasGrown = true;
  }

  pause(): void {
    this.#wire.pause();
  }

  resume(): void {
    this.#wire.resume();
  }

  end(): void {
    this.#wire.close();
    this.#closeSoon();
  }

  destroy(): void {
    this.#wire.reset();
    this.#closeSoon();
  }

  /** Whoever closes is told so as well, as by a socket. */
  #closeSoon(): void {
    queueMicrotask(() => this.#closed(undefined));
  }

  #closed(error: Error | undefined): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#receiver?.close(error);
  }
}

/** A dialer of the process on `host`, for service `name`. */
export function dialerTo(network: Network, host: Host, name: string): Dialer {
  return {
    async connect(signal) {
      signal.throwIfAborted();
      const wire = await network.dial(host, name);
      if (signal.aborted) {
        wire.reset();
        signal.throwIfAborted();
      }
      return new ByteConnection(wire);
    },
  };
}
