import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Timer } from '../../core/clock.ts';
import { messageOf } from '../../core/errors.ts';
import { Introductions } from '../introductions.ts';
import { listen } from '../listen.ts';
import type { WebDoor, WebEngine } from './engine.ts';
import { Crowd, crowdedResponse, tooMany } from './crowd.ts';
import { ADDRESS_RESERVE, MAX_HEAD_BYTES, REFUSAL_RESERVE, type WebEngineOptions } from './engine-options.ts';
import { NodeConnection } from './node-connection.ts';
import { NodeExchange, nodeHead, type WebClient } from './node-exchange.ts';
import { problem, rawResponse } from './problem.ts';

const KEEP_ALIVE_AFTER_MS = 15_000;
/** A request's head must have come by then, and a connection that is new must have begun. */
const HEAD_DEADLINE_MS = 5_000;
/** How long a connection may rest between two requests. */
const IDLE_MS = 75_000;
/** Requests of one connection that may wait for those before them to be answered. */
const MAX_PIPELINED = 64;
/** How often deadlines and paces are looked at. */
const CHECK_INTERVAL_MS = 1_000;

/** The web engine that loads everywhere: `ws` on `node:http`. */
export function createNodeEngine(options: WebEngineOptions, door: WebDoor): WebEngine {
  return new NodeEngine(options, door);
}

class NodeEngine implements WebEngine {
  readonly name = 'ws';
  maxConnectionsPerAddress: number;
  readonly #options: WebEngineOptions;
  readonly #door: WebDoor;
  readonly #server: Server;
  readonly #upgrades: WebSocketServer;
  readonly #introductions: Introductions;
  readonly #sockets = new Set<Socket>();
  /** How many connections each address has. */
  readonly #crowd = new Crowd();
  /** For whom each connection is. */
  readonly #clients = new WeakMap<Duplex, WebClient>();
  readonly #connections = new Set<NodeConnection>();
  /** Requests of each connection that are not over. */
  readonly #exchanges = new Map<Duplex, Set<NodeExchange>>();
  #check: Timer | undefined;
  #address: { readonly host: string; readonly port: number };

