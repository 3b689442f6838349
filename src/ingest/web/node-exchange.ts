import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../../core/clock.ts';
import type { RequestHead, WebExchange, WebResponse } from './engine.ts';

/** Whoever sends a body sends at least so much of it, in bytes per second, once it is late. */
const MIN_BYTES_PER_SECOND = 1_000;
/** How long the first bytes of a body may take, and its rest once it was answered. */
const GRACE_MS = 5_000;

/** Who is at the other end, as it was found out before the first request. */
export type WebClient = Pick<RequestHead, 'remoteAddress' | 'certificateNames'>;

/** A request and its answer over `node:http`. */
export class NodeExchange implements WebExchange {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly remoteAddress: string;
  readonly certificateNames: readonly string[];
  readonly header: (name: string) => string | undefined;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #clock: Clock;
  readonly #abort = new AbortController();
  #isAnswered = false;
  #bodyBytes = 0;
  /** How long somebody has waited for more of the body, and since when somebody waits now. */
  #waitedMs = 0;
  #waitingSinceMs: number | undefined;

  constructor(request: IncomingMessage, response: ServerResponse, client: WebClient, clock: Clock, done: () => void) {
    const head = nodeHead(request, client);
    this.method = head.method;
    this.path = head.path;
    this.query = head.query;
    this.remoteAddress = head.remoteAddress;
    this.certificateNames = head.certificateNames;
    this.header = (name) => head.header(name);
    this.#request = request;
    this.#response = response;
    this.#clock = clock;
    // Without listeners a reset connection would end the process.
    request.on('error', ignore);
    response.on('error', ignore);
    response.once('close', () => {
      if (!this.#isAnswered) this.#abort.abort(new Error('the peer went away'));
      if (request.complete || request.destroyed) done();
      else request.once('close', done);
    });
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  async *body(): AsyncGenerator<Uint8Array, void> {
    // Whoever stops reading still answers, so the request must outlive its reader.
    const chunks = this.#request.iterator({ destroyOnReturn: false });
    try {
      while (true) {
        this.#waitingSinceMs = this.#clock.monotonicMs();
        const { value, done } = (await chunks.next()) as IteratorResult<Buffer, void>;
        this.#stopWaiting();
        if (done === true) return;
        this.#bodyBytes += value.length;
        yield value;
      }
    } finally {
      this.#stopWaiting();
    }
  }

  respond({ status, headers = {}, body = '', close }: WebResponse): void {
    if (this.#isAnswered || this.#response.destroyed) return;
    this.#isAnswered = true;
    const bytes = Buffer.from(body);
    this.#response.writeHead(status, {
      ...headers,
      'content-length': bytes.length,
      ...(close === true ? { connection: 'close' } : {}),
    });
    this.#response.end(bytes, () => {
      if (this.#request.complete) return;
      if (close === true) return this.#request.socket.destroySoon();
      // The rest of the body is read and thrown away, for as long as the first bytes of one may take.
      this.#waitedMs = 0;
      this.#waitingSinceMs = this.#clock.monotonicMs();
      this.#bodyBytes = 0;
      this.#request.resume();
    });
  }

  /** Ends the connection when the body comes too slowly while somebody waits for it. */
  checkPace(): void {
    if (this.#request.complete || this.#waitingSinceMs === undefined) return;
    const elapsedMs = this.#waitedMs + this.#clock.monotonicMs() - this.#waitingSinceMs;
    if (elapsedMs >= GRACE_MS && this.#bodyBytes < (elapsedMs / 1_000) * MIN_BYTES_PER_SECOND) this.#request.socket.destroy();
  }

  #stopWaiting(): void {
    if (this.#waitingSinceMs === undefined) return;
    this.#waitedMs += this.#clock.monotonicMs() - this.#waitingSinceMs;
    this.#waitingSinceMs = undefined;
  }
}

export function nodeHead(request: IncomingMessage, client: WebClient): RequestHead {
  const url = request.url ?? '/';
  const mark = url.indexOf('?');
  return {
    method: request.method ?? 'GET',
    path: mark === -1 ? url : url.slice(0, mark),
    query: mark === -1 ? '' : url.slice(mark + 1),
    ...client,
    header: (name) => request.headersDistinct[name]?.join(', '),
  };
}

function ignore(): void {}
