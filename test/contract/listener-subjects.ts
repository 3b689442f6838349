import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Connection } from '../../src/core/network.ts';
import type { TlsMaterial } from '../../src/core/tls-material.ts';
import type { IngestSettings, Log } from '../../src/ingest/context.ts';
import type { ProxyOptions, TlsDoorOptions } from '../../src/ingest/introductions.ts';
import type { Listener } from '../../src/ingest/listener.ts';
import { createTcpListener } from '../../src/ingest/tcp.ts';
import { TlsTerminator } from '../../src/ingest/tls-terminator.ts';
import type { WebDoor, WebEngine } from '../../src/ingest/web/engine.ts';
import type { WebEngineOptions } from '../../src/ingest/web/engine-options.ts';
import { createNodeEngine } from '../../src/ingest/web/node-engine.ts';
import { loadUws } from '../../src/ingest/web/uws.ts';
import { createUwsEngine } from '../../src/ingest/web/uws-engine.ts';
import { createWebSocketDoor, notFound } from '../../src/ingest/web/websocket.ts';
import type { Certificate } from '../support/certificate.ts';
import { upgradeRequest, WebSocketPeer } from '../support/web-socket-peer.ts';

/** A listener that the contract is run over, and the way to it. */
export interface ListenerSubject {
  readonly name: string;
  /** Where its address is configured. */
  readonly option: 'listen.tcp' | 'listen.web';
  /** Whether a peer that sends without credit is held back by flow control; else it is cut off at a bound. */
  readonly holdsBack: boolean;
  /** Versions of the PROXY header that it reads. */
  readonly proxyVersions: readonly (1 | 2)[];
  create(options: SubjectOptions, accept: (connection: Connection) => void): Omit<Listener, 'name'>;
  /** Connects; `take` gets what comes, which may be cut anywhere. */
  dial(port: number, take: (bytes: Buffer) => void, options?: DialOptions): Promise<Wire>;
  /** Does on a connected socket what a client begins with, without a word of the protocol; rejects when it is refused. */
  greet(socket: Socket): Promise<unknown>;
  /** The same where it is refused: what is said then. */
  refusedGreeting(socket: Socket): Promise<string>;
}

export interface SubjectOptions {
  readonly host: string;
  readonly port: number;
  readonly settings: IngestSettings;
  readonly log: Log;
  readonly proxy: ProxyOptions;
  readonly tls?: TlsDoorOptions;
}

export interface DialOptions {
  /** What is sent before anything else, as by a balancer. */
  readonly header?: string | Uint8Array;
  /** The end of the other side is not answered. */
  readonly allowHalfOpen?: boolean;
}

/** The client's end. */
export interface Wire {
  readonly socket: Socket;
  /** Sends `bytes` as the transport carries them. */
  write(bytes: Uint8Array): void;
  /** Ends the connection with a reset. */
  reset(): void;
}

/** Makes the connection that a client speaks through of one that is made. */
type Secure = (raw: Socket) => Promise<Socket>;

const MIB = 1024 * 1024;

const asItIs: Secure = (raw) => Promise.resolve(raw);

export const tcpSubject: ListenerSubject = tcpOver('TCP', asItIs);

export const wsSubject: ListenerSubject = wsOver('WebSocket on node:http', asItIs);

