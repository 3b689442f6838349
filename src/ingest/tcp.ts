import { createServer, type Server, type Socket } from 'node:net';
import { messageOf, SyncError } from '../core/errors.ts';
import { type Connection, isLoopback, type Receiver } from '../core/network.ts';
import type { Log } from './context.ts';
import type { Listener } from './listener.ts';

export interface TcpListenerOptions {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  /** Some above it, new connections are cut off without a word: `accept` turns the first of them away politely. */
  readonly maxConnections?: number;
  readonly log?: Log;
}

/** Connections beyond the limit that may be told so. */
const REFUSAL_RESERVE = 128;
const BACKLOG = 1_024;
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
  #address: { readonly host: string; readonly port: number };

  constructor(options: TcpListenerOptions, accept: (connection: Connection) => void) {
    this.#options = options;
    this.#accept = accept;
    this.#address = { host: options.host, port: options.port };
    // The protocol's heartbeat finds dead peers; keep-alive is for the balancers and firewalls on the way.
    const socketOptions = { noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_AFTER_MS };
    this.#server = createServer(socketOptions, (socket) => this.#connected(socket));
    if (options.maxConnections !== undefined) this.maxConnections = options.maxConnections;
  }

  get address(): { readonly host: string; readonly port: number } {
    return this.#address;
  }

  set maxConnections(count: number) {
    this.#server.maxConnections = count + REFUSAL_RESERVE;
  }

  async start(): Promise<void> {
    const { host, port, log } = this.#options;
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (error: NodeJS.ErrnoException) => reject(listenError(error, host, port)));
      this.#server.listen({ host, port, backlog: BACKLOG }, resolve);
    });
    this.#server.removeAllListeners('error');
    this.#server.on('error', (error) => log?.error({ err: error }, `tcp listener: ${messageOf(error)}`));
    const address = this.#server.address();
    if (address !== null && typeof address === 'object') this.#address = { host, port: address.port };
  }

  stop(): Promise<void> {
    // `close` calls back only once every connection has ended; nobody waits for that here.
    if (this.#server.listening) this.#server.close();
    return Promise.resolve();
  }

  async close(): Promise<void> {
    await this.stop();
    for (const connection of [...this.#connections]) connection.destroy();
  }

  #connected(socket: Socket): void {
    const connection = new TcpConnection(socket, () => this.#connections.delete(connection));
    this.#connections.add(connection);
    this.#accept(connection);
  }
}

/** Wraps a connected socket, of `node:net` or `node:tls`. */
export class TcpConnection implements Connection {
  readonly remoteAddress: string;
  readonly #socket: Socket;
  #receiver: Receiver | undefined;
  #error: Error | undefined;
  #isCorked = false;
  /** Something was written that the system did not take at once. */
  #hasGrown = false;

  constructor(socket: Socket, closed: () => void) {
    this.#socket = socket;
    this.remoteAddress = plainAddress(socket.remoteAddress);
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
    this.#socket.uncork();
    if (this.#socket.writableLength > 0) this.#hasGrown = true;
  };

  readonly #written = (): void => {
    if (!this.#hasGrown || this.#socket.writableLength > 0 || this.#socket.destroyed) return;
    this.#hasGrown = false;
    this.#receiver?.drain();
  };
}

/**
 * Whether the door may be opened at all: without tokens everybody who reaches it may write, so it stays on loopback.
 * @throws {SyncError} `listen_unprotected`.
 */
export function checkBind(host: string, hasAuth: boolean): void {
  if (hasAuth || isLoopback(host)) return;
  throw new SyncError(
    'listen_unprotected',
    `listen.tcp.host is ${host}, beyond loopback, and no token is set: everybody who reaches it could write; set SYNCLINE_TOKEN or producers, or listen on 127.0.0.1`,
  );
}

/** An IPv4 address that came in over an IPv6 socket counts as what it is. */
function plainAddress(address: string | undefined): string {
  return address === undefined ? 'unknown' : address.replace(/^::ffff:(?=\d+\.)/i, '');
}

function listenError(error: NodeJS.ErrnoException, host: string, port: number): SyncError {
  const hints: Record<string, string> = {
    EADDRINUSE: 'another process listens there; set listen.tcp.port to a free port or stop that process',
    EACCES: 'this user may not listen there; set listen.tcp.port to a port above 1023',
    EADDRNOTAVAIL: 'no interface of this machine has that address; correct listen.tcp.host',
    ENOTFOUND: 'the name does not resolve; correct listen.tcp.host',
  };
  const hint = hints[error.code ?? ''] ?? "see the system's message";
  return new SyncError('listen_failed', `cannot listen on ${host}:${port} (${error.code ?? messageOf(error)}): ${hint}`, { cause: error });
}
