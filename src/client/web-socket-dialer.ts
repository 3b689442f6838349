import type { Clock, Timer } from '../core/clock.ts';
import type { Connection, Dialer, Receiver } from '../core/network.ts';

/** `bufferedAmount` has no event: how often it is looked at while it is not zero. */
const DRAIN_POLL_MS = 10;
/** A server may see nothing of a message before its end, and takes a peer that sends a long one over a slow line for dead. */
const MAX_MESSAGE_BYTES = 64 * 1024;
/** What may wait here while nobody takes it: the far end cannot be held back. A server sends far less. */
const MAX_HELD_BYTES = 16 * 1024 * 1024;

/**
 * Opens connections over the standard `WebSocket`, as browsers and Node have it. `url` is a `ws://` or `wss://` one, with path.
 */
export function createWebSocketDialer(url: string, clock: Clock): Dialer {
  return {
    connect: (signal) =>
      new Promise((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason as Error);
        const socket = new WebSocket(url);
        socket.binaryType = 'arraybuffer';
        const settle = (finish: () => void) => {
          signal.removeEventListener('abort', aborted);
          socket.removeEventListener('open', opened);
          socket.removeEventListener('close', closed);
          finish();
        };
        const opened = () => settle(() => resolve(new WebSocketConnection(socket, clock)));
        const aborted = () =>
          settle(() => {
            socket.close();
            reject(signal.reason as Error);
          });
        // Of an error the standard tells nothing; a close follows.
        const closed = ({ code }: CloseEvent) =>
          settle(() => reject(new Error(`${url} cannot be reached, or takes no WebSocket connection there (${code})`)));
        signal.addEventListener('abort', aborted);
        socket.addEventListener('open', opened);
        socket.addEventListener('close', closed);
      }),
  };
}

class WebSocketConnection implements Connection {
  readonly remoteAddress = '';
  readonly #socket: WebSocket;
  readonly #clock: Clock;
  #receiver: Receiver | undefined;
  /** What came while nobody took it. */
  #held: Uint8Array[] = [];
  #heldBytes = 0;
  #isPaused = false;
  #drain: Timer | undefined;
  /** Set when it is closed: with what the receiver is, or was, told. */
  #end: { readonly error: Error | undefined } | undefined;

  constructor(socket: WebSocket, clock: Clock) {
    this.#socket = socket;
    this.#clock = clock;
    socket.addEventListener('message', ({ data }: { readonly data: unknown }) => this.#received(data));
    socket.addEventListener('close', ({ code, reason, wasClean }) =>
      this.#closed(wasClean ? undefined : new Error(`the connection broke (${code}${reason === '' ? '' : ` ${reason}`})`)),
    );
  }

  get bufferedBytes(): number {
    return this.#socket.bufferedAmount;
  }

  open(receiver: Receiver): void {
    this.#receiver = receiver;
    this.#deliver();
    if (this.#end !== undefined) receiver.close(this.#end.error);
  }

  write(chunk: Uint8Array): void {
    if (this.#end !== undefined || this.#socket.readyState !== WebSocket.OPEN) return;
    for (let at = 0; at < chunk.length; at += MAX_MESSAGE_BYTES) {
      const message = chunk.length <= MAX_MESSAGE_BYTES ? chunk : chunk.subarray(at, at + MAX_MESSAGE_BYTES);
      // oxlint-disable-next-line typescript/no-unnecessary-type-assertion -- the types of browsers ask for it: shared memory cannot be sent, and is never here
      this.#socket.send(message as Uint8Array<ArrayBuffer>);
    }
    this.#drain ??= this.#clock.setTimer(DRAIN_POLL_MS, this.#watchDrain);
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#deliver();
  }

  end(): void {
    this.#socket.close(1000);
  }

  /** The standard has no way to drop what was not sent; nobody hears of it any more. */
  destroy(): void {
    this.#socket.close(1000);
    this.#closed(undefined);
  }

  #received(data: unknown): void {
    if (this.#end !== undefined) return;
    if (!(data instanceof ArrayBuffer)) return this.#fail('the server sent a text message, which the protocol does not have');
    const chunk = new Uint8Array(data);
    if (this.#receiver !== undefined && !this.#isPaused && this.#held.length === 0) return this.#receiver.data(chunk);
    this.#held.push(chunk);
    this.#heldBytes += chunk.length;
    if (this.#heldBytes > MAX_HELD_BYTES) this.#fail(`the server sent ${this.#heldBytes} bytes while nobody could take them`);
  }

  #deliver(): void {
    while (this.#receiver !== undefined && !this.#isPaused && this.#held.length > 0) {
      const chunk = this.#held.shift()!;
      this.#heldBytes -= chunk.length;
      this.#receiver.data(chunk);
    }
  }

  readonly #watchDrain = (): void => {
    this.#drain = undefined;
    if (this.#end !== undefined) return;
    if (this.#socket.bufferedAmount === 0) return this.#receiver?.drain();
    this.#drain = this.#clock.setTimer(DRAIN_POLL_MS, this.#watchDrain);
  };

  #fail(reason: string): void {
    this.#socket.close(1000);
    this.#closed(new Error(reason));
  }

  #closed(error: Error | undefined): void {
    if (this.#end !== undefined) return;
    this.#end = { error };
    this.#drain?.cancel();
    // What came before the end is still taken, unless that is what is in the way.
    if (!this.#isPaused) this.#deliver();
    this.#receiver?.close(error);
  }
}