/** The same two over TLS, with `certificate` at the door. */
export function tlsSubjects({ cert, key }: Certificate): ListenerSubject[] {
  const material: TlsMaterial = {
    ...{ cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') },
    ...{ clientCertificates: 'off', minVersion: 'TLSv1.2' },
  };
  const secure: Secure = async (raw) => {
    // Half open as the socket beneath it.
    const socket = connectTls({ socket: raw, rejectUnauthorized: false });
    await once(socket, 'secureConnect');
    socket.on('error', () => {});
    return socket;
  };
  const withTls = (subject: ListenerSubject): ListenerSubject => ({
    ...subject,
    create: (options, accept) => {
      const terminator = new TlsTerminator(material, options.proxy.clock);
      return subject.create({ ...options, tls: { terminator, clock: options.proxy.clock, refused: () => {} } }, accept);
    },
  });
  return [tcpOver('TCP with TLS', secure), wsOver('WebSocket on node:http with TLS', secure)].map(withTls);
}

function tcpOver(name: string, secure: Secure): ListenerSubject {
  return {
    name,
    option: 'listen.tcp',
    holdsBack: true,
    proxyVersions: [1, 2],
    create: ({ host, port, settings: { maxConnections }, log, proxy, tls }, accept) =>
      createTcpListener({ host, port, maxConnections, log, proxy, tls }, accept),
    async dial(port, take, options) {
      const raw = await dialSocket(port, options);
      const socket = await secure(raw);
      socket.on('data', take);
      return { socket, write: (bytes) => void socket.write(bytes), reset: () => void raw.resetAndDestroy() };
    },
    greet: (socket) => secure(socket),
    refusedGreeting(socket) {
      socket.write('no header');
      return everythingOf(socket);
    },
  };
}

function wsOver(name: string, secure: Secure): ListenerSubject {
  return { name, holdsBack: true, proxyVersions: [1, 2], ...webSubject(createNodeEngine, secure) };
}

/** Only where uWebSockets.js loads. */
export function uwsSubject(): ListenerSubject {
  const uws = loadUws();
  if (typeof uws === 'string') throw new Error(`uWebSockets.js does not load: ${uws}`);
  return {
    name: 'WebSocket on uWebSockets.js',
    holdsBack: false,
    proxyVersions: [2],
    ...webSubject((options, door) => createUwsEngine(uws, options, door), asItIs),
  };
}

/** What an engine is created with, with limits that tests can reach. */
export function engineOptions({ host, port, settings, log, proxy, tls }: SubjectOptions): WebEngineOptions {
  const { maxConnections, maxConnectionsPerAddress, maxFrameBytes, creditBytes, heartbeatMs } = settings;
  return {
    ...{ host, port, maxConnections, maxConnectionsPerAddress, heartbeatMs, log, proxy, tls },
    crowded: () => {},
    clock: proxy.clock,
    maxMessageBytes: maxFrameBytes + MIB,
    maxUnfinishedBytes: 8 * MIB,
    maxHeldBytes: 2 * creditBytes + maxFrameBytes + MIB,
  };
}

function webSubject(
  createEngine: (options: WebEngineOptions, door: WebDoor) => WebEngine,
  secure: Secure,
): Pick<ListenerSubject, 'option' | 'create' | 'dial' | 'greet' | 'refusedGreeting'> {
  return {
    option: 'listen.web',
    create(options, accept) {
      const requested = (exchange: Parameters<WebDoor['requested']>[0]) => exchange.respond(notFound(exchange));
      return createEngine(engineOptions(options), createWebSocketDoor({ origins: [], hosts: [] }, { accept, requested }));
    },
    async dial(port, take, options) {
      const raw = await dialSocket(port, options);
      const socket = await secure(raw);
      const peer = await WebSocketPeer.upgrade(socket, take);
      return { socket, write: (bytes) => peer.send(bytes), reset: () => void raw.resetAndDestroy() };
    },
    greet: async (socket) => WebSocketPeer.upgrade(await secure(socket), () => {}),
    refusedGreeting(socket) {
      socket.write(upgradeRequest());
      return everythingOf(socket);
    },
  };
}

export async function dialSocket(port: number, { header, allowHalfOpen = false }: DialOptions = {}): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen });
  await once(socket, 'connect');
  socket.on('error', () => {});
  if (header !== undefined) socket.write(header);
  return socket;
}

/** What comes until the connection ends. */
async function everythingOf(socket: Socket): Promise<string> {
  let text = '';
  for await (const chunk of socket) text += String(chunk);
  return text;
}
