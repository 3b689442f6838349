import { createServer, type Server, type Socket } from 'node:net';
import { messageOf } from '../core/errors.ts';
import { type Connection, NOTICEABLE_BYTES, type Peer, type Receiver } from '../core/network.ts';
import { encodeFrame, FRAME } from '../protocol/frame.ts';
import { encodeError } from '../protocol/messages.ts';
import type { Log } from './context.ts';
import { Introductions, type ProxyOptions, type Secured, type TlsDoorOptions } from './introductions.ts';
import { listen } from './listen.ts';
import type { Listener } from './listener.ts';

export interface TcpListenerOptions {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  /** Some above it, new connections are cut off without a word: `accept` turns the first of them away politely. */
  readonly maxConnections?: number;
  readonly log?: Log;
  readonly proxy?: ProxyOptions;
  readonly tls?: TlsDoorOptions | undefined;
}

/** Connections beyond the limit that may be told so. */
const REFUSAL_RESERVE = 128;
const KEEP_ALIVE_AFTER_MS = 15_000;

/** The door for frames over TCP; `accept` takes every connection that comes. */
export function createTcpListener(options: TcpListenerOptions, accept: (connection: Connection) => void): Listener {
  return new TcpListener(options, accept);
}

class TcpListener implements Listener {
  readonly name = 'tcp';
  readonly #options: TcpListenerOptions;
  readonly #accept: (connection: Connection) => void;
  readonly #server: Server;
  readonly #connections = new Set<TcpConnection>();
  readonly #introductions: Introductions;
  #address: { readonly host: string; readonly port: number };

  constructor(options: TcpListenerOptions, accept: (connection: Connection) => void) {
    this.#options = options;
    this.#accept = accept;
    this.#introductions = new Introductions(
      options.proxy,
      ({ code, message }) => encodeFrame({ type: FRAME.error, payload: encodeError({ code, message }) }),
      options.tls,
    );
    this.#address = { host: options.host, port: options.port };
    // The protocol's heartbeat finds dead peers; keep-alive is for the balancers and firewalls on the way.
    const socketOptions = { noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_AFTER_MS };
    this.#server = createServer(socketOptions, (socket) =>
      this.#introductions.introduce(socket, (address, secured) => this.#take(socket, address, secured)),
    );
    if (options.maxConnections !== undefined) this.maxConnections = options.maxConnections;
  }

  get address(): { readonly host: string; readonly port: number } {
    return this.#address;
  }

  set maxConnections(count: number) {
    this.#server.maxConnections = count + REFUSAL_RESERVE;
  }

  async start(): Promise<void> {
    const { log } = this.#options;
    const failed = (error: Error) => log?.error({ err: error }, `tcp listener: ${messageOf(error)}`);
    this.#address = await listen(this.#server, this.#address, 'listen.tcp', failed);
  }

  stop(): Promise<void> {
    // `close` calls back only once every connection has ended; nobody waits for that here.
    if (this.#server.listening) this.#server.close();
    this.#introductions.close();
    return Promise.resolve();
  }

  async close(): Promise<void> {
    await this.stop();
    for (const connection of [...this.#connections]) connection.destroy();
  }

  #take(raw: Socket, address: string, secured?: Secured): void {
    const peer = secured && { certificateNames: secured.certificateNames };
    const connection = new TcpConnection(secured?.socket ?? raw, address, () => this.#connections.delete(connection), peer);
    this.#connections.add(connection);
    this.#accept(connection);
  }
}

/** Wraps a connected socket, of `node:net` or `node:tls`. */
export class TcpConnection implements Connection {
  readonly remoteAddress: string;
  readonly peer: Peer | undefined;
  readonly #socket: Socket;
  #receiver: Receiver | undefined;
  #error: Error | undefined;
  #isCorked = false;
  /** Something was written that the system did not take at once, or much in one turn. */
  #hasGrown = false;

  /** `remoteAddress` is the client's, which a balancer may have told. */
  constructor(socket: Socket, remoteAddress: string, closed: () => void, peer?: Peer) {
    this.#socket = socket;
    this.remoteAddress = remoteAddress;
    this.peer = peer;
    // Without a listener a reset connection would end the process.
    socket.on('error', (error) => {
      this.#error = error;
    });
    socket.on('close', () => {
      closed();
      this.#receiver?.close(this.#error);
    });
  }

  get bufferedBytes(): number {
    return this.#socket.writableLength;
  }

  open(receiver: Receiver): void {
    this.#receiver = receiver;
    this.#socket.on('data', (chunk: Buffer) => receiver.data(chunk));
    // It stands still where a header was read off it first.
    this.#socket.resume();
  }

  write(chunk: Uint8Array): void {
    if (!this.#socket.writable) return;
    if (!this.#isCorked) {
      // What is written in one turn leaves in one system call.
      this.#isCorked = true;
      this.#socket.cork();
      process.nextTick(this.#uncork);
    }
    this.#socket.write(chunk, this.#written);
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  end(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  readonly #uncork = (): void => {
    this.#isCorked = false;
    // The system may take it all at once; who held back meanwhile, because of what was corked, must be told all the same.
    if (this.#socket.writableLength >= NOTICEABLE_BYTES) this.#hasGrown = true;
    this.#socket.uncork();
    if (this.#socket.writableLength > 0) this.#hasGrown = true;
  };

  readonly #written = (): void => {
    if (!this.#hasGrown || this.#socket.writableLength > 0 || this.#socket.destroyed) return;
    this.#hasGrown = false;
    this.#receiver?.drain();
  };
}
