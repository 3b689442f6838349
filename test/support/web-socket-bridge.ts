import { connect, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { WebSocketServer, type WebSocket } from 'ws';

/** Carries the frames of WebSockets to a TCP listener and back, as a listener for WebSockets would take them. */
export class WebSocketBridge {
  readonly #server: WebSocketServer;

  private constructor(server: WebSocketServer) {
    this.#server = server;
  }

  static async start(tcpPort: number): Promise<WebSocketBridge> {
    const server = new WebSocketServer({ host: '127.0.0.1', port: 0, path: '/ws' });
    server.on('connection', (socket) => join(socket, connect({ host: '127.0.0.1', port: tcpPort })));
    await new Promise<void>((resolve) => server.once('listening', resolve));
    return new WebSocketBridge(server);
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.#server.address() as AddressInfo).port}/ws`;
  }

  get connectionCount(): number {
    return this.#server.clients.size;
  }

  /** Breaks every connection. */
  cut(): void {
    for (const socket of this.#server.clients) socket.terminate();
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

function join(socket: WebSocket, behind: Socket): void {
  socket.on('message', (data: Buffer) => void behind.write(data));
  socket.on('close', () => behind.destroy());
  socket.on('error', () => behind.destroy());
  behind.on('data', (chunk) => socket.send(chunk));
  behind.on('end', () => socket.close(1000));
  behind.on('error', () => socket.terminate());
  behind.on('close', () => socket.close());
}
