import { createServer } from 'node:net';
import { SyncError } from '../../core/errors.ts';
import { type AddressRanges, createAddressRanges, plainAddress } from '../address-ranges.ts';
import { listenError } from '../listen-error.ts';
import { SLOW_READER_BYTES } from '../outbox.ts';
import type { WebDoor, WebEngine, WebResponse } from './engine.ts';
import { REFUSAL_RESERVE, type WebEngineOptions } from './engine-options.ts';
import { problem } from './problem.ts';
import type { UWebSockets, UwsApp, UwsListenSocket, UwsRequest, UwsResponse, UwsSocket } from './uws.ts';
import { HeldBytes, UwsConnection } from './uws-connection.ts';
import { answer, UwsExchange, uwsHead } from './uws-exchange.ts';

/** Beyond what a session lets wait, so that it gives a slow reader up before anything is dropped. */
const MAX_BACKPRESSURE_BYTES = 16 * SLOW_READER_BYTES;
/** In heartbeats and seconds. Sessions see silence long before; this ends connections that are closed on our side only. */
const IDLE_HEARTBEATS = 4;
const IDLE_SECONDS = { least: 60, most: 960 } as const;

/** The web engine over uWebSockets.js. Its thread must not end before it is closed. */
export function createUwsEngine(uws: UWebSockets, options: WebEngineOptions, door: WebDoor): WebEngine {
  return new UwsEngine(uws, options, door);
}

class UwsEngine implements WebEngine {
  readonly name = 'uws';
  maxConnections: number;
  /** It does not tell whose a connection was that ended: nothing is held to it here. */
  maxConnectionsPerAddress: number;
  readonly #uws: UWebSockets;
  readonly #options: WebEngineOptions;
  readonly #door: WebDoor;
  readonly #balancers: AddressRanges;
  #app: UwsApp | undefined;
  #listening: UwsListenSocket | undefined;
  #address: { readonly host: string; readonly port: number };
  #connectionCount = 0;
  readonly #held: HeldBytes;
  /** Connections of balancers on which a request came, by address and port; of those that have ended some remain, one for each port. */
  readonly #introduced = new Set<string>();

  constructor(uws: UWebSockets, options: WebEngineOptions, door: WebDoor) {
    this.#uws = uws;
    this.#options = options;
    this.#door = door;
    this.#balancers = createAddressRanges(options.proxy.from);
    this.#address = { host: options.host, port: options.port };
    this.#held = new HeldBytes(options.maxHeldBytes, options.maxUnfinishedBytes);
    this.maxConnections = options.maxConnections;
    this.maxConnectionsPerAddress = options.maxConnectionsPerAddress;
  }

  get address(): { readonly host: string; readonly port: number } {
    return this.#address;
  }

