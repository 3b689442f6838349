import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

const PAGE = '<!doctype html><meta charset="utf-8"><title>test</title><script type="module" src="/page.js"></script>';

/** Serves an empty page that runs one script. */
export class PageServer {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(script: string): Promise<PageServer> {
    const server = createServer((request, response) => {
      const isScript = request.url === '/page.js';
      response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html');
      response.end(isScript ? script : PAGE);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new PageServer(server);
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`;
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}
