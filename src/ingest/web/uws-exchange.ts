import { STATUS_CODES } from 'node:http';
import { NO_CONTENT, type RequestHead, type WebExchange, type WebResponse } from './engine.ts';
import type { UwsRequest, UwsResponse } from './uws.ts';

/** Small pieces of a body are put together in memory of so much. */
const BLOCK_BYTES = 4 * 1024;

/** A request and its answer over uWebSockets.js. */
export class UwsExchange implements WebExchange {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly remoteAddress: string;
  readonly certificateNames: readonly string[];
  readonly header: (name: string) => string | undefined;
  readonly #response: UwsResponse;
  /** The connection serves no other request. */
  readonly #isLast: boolean;
  readonly #abort = new AbortController();
  #isAnswered = false;
  /** What of the body has come and is not taken yet. */
  #chunks: Uint8Array[] = [];
  /** What of the last of them is filled; there may be room behind. */
  #lastBytes = 0;
  #isComplete = false;
  #isPaused = false;
  #changed = ignore;

  constructor(response: UwsResponse, head: RequestHead, isLast: boolean) {
    this.method = head.method;
    this.path = head.path;
    this.query = head.query;
    this.remoteAddress = head.remoteAddress;
    this.certificateNames = head.certificateNames;
    this.header = (name) => head.header(name);
    this.#response = response;
    this.#isLast = isLast;
    response.onAborted(() => {
      if (this.#isAnswered) return;
      this.#abort.abort(new Error('the peer went away'));
      this.#changed();
    });
    response.onData((chunk, isLast) => {
      if (this.#isAnswered) return;
      if (chunk.byteLength > 0) this.#keep(new Uint8Array(chunk));
      this.#isComplete = isLast;
      if (!isLast) this.#pause();
      this.#changed();
    });
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  async *body(): AsyncGenerator<Uint8Array, void> {
    while (!this.#isAnswered) {
      this.#abort.signal.throwIfAborted();
      if (this.#chunks.length === 1) this.#trimLast();
      const chunk = this.#chunks.shift();
      if (chunk !== undefined) yield chunk;
      else if (this.#isComplete) return;
      else {
        const { promise, resolve } = Promise.withResolvers<void>();
        this.#changed = resolve;
        this.#resume();
        await promise;
      }
    }
  }

  respond({ status, headers = {}, body = '', close }: WebResponse): void {
    if (this.#isAnswered || this.#abort.signal.aborted) return;
    // A body that nobody takes must still come to its end.
    this.#resume();
    this.#isAnswered = true;
    this.#chunks = [];
    answer(this.#response, this.method, { status, headers, body }, close === true || this.#isLast);
    this.#changed();
  }

  /** Copies `chunk`. A peer that sends it in pieces of a byte would else fill the memory with the pieces. */
  #keep(chunk: Uint8Array): void {
    const last = this.#chunks.at(-1);
    if (last !== undefined && this.#lastBytes + chunk.length <= last.length) last.set(chunk, this.#lastBytes);
    else {
      this.#trimLast();
      this.#lastBytes = 0;
      const kept = new Uint8Array(Math.max(chunk.length, BLOCK_BYTES));
      kept.set(chunk);
      this.#chunks.push(kept);
    }
    this.#lastBytes += chunk.length;
  }

  #trimLast(): void {
    const last = this.#chunks.pop();
    if (last !== undefined) this.#chunks.push(last.subarray(0, this.#lastBytes));
  }

  #pause(): void {
    if (this.#isPaused) return;
    this.#isPaused = true;
    this.#response.pause();
  }

  #resume(): void {
    if (!this.#isPaused || this.#isAnswered) return;
    this.#isPaused = false;
    this.#response.resume();
  }
}

/** Answers a request that has not been answered or aborted. */
export function answer(
  response: UwsResponse,
  method: string,
  { status, headers = {}, body = '' }: Omit<WebResponse, 'close'>,
  isLast: boolean,
): void {
  const bytes = Buffer.from(body);
  response.cork(() => {
    response.writeStatus(`${status} ${STATUS_CODES[status] ?? ''}`);
    for (const [name, value] of Object.entries(headers)) response.writeHeader(name, value);
    if (isLast) response.writeHeader('connection', 'close');
    // Told nothing at all, it tells no length; then the peer is the one to close.
    if (status === NO_CONTENT) response.endWithoutBody();
    else if (method === 'HEAD') response.endWithoutBody(bytes.length, isLast);
    else response.end(bytes, isLast);
  });
}

/** Copies what is asked for: `request` is gone when the function that got it returns. */
export function uwsHead(request: UwsRequest, remoteAddress: string): RequestHead {
  const headers = new Map<string, string>();
  request.forEach((name, value) => {
    const before = headers.get(name);
    headers.set(name, before === undefined ? value : `${before}, ${value}`);
  });
  return {
    method: request.getCaseSensitiveMethod(),
    path: request.getUrl(),
    query: request.getQuery() ?? '',
    remoteAddress,
    certificateNames: [],
    header: (name) => headers.get(name),
  };
}

function ignore(): void {}