  async start(): Promise<void> {
    const { host, port } = this.#options;
    await tryAddress(host, port);
    this.#app = this.#createApp();
    this.#app.listen(host, port, this.#uws.LIBUS_LISTEN_EXCLUSIVE_PORT, (socket) => {
      if (socket !== false) this.#listening = socket;
    });
    if (this.#listening === undefined) throw listenError(new Error('uWebSockets.js gives no reason'), host, port, 'listen.web');
    this.#address = { host, port: this.#uws.us_socket_local_port(this.#listening) };
  }

  stop(): Promise<void> {
    if (this.#listening !== undefined) this.#uws.us_listen_socket_close(this.#listening);
    this.#listening = undefined;
    return Promise.resolve();
  }

  async close(): Promise<void> {
    await this.stop();
    this.#app?.close();
    this.#app = undefined;
  }

  #createApp(): UwsApp {
    const { maxMessageBytes, heartbeatMs } = this.#options;
    const idleSeconds = Math.ceil((heartbeatMs * IDLE_HEARTBEATS) / 1_000);
    return this.#uws
      .App()
      .filter((response, count) => {
        this.#connectionCount += count;
        if (count < 0) return;
        // Whoever had this port before is gone.
        this.#introduced.delete(peerOf(response));
        if (this.#connectionCount > this.maxConnections + REFUSAL_RESERVE) response.close();
      })
      .ws('/*', {
        compression: this.#uws.DISABLED,
        maxPayloadLength: maxMessageBytes,
        maxBackpressure: MAX_BACKPRESSURE_BYTES,
        closeOnBackpressureLimit: 0,
        idleTimeout: Math.min(IDLE_SECONDS.most, Math.max(IDLE_SECONDS.least, idleSeconds)),
        sendPingsAutomatically: false,
        upgrade: (response, request, context) => this.#upgrade(response, request, context),
        open: (socket) => {
          const connection = connectionOf(socket);
          connection.opened(socket);
          this.#door.connected(connection);
        },
        message: (socket, message, isBinary) => connectionOf(socket).received(new Uint8Array(message.slice(0)), isBinary),
        drain: (socket) => connectionOf(socket).drained(),
        close: (socket) => {
          // The filter hears of connections that end as HTTP alone.
          this.#connectionCount--;
          connectionOf(socket).closed();
        },
      })
      .any('/*', (response, request) => {
        const { address, isBalancer, refusal } = this.#introduce(response);
        if (refusal === 'close') return response.close();
        if (refusal !== undefined) return answer(response, request.getCaseSensitiveMethod(), refusal, true);
        this.#door.requested(new UwsExchange(response, uwsHead(request, address), isBalancer));
      });
  }

  #upgrade(response: UwsResponse, request: UwsRequest, context: unknown): void {
    const { address, isBalancer, refusal } = this.#introduce(response);
    if (refusal === 'close') return response.close();
    const answered = refusal ?? this.#door.judge(uwsHead(request, address));
    if (answered !== undefined) return answer(response, 'GET', answered, isBalancer || answered.close === true);
    response.upgrade(
      { connection: new UwsConnection(address, this.#held) },
      request.getHeader('sec-websocket-key'),
      request.getHeader('sec-websocket-protocol'),
      request.getHeader('sec-websocket-extensions'),
      context,
    );
  }

  /**
   * For whom a request is. uWebSockets.js takes a PROXY header before every request, not before the first alone, so that a
   * client could send one of its own before its second: there is no second on a connection from a balancer.
   */
  #introduce(response: UwsResponse): { address: string; isBalancer: boolean; refusal?: WebResponse | 'close' } {
    const direct = plainAddress(textOf(response.getRemoteAddressAsText()));
    if (!this.#balancers.includes(direct)) return { address: direct, isBalancer: false };
    const peer = peerOf(response);
    if (this.#introduced.has(peer)) return { address: direct, isBalancer: true, refusal: 'close' };
    this.#introduced.add(peer);
    const proxied = textOf(response.getProxiedRemoteAddressAsText());
    if (proxied !== '') return { address: plainAddress(proxied), isBalancer: true };
    const error = new SyncError(
      'bad_proxy_header',
      'the connection does not begin with a PROXY protocol header of version 2, the one that uWebSockets.js reads',
    );
    this.#options.proxy.refused(direct, error);
    return { address: direct, isBalancer: true, refusal: problem(400, error.message) };
  }
}

/** uWebSockets.js does not say why it cannot listen, and would share a port that another process listens on. */
async function tryAddress(host: string, port: number): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(listenError(error, host, port, 'listen.web')));
    server.listen({ host, port }, resolve);
  });
  await new Promise<void>((resolve) => void server.close(() => resolve()));
}

function connectionOf(socket: UwsSocket): UwsConnection {
  return (socket.getUserData() as { readonly connection: UwsConnection }).connection;
}

function peerOf(response: UwsResponse): string {
  return `${textOf(response.getRemoteAddressAsText())} ${response.getRemotePort()}`;
}

function textOf(bytes: ArrayBuffer): string {
  return Buffer.from(bytes).toString('latin1');
}
