import { createServer, type Server, type Socket } from 'node:net';
import type { Clock } from '../core/clock.ts';
import { messageOf, SyncError } from '../core/errors.ts';
import type { Connection, Receiver } from '../core/network.ts';
import { encodeFrame, FRAME } from '../protocol/frame.ts';
import { encodeError } from '../protocol/messages.ts';
import { type AddressRanges, createAddressRanges, plainAddress } from './address-ranges.ts';
import type { Log } from './context.ts';
import type { Listener } from './listener.ts';
import type { ProxyHeader } from './proxy-header.ts';
import { receiveProxyHeader } from './receive-proxy-header.ts';

export interface TcpListenerOptions {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  /** Some above it, new connections are cut off without a word: `accept` turns the first of them away politely. */
  readonly maxConnections?: number;
  readonly log?: Log;
  readonly proxy?: ProxyOptions;
}

/** Balancers that say in a PROXY protocol header for whom they connect. */
export interface ProxyOptions {
  /** Addresses and ranges: a connection from one of them must begin with a header, and no other is believed one. */
  readonly from: readonly string[];
  readonly clock: Clock;
  /** A connection from the balancer `address` is closed, because its header is missing or wrong. */
  readonly refused: (address: string, error: SyncError) => void;
}

/** Connections beyond the limit that may be told so. */
const REFUSAL_RESERVE = 128;
const BACKLOG = 1_024;
const KEEP_ALIVE_AFTER_MS = 15_000;
/** How long a peer may take to read why it is refused. */
const REFUSAL_DEADLINE_MS = 1_000;

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
  readonly #balancers: AddressRanges | undefined;
  /** Connections of balancers that have not said yet for whom they are, or that are told why they are refused. */
  readonly #unintroduced = new Set<Socket>();
  #address: { readonly host: string; readonly port: number };

  constructor(options: TcpListenerOptions, accept: (connection: Connection) => void) {
    this.#options = options;
    this.#accept = accept;
    this.#balancers = options.proxy && createAddressRanges(options.proxy.from);
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
    for (const socket of [...this.#unintroduced]) socket.destroy();
    return Promise.resolve();
  }

  async close(): Promise<void> {
    await this.stop();
    for (const connection of [...this.#connections]) connection.destroy();
  }

  #connected(socket: Socket): void {
    const address = plainAddress(socket.remoteAddress ?? 'unknown');
    const { proxy } = this.#options;
    if (proxy !== undefined && this.#balancers?.includes(address)) void this.#introduce(socket, address, proxy);
    else this.#take(socket, address);
  }

  #take(socket: Socket, address: string): void {
    const connection = new TcpConnection(socket, address, () => this.#connections.delete(connection));
    this.#connections.add(connection);
    this.#accept(connection);
  }

  async #introduce(socket: Socket, balancer: string, proxy: ProxyOptions): Promise<void> {
    this.#unintroduced.add(socket);
    const gone = () => void this.#unintroduced.delete(socket);
    socket.once('close', gone);
    // Without a listener a reset connection would end the process.
    socket.on('error', () => {});
    let header: ProxyHeader | undefined;
    try {
      header = await receiveProxyHeader(socket, proxy.clock);
    } catch (error) {
      if (!(error instanceof SyncError)) throw error;
      if (!this.#server.listening) return;
      proxy.refused(balancer, error);
      return refuse(socket, error, proxy.clock);
    }
    if (header === undefined || socket.destroyed) return void socket.destroy();
    socket.off('close', gone);
    gone();
    this.#take(socket, header.source ?? balancer);
  }
}

/** Says why, for the client behind a balancer that sends no header; what still comes is thrown away. */
function refuse(socket: Socket, { code, message }: SyncError, clock: Clock): void {
  if (socket.destroyed) return;
  const deadline = clock.setTimer(REFUSAL_DEADLINE_MS, () => socket.destroy());
  socket.once('close', () => deadline.cancel());
  socket.resume();
  socket.end(encodeFrame({ type: FRAME.error, payload: encodeError({ code, message }) }));
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

  /** `remoteAddress` is the client's, which a balancer may have told. */
  constructor(socket: Socket, remoteAddress: string, closed: () => void) {
    this.#socket = socket;
    this.remoteAddress = remoteAddress;
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
    this.#socket.uncork();
    if (this.#socket.writableLength > 0) this.#hasGrown = true;
  };

  readonly #written = (): void => {
    if (!this.#hasGrown || this.#socket.writableLength > 0 || this.#socket.destroyed) return;
    this.#hasGrown = false;
    this.#receiver?.drain();
  };
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
