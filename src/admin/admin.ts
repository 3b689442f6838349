import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { adminDoor, checkBind } from '../core/bind.ts';
import { messageOf, SyncError } from '../core/errors.ts';
import { isLoopback } from '../core/network.ts';
import type { Logger } from './log.ts';
import type { Metrics } from './metrics.ts';
import { isPrimary, obstacles } from './readiness.ts';
import type { AdminState, DutyControl } from './state.ts';
import { readStatus } from './status.ts';

/** Health, metrics and status over HTTP. */
export interface Admin {
  /** @throws {SyncError} `listen_unprotected` beyond loopback without a token; `listen_failed` when an address cannot be used. */
  start(): Promise<void>;
  /** Where it listens, once {@link start} has resolved. */
  readonly address: Address;
  /** Where the second listener listens, if there is one. */
  readonly healthAddress: Address | undefined;
  /** What everything but health asks for from now on; undefined asks nobody. */
  useToken(token: string | undefined): void;
  close(): Promise<void>;
}

export interface AdminOptions {
  readonly admin: Address & {
    /** What everything but health asks for, as `Authorization: Bearer …`. Needed beyond loopback. */
    readonly token?: string | undefined;
  };
  /** A second listener that serves `/health/*` only: it may be open to others, because health tells nothing but its status. */
  readonly health: Address | undefined;
  readonly observer?: AdminObserver | undefined;
}

/** Told of what somebody did here, or was not let do. */
export interface AdminObserver {
  /** Somebody asked for what is guarded, and may not have it. */
  adminRefused(address: string, path: string): void;
  /** Somebody took the node out of service, or put it back. */
  dutyChanged(to: 'drain' | 'resume', address: string): void;
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** What a request comes to. */
interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

type Route = (address: string) => Answer | Promise<Answer>;

/** What may be done with a path, by method. */
type Methods = Readonly<Record<string, Route>>;

const MAX_CONNECTIONS = 100;
const MAX_HEADER_BYTES = 8 * 1024;
const MAX_HEADERS = 50;
const HEADERS_TIMEOUT_MS = 5_000;
const REQUEST_TIMEOUT_MS = 10_000;
const IDLE_TIMEOUT_MS = 15_000;
/** Node looks at the timeouts this often; its default of 30 s would make them that imprecise. */
const TIMEOUT_CHECK_MS = 1_000;

const JSON_TYPE = 'application/json; charset=utf-8';

export function createAdmin(options: AdminOptions, state: AdminState, control: DutyControl, metrics: Metrics, log: Logger): Admin {
  const admin = { ...options.admin };
  const open = healthRoutes(state);
  const guarded = new Map<string, Methods>([
    ['/metrics', { GET: async () => ({ status: 200, type: metrics.contentType, body: await metrics.render() }) }],
    ['/api/v1/status', { GET: async () => json(200, await readStatus(state)) }],
    ['/api/v1/drain', drainRoutes(state, control, log, options.observer)],
  ]);
  const main = listenerOf(async (request, path) => {
    const methods = open.get(path) ?? guarded.get(path);
    if (methods === undefined)
      return problem(404, 'not found', 'see /health/live, /health/ready, /health/primary, /metrics, /api/v1/status and /api/v1/drain');
    const refusal = guarded.has(path) ? refusalOf(request, admin) : undefined;
    if (refusal === undefined) return answerOf(methods, request);
    options.observer?.adminRefused(addressOfPeer(request), path);
    return refusal;
  }, log);
  const health =
    options.health &&
    listenerOf(async (request, path) => {
      const methods = open.get(path);
      return methods === undefined
        ? problem(404, 'not found', 'see /health/live, /health/ready and /health/primary')
        : await answerOf(methods, request);
    }, log);

  return {
    async start() {
      checkBind(adminDoor(admin.host, admin.token));
      await listen(main, admin, 'listen.admin.port');
      if (health === undefined || options.health === undefined) return;
      await listen(health, options.health, 'listen.admin.healthPort').catch(async (error: unknown) => {
        await stop(main);
        throw error;
      });
    },
    get address() {
      return addressOf(main);
    },
    get healthAddress() {
      return health && addressOf(health);
    },
    useToken(token) {
      admin.token = token;
    },
    async close() {
      await Promise.all([stop(main), health && stop(health)]);
    },
  };
}

/** They answer without a token, so their bodies say no more than the status code does. */
function healthRoutes(state: AdminState): ReadonlyMap<string, Methods> {
  return new Map<string, Methods>([
    ['/health/live', { GET: () => json(200, { status: 'live' }) }],
    ['/health/ready', { GET: () => (obstacles(state).length === 0 ? json(200, { status: 'ready' }) : json(503, { status: 'not ready' })) }],
    ['/health/primary', { GET: () => (isPrimary(state) ? json(200, { status: 'primary' }) : json(503, { status: 'not primary' })) }],
  ]);
}

/** POST takes the node out of service, DELETE puts it back. Both answer at once, as GET does, with what is left to hand over. */
function drainRoutes(state: AdminState, control: DutyControl, log: Logger, observer: AdminObserver | undefined): Methods {
  return {
    GET: () => json(200, state.drain()),
    POST: (address) => {
      observer?.dutyChanged('drain', address);
      control.drain().catch((error: unknown) => log.error({ reason: messageOf(error) }, 'draining failed'));
      return json(202, state.drain());
    },
    DELETE: (address) => {
      observer?.dutyChanged('resume', address);
      control.resume();
      return json(200, state.drain());
    },
  };
}

async function answerOf(methods: Methods, request: IncomingMessage): Promise<Answer> {
  const { method = '', headers } = request;
  const route = Object.hasOwn(methods, method) ? methods[method] : undefined;
  if (route === undefined) {
    const allow = Object.keys(methods).join(', ');
    return { ...problem(405, 'method not allowed', `use ${allow}`), headers: { allow } };
  }
  // A page in somebody's browser can send this unasked; then its origin is named here.
  if (method !== 'GET' && headers.origin !== undefined) return problem(403, 'wrong origin', 'a browser may not do this');
  return route(addressOfPeer(request));
}

function addressOfPeer({ socket }: IncomingMessage): string {
  return socket.remoteAddress ?? '';
}

/** Why this request may not see what is guarded; undefined when it may. */
function refusalOf(request: IncomingMessage, { host, token }: AdminOptions['admin']): Answer | undefined {
  // A page in somebody's browser can reach loopback under a name that its owner points here; that name is in Host.
  if (isLoopback(host) && !isLoopback(hostNameOf(request.headers.host))) {
    return problem(403, 'wrong host', 'address this server as localhost or 127.0.0.1');
  }
  if (token === undefined || sameText(request.headers.authorization ?? '', `Bearer ${token}`)) return undefined;
  return {
    ...problem(401, 'token needed', 'send the admin token as Authorization: Bearer'),
    headers: { 'www-authenticate': 'Bearer' },
  };
}

/** The name in a Host header, without port and brackets. */
function hostNameOf(header: string | undefined): string {
  return (header ?? '')
    .toLowerCase()
    .replace(/:\d*$/, '')
    .replace(/^\[(.*)\]$/, '$1');
}

/** Takes the same time wherever the texts differ. */
function sameText(a: string, b: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}

function listenerOf(answer: (request: IncomingMessage, path: string) => Promise<Answer>, log: Logger): Server {
  const server = createServer(
    {
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      connectionsCheckingInterval: TIMEOUT_CHECK_MS,
      keepAliveTimeout: HEADERS_TIMEOUT_MS,
    },
    (request, response) => {
      const path = (request.url ?? '').split('?', 1)[0] as string;
      answer(request, path).then(
        (result) => send(request, response, result),
        (error: unknown) => {
          log.error({ path, reason: messageOf(error) }, 'admin request failed');
          send(
            request,
            response,
            path.startsWith('/health/') ? json(503, { status: 'not ready' }) : problem(500, 'internal error', 'see the log of the server'),
          );
        },
      );
    },
  );
  server.maxConnections = MAX_CONNECTIONS;
  server.maxHeadersCount = MAX_HEADERS;
  server.setTimeout(IDLE_TIMEOUT_MS);
  server.on('clientError', (_, socket) => {
    if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
    else socket.destroy();
  });
  return server;
}

function send(request: IncomingMessage, response: ServerResponse, { status, type, body, headers }: Answer): void {
  // Nobody reads bodies here: whoever sends one gets the answer and no further request on the connection.
  const hasBody = request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length'] ?? 0) > 0;
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...(hasBody ? { connection: 'close' } : {}),
    ...headers,
  });
  response.end(body);
}

