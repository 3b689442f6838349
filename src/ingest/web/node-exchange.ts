import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../../core/clock.ts';
import { NO_CONTENT, type RequestHead, type WebExchange, type WebResponse } from './engine.ts';

/** How long the rest of a body is read once its request was answered. */
const REST_MS = 5_000;

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
  #isGone = false;
  /** Since when the rest of the body is thrown away. */
  #restSinceMs: number | undefined;

  /** `done` is called when nothing more comes of it. */
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
      this.gone();
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
        const { value, done } = (await chunks.next()) as IteratorResult<Buffer, void>;
        if (done === true) return;
        yield value;
      }
    } finally {
      // Else what is left does not flow.
      void chunks.return?.().catch(ignore);
    }
  }

  /** The connection is gone. The response may never say so: of one that waits behind others Node.js tells nothing. */
  gone(): void {
    if (this.#isAnswered || this.#isGone) return;
    this.#isGone = true;
    this.#abort.abort(new Error('the peer went away'));
  }

  respond({ status, headers = {}, body = '', close }: WebResponse): void {
    if (this.#isAnswered || this.#isGone || this.#response.destroyed) return;
    this.#isAnswered = true;
    const bytes = Buffer.from(body);
    if (close === true && !this.#request.complete) this.#linger();
    this.#response.writeHead(status, {
      ...headers,
      ...(status === NO_CONTENT ? {} : { 'content-length': bytes.length }),
      ...(close === true ? { connection: 'close' } : {}),
    });
    this.#response.end(bytes, () => {
      if (!this.#request.complete) this.#readRest();
    });
  }

  /** Ends the connection when the rest of an answered request does not come. */
  checkRest(): void {
    if (this.#request.complete || this.#restSinceMs === undefined) return;
    if (this.#clock.monotonicMs() - this.#restSinceMs >= REST_MS) this.#request.socket.destroy();
  }

  #readRest(): void {
    this.#restSinceMs ??= this.#clock.monotonicMs();
    this.#request.resume();
  }

  /**
   * Node.js ends a connection after its last answer by `destroySoon`. While there is more to read that resets it, and the
   * peer, which is still sending, may never see the answer: so only our half is ended, and the rest is read for a while.
   */
  #linger(): void {
    const { socket } = this.#request;
    const destroySoon = socket.destroySoon.bind(socket);
    socket.destroySoon = () => {
      if (this.#request.complete) return destroySoon();
      socket.end();
      this.#request.once('end', destroySoon);
      this.#readRest();
    };
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