  constructor(options: WebEngineOptions, door: WebDoor) {
    const { host, port, maxConnections, maxConnectionsPerAddress, maxMessageBytes, proxy, tls } = options;
    this.#options = options;
    this.#door = door;
    this.#address = { host, port };
    this.#server = createServer({
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_AFTER_MS,
      maxHeaderSize: MAX_HEAD_BYTES,
      headersTimeout: HEAD_DEADLINE_MS,
      connectionsCheckingInterval: CHECK_INTERVAL_MS,
      keepAliveTimeout: IDLE_MS,
      // A body may take as long as it needs while it keeps its pace: see NodeExchange.
      requestTimeout: 0,
      shouldUpgradeCallback: (request) => request.headers.upgrade?.toLowerCase() === 'websocket',
    });
    this.#upgrades = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: maxMessageBytes,
    });
    this.#introductions = new Introductions(proxy, ({ message }) => rawResponse(problem(400, message)), tls);
    this.#serveIntroduced();
    this.#server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
    this.#server.on('request', (request, response) => this.#requested(request, response));
    this.maxConnections = maxConnections;
    this.maxConnectionsPerAddress = maxConnectionsPerAddress;
  }

  get address(): { readonly host: string; readonly port: number } {
    return this.#address;
  }

  get maxConnections(): number {
    return this.#server.maxConnections - REFUSAL_RESERVE;
  }

  set maxConnections(count: number) {
    this.#server.maxConnections = count + REFUSAL_RESERVE;
  }

  async start(): Promise<void> {
    const { log } = this.#options;
    const failed = (error: Error) => log.error({ err: error }, `web listener: ${messageOf(error)}`);
    this.#address = await listen(this.#server, this.#address, 'listen.web', failed);
    this.#checkLater();
  }

  stop(): Promise<void> {
    // `close` calls back only once every connection has ended; nobody waits for that here.
    if (this.#server.listening) this.#server.close();
    this.#introductions.close();
    return Promise.resolve();
  }

  async close(): Promise<void> {
    await this.stop();
    this.#check?.cancel();
    for (const socket of [...this.#sockets]) socket.destroy();
  }

  /** Puts our own reading of the PROXY header before what `node:http` does with a new connection. */
  #serveIntroduced(): void {
    const serve = this.#server.listeners('connection') as ((socket: Socket) => void)[];
    this.#server.removeAllListeners('connection');
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
      this.#introductions.introduce(socket, (remoteAddress, secured) => {
        const served = secured?.socket ?? socket;
        const count = this.#crowd.enter(remoteAddress);
        socket.once('close', () => this.#crowd.leave(remoteAddress));
        if (count > this.maxConnectionsPerAddress + ADDRESS_RESERVE) return this.#turnAway(served, remoteAddress, count - 1);
        this.#clients.set(served, { remoteAddress, certificateNames: secured?.certificateNames ?? [] });
        for (const one of serve) one.call(this.#server, served);
        // It stands still where a header was read off it first.
        served.resume();
      });
    });
  }

  #turnAway(socket: Socket, address: string, count: number): void {
    const error = tooMany(address, count, this.maxConnectionsPerAddress);
    this.#options.crowded(address, error);
    socket.on('error', ignore);
    socket.resume();
    socket.end(rawResponse(crowdedResponse(error)), () => socket.destroy());
  }

  #requested(request: IncomingMessage, response: ServerResponse): void {
    // On a connection that is being ended a request must not be carried out: its answer would go nowhere.
    if (request.socket.writableEnded) return;
    const exchanges = this.#exchangesOf(request.socket);
    if (exchanges.size >= MAX_PIPELINED) return void request.socket.destroy();
    const exchange = new NodeExchange(request, response, this.#clientOf(request), this.#options.clock, () => exchanges.delete(exchange));
    exchanges.add(exchange);
    this.#door.requested(exchange);
  }

  #exchangesOf(socket: Socket): Set<NodeExchange> {
    const known = this.#exchanges.get(socket);
    if (known !== undefined) return known;
    const exchanges = new Set<NodeExchange>();
    this.#exchanges.set(socket, exchanges);
    socket.once('close', () => {
      this.#exchanges.delete(socket);
      for (const exchange of exchanges) exchange.gone();
    });
    return exchanges;
  }

  #clientOf({ socket }: IncomingMessage): WebClient {
    return this.#clients.get(socket) ?? { remoteAddress: 'unknown', certificateNames: [] };
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const client = this.#clientOf(request);
    socket.on('error', ignore);
    // Answers to requests before it would be written into the WebSocket.
    if ((this.#exchanges.get(socket)?.size ?? 0) > 0) return void socket.destroy();
    const refusal = this.#door.judge(nodeHead(request, client));
    if (refusal !== undefined) return void socket.end(rawResponse(refusal), () => socket.destroy());
    this.#upgrades.handleUpgrade(request, socket, head, (ws, { socket: raw }) => this.#connected(ws, raw, client));
  }

  /** Apart from the upgrade: what lives as long as the connection must not hold its request. */
  #connected(ws: WebSocket, socket: Socket, client: WebClient): void {
    const connection = new NodeConnection(ws, socket, client, this.#disconnected);
    this.#connections.add(connection);
    this.#door.connected(connection);
  }

  readonly #disconnected = (connection: NodeConnection): void => void this.#connections.delete(connection);

  #checkLater(): void {
    this.#check = this.#options.clock.setTimer(CHECK_INTERVAL_MS, () => {
      for (const exchanges of this.#exchanges.values()) for (const exchange of exchanges) exchange.checkRest();
      this.#checkMessages();
      this.#checkLater();
    });
  }

  /** Of a message nothing is seen above this engine until it is complete: here it must keep its pace, and share the memory. */
  #checkMessages(): void {
    const { clock, heartbeatMs, maxUnfinishedBytes } = this.#options;
    const nowMs = clock.monotonicMs();
    let unfinishedBytes = 0;
    for (const connection of [...this.#connections]) {
      connection.checkPace(nowMs, heartbeatMs);
      if (!connection.isGivenUp) unfinishedBytes += connection.unfinishedBytes;
    }
    if (unfinishedBytes <= maxUnfinishedBytes) return;
    const open = [...this.#connections].filter((connection) => !connection.isGivenUp);
    for (const connection of open.toSorted((one, other) => other.unfinishedBytes - one.unfinishedBytes)) {
      unfinishedBytes -= connection.unfinishedBytes;
      connection.giveUp(`this server holds ${maxUnfinishedBytes} bytes of unfinished messages, of which yours is the longest`);
      if (unfinishedBytes <= maxUnfinishedBytes) return;
    }
  }
}

function ignore(): void {}