function json(status: number, value: unknown): Answer {
  return { status, type: JSON_TYPE, body: `${JSON.stringify(value)}\n` };
}

/** RFC 9457. */
function problem(status: number, title: string, detail: string): Answer {
  return { status, type: 'application/problem+json', body: `${JSON.stringify({ title, status, detail })}\n` };
}

/** `option` is where the port comes from. */
async function listen(server: Server, { host, port }: Address, option: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const fail = (error: NodeJS.ErrnoException) =>
    reject(
      new SyncError('listen_failed', `admin cannot listen on ${host}:${port} (${error.code ?? error.message}): ${hintFor(error, option)}`, {
        cause: error,
      }),
    );
  server.once('error', fail);
  server.listen({ host, port }, () => {
    server.off('error', fail);
    resolve();
  });
  await promise;
}

function hintFor({ code }: NodeJS.ErrnoException, option: string): string {
  if (code === 'EADDRINUSE') return `another process listens there; set ${option} to a free port or stop that process`;
  if (code === 'EACCES') return `this user may not listen there; set ${option} to a port above 1023`;
  return `choose another address, or set ${option} to another port`;
}

async function stop(server: Server): Promise<void> {
  if (!server.listening) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  server.close(() => resolve());
  server.closeAllConnections();
  await promise;
}

function addressOf(server: Server): Address {
  const address = server.address() as AddressInfo | null;
  if (address === null) throw new Error('admin does not listen yet');
  return { host: address.address, port: address.port };
}
