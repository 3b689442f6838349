import type { Access } from '../../core/access.ts';
import type { Clock } from '../../core/clock.ts';
import type { AccessObserver, Authenticator, Log } from '../context.ts';
import { hashToken, tokenId } from '../producers.ts';
import type { WebExchange, WebResponse } from '../web/engine.ts';
import type { ChangeWriters } from './change-writer.ts';
import { readChange, type ReadChange, readSyncData } from './changes.ts';
import { openApi } from './openapi.ts';
import { faultOf, problemOf, RequestFault } from './request-fault.ts';
import { type Intake, takeChanges } from './take-changes.ts';

export interface HttpApiParts {
  readonly clock: Clock;
  readonly log: Log;
  /** May be exchanged: each request asks the one that is there. */
  readonly authenticator: Authenticator;
  /** Told of who sends, every ten minutes, and of requests whose token lets nobody in. */
  readonly access?: AccessObserver | undefined;
  readonly writers: ChangeWriters;
  readonly maxBodyBytes: number;
  /** Origins of web pages that may send. */
  readonly origins: readonly string[];
  /** Of the server, for the description of the API. */
  readonly version: string;
}

/** What may be done with a path, by method. */
type Route = Readonly<Record<string, (exchange: WebExchange, api: HttpApi) => WebResponse | Promise<WebResponse>>>;

/** Requests of one producer that are under way at a time. */
const MAX_REQUESTS_PER_PRODUCER = 256;
const PREFLIGHT_MAX_AGE_S = '600';
const TELL_EVERY_MS = 600_000;
const MAX_TOLD = 1_000;

const ROUTES = new Map<string, Route>([
  ['/api/v1', { GET: () => json(200, { name: 'syncline', openapi: '/api/v1/openapi.json' }) }],
  ['/api/v1/openapi.json', { GET: (_, api) => json(200, openApi(api.parts)) }],
  ['/api/v1/changes', { POST: (exchange, api) => api.take(exchange, { formats: ['json', 'lines'], readChange }) }],
  ['/api/v1/sync-data', { POST: (exchange, api) => api.take(exchange, { formats: ['json', 'lines', 'form'], readChange: readSyncData }) }],
]);

/** The paths and methods that are answered; for tests of the description. */
export function routes(): [path: string, method: string][] {
  return [...ROUTES].flatMap(([path, route]) => Object.keys(route).map((method): [string, string] => [path, method]));
}

/** The HTTP API: answers every request that an engine brings. */
export function createHttpApi(parts: HttpApiParts): (exchange: WebExchange) => void {
  const api = new HttpApi(parts);
  return (exchange) => void api.answer(exchange);
}

class HttpApi {
  readonly parts: HttpApiParts;
  readonly #underWay = new Map<string, number>();
  /** Who has been told of, and when. */
  readonly #toldMs = new Map<string, number>();

  constructor(parts: HttpApiParts) {
    this.parts = parts;
  }

  async answer(exchange: WebExchange): Promise<void> {
    const origin = exchange.header('origin');
    const isListed = origin !== undefined && this.parts.origins.includes(origin);
    let response: WebResponse;
    try {
      response = await this.#answerOf(exchange, origin, isListed);
      // A connection on which nobody has shown a token is not kept.
      if (exchange.method !== 'POST') response = { ...response, close: true };
    } catch (error) {
      // Whoever went away needs no answer, and what was thrown is only that it did.
      if (exchange.signal.aborted) return;
      const fault = faultOf(error);
      if (fault.status === 500) this.parts.log.error({ err: error, path: exchange.path }, 'an HTTP request failed');
      response = problemOf(fault);
      // The rest of the body is not worth reading, or nobody has shown a token.
      if (fault.status !== 422 && fault.status !== 409) response = { ...response, close: true };
    }
    exchange.respond({
      ...response,
      headers: { ...COMMON_HEADERS, ...(isListed ? corsHeaders(origin) : {}), ...response.headers },
    });
  }

  async take(exchange: WebExchange, intake: Intake): Promise<WebResponse> {
    const { producer, check: checkSender } = await this.#authenticate(exchange);
    const count = this.#underWay.get(producer) ?? 0;
    if (count >= MAX_REQUESTS_PER_PRODUCER)
      throw new RequestFault(429, 'too_many_requests', `producer ${producer} has ${count} requests under way, which are the most`, {
        headers: { 'retry-after': '1' },
      });
    this.#underWay.set(producer, count + 1);
    try {
      const access = this.parts.authenticator.accessOf(producer);
      const permitted = access === undefined ? intake : { ...intake, readChange: permittedTo(access, intake.readChange) };
      const taken = await takeChanges(exchange, producer, permitted, { ...this.parts, checkSender });
      return json(taken.ack === 'stored' ? 202 : 200, taken);
    } finally {
      const left = this.#underWay.get(producer)! - 1;
      if (left === 0) this.#underWay.delete(producer);
      else this.#underWay.set(producer, left);
    }
  }

