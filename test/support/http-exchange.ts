import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { WebExchange, WebResponse } from '../../src/ingest/web/engine.ts';

/** A plain `node:http` server that brings exchanges to `requested`: the least that an engine is, for tests of what lies behind. */
export class HttpServer {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(requested: (exchange: WebExchange) => void): Promise<HttpServer> {
    const server = createServer((request, response) => requested(exchangeOf(request, response)));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new HttpServer(server);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    const closed = once(this.#server, 'close');
    this.#server.close();
    await closed;
  }
}

function exchangeOf(request: IncomingMessage, response: ServerResponse): WebExchange {
  const url = request.url ?? '';
  const [path = '', ...query] = url.split('?');
  const gone = new AbortController();
  response.on('close', () => {
    if (!response.writableFinished) gone.abort();
  });
  return {
    method: request.method ?? '',
    path,
    query: query.join('?'),
    remoteAddress: request.socket.remoteAddress ?? '',
    certificateNames: [],
    header: (name) => {
      const value = request.headers[name];
      return Array.isArray(value) ? value.join(', ') : value;
    },
    signal: gone.signal,
    body: () => request as AsyncIterable<Uint8Array>,
    respond: (answer) => respond(request, response, answer),
  };
}

function respond(request: IncomingMessage, response: ServerResponse, { status, headers, body, close }: WebResponse): void {
  if (response.destroyed || response.headersSent) return;
  response.writeHead(status, {
    ...headers,
    ...(close === true ? { connection: 'close' } : {}),
    'content-length': Buffer.byteLength(body ?? ''),
  });
  response.end(body);
  request.resume();
}