  async #answerOf(exchange: WebExchange, origin: string | undefined, isListed: boolean): Promise<WebResponse> {
    const { method, path } = exchange;
    const route = ROUTES.get(path);
    if (route === undefined) throw new RequestFault(404, 'bad_request', 'there is nothing here; see /api/v1/openapi.json');
    const allow = Object.keys(route).join(', ');
    if (method === 'OPTIONS' && isListed) return preflight(allow);
    // Engines leave the body out.
    const asked = method === 'HEAD' ? 'GET' : method;
    const run = Object.hasOwn(route, asked) ? route[asked] : undefined;
    if (run === undefined) throw new RequestFault(405, 'bad_request', `this path takes ${allow} only`, { headers: { allow } });
    // A page of any site can make a browser send to a server that only this machine, or this network, can reach.
    if (method === 'POST' && origin !== undefined && !isListed)
      throw new RequestFault(403, 'origin_refused', 'a page of this origin may not send; list the origin in listen.web.origins');
    return run(exchange, this);
  }

  #admitted(address: string, producer: string, token: string | undefined): void {
    const { access, clock } = this.parts;
    if (access === undefined) return;
    const key = JSON.stringify([address, producer, token]);
    const nowMs = clock.monotonicMs();
    if (nowMs - (this.#toldMs.get(key) ?? -Infinity) < TELL_EVERY_MS) return;
    if (this.#toldMs.size >= MAX_TOLD) this.#toldMs.clear();
    this.#toldMs.set(key, nowMs);
    access.admitted({ address, producer, token, stream: undefined });
  }

  /**
   * Who sends, and what throws once that is no longer who may.
   * @throws {RequestFault} 401: late, because the authenticator sees to it that guessing tokens is slow.
   */
  async #authenticate(exchange: WebExchange): Promise<{ producer: string; check: () => void }> {
    let { authenticator } = this.parts;
    const [, token] = /^Bearer +(\S+)$/i.exec(exchange.header('authorization') ?? '') ?? [];
    const { remoteAddress, certificateNames } = exchange;
    const producer = await authenticator.authenticate(token ?? '', remoteAddress, certificateNames);
    if (producer === undefined) {
      this.parts.access?.refused({ address: remoteAddress, producer: undefined, code: 'auth_failed' });
      throw notLetIn(token);
    }
    const digest = hashToken(token ?? '');
    this.#admitted(remoteAddress, producer, token === undefined ? undefined : tokenId(digest));
    const check = () => {
      if (this.parts.authenticator === authenticator) return;
      ({ authenticator } = this.parts);
      if (authenticator.producerOf(digest, remoteAddress, certificateNames) !== producer) throw notLetIn(token);
    };
    return { producer, check };
  }
}

function notLetIn(token: string | undefined): RequestFault {
  const challenge = token === undefined ? 'Bearer realm="syncline"' : 'Bearer realm="syncline", error="invalid_token"';
  const message =
    token === undefined
      ? 'the request brings no token; send Authorization: Bearer TOKEN'
      : 'the token is not known here; check it and the producers of this server';
  return new RequestFault(401, 'auth_failed', message, { headers: { 'www-authenticate': challenge } });
}

/** As `read`, for a producer with rules. What it may do with a table at all is asked here, and columns when a change is applied, by the rules of then. */
function permittedTo(access: Access, read: ReadChange): ReadChange {
  return (value) => {
    const change = read(value);
    const fault = access.faultOf(change.table, change.op, 0, []);
    if (fault !== undefined) throw new RequestFault(403, fault.code, fault.message);
    return change;
  };
}

function corsHeaders(origin: string): Readonly<Record<string, string>> {
  return { 'access-control-allow-origin': origin, 'access-control-expose-headers': 'retry-after', vary: 'Origin' };
}

const COMMON_HEADERS = { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' };

function preflight(methods: string): WebResponse {
  return {
    status: 204,
    headers: {
      'access-control-allow-methods': methods,
      'access-control-allow-headers': 'authorization, content-type, content-encoding, idempotency-key',
      'access-control-max-age': PREFLIGHT_MAX_AGE_S,
    },
  };
}

function json(status: number, body: object): WebResponse {
  return { status, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
}
