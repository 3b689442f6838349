import { createRequire } from 'node:module';
import { messageOf } from '../../core/errors.ts';

/** What is used of uWebSockets.js. Its own declarations are older than its binaries. */
export interface UWebSockets {
  App(): UwsApp;
  us_listen_socket_close(socket: UwsListenSocket): void;
  us_socket_local_port(socket: UwsListenSocket): number;
  readonly DISABLED: number;
  readonly LIBUS_LISTEN_EXCLUSIVE_PORT: number;
}

export interface UwsApp {
  ws(pattern: string, behavior: UwsBehavior): UwsApp;
  any(pattern: string, run: (response: UwsResponse, request: UwsRequest) => void): UwsApp;
  /** Called with 1 for each connection that comes and −1 for each that goes. */
  filter(run: (response: UwsResponse, count: number) => void): UwsApp;
  listen(host: string, port: number, options: number, done: (socket: UwsListenSocket | false) => void): UwsApp;
  /** Destroys every connection. A thread that ends with an app that is not closed takes the whole process with it. */
  close(): UwsApp;
}

export interface UwsListenSocket {
  readonly [listening]: never;
}
declare const listening: unique symbol;

export interface UwsBehavior {
  readonly compression: number;
  readonly maxPayloadLength: number;
  readonly maxBackpressure: number;
  readonly closeOnBackpressureLimit: number;
  /** In seconds, 8 to 960; 0 is none. */
  readonly idleTimeout: number;
  readonly sendPingsAutomatically: boolean;
  upgrade(response: UwsResponse, request: UwsRequest, context: unknown): void;
  open(socket: UwsSocket): void;
  /** `message` is gone when this returns. */
  message(socket: UwsSocket, message: ArrayBuffer, isBinary: boolean): void;
  drain(socket: UwsSocket): void;
  /** The socket throws at everything from here on. */
  close(socket: UwsSocket, code: number): void;
}

export interface UwsSocket {
  /** 1: sent. 0: waits for the peer. 2: dropped. */
  send(message: Uint8Array, isBinary: boolean): number;
  getBufferedAmount(): number;
  cork(run: () => void): void;
  end(code: number): void;
  close(): void;
  getUserData(): object;
}

/** Throws at everything once it was answered or aborted. */
export interface UwsResponse {
  onAborted(run: () => void): void;
  /** `chunk` is gone when `run` returns. */
  onData(run: (chunk: ArrayBuffer, isLast: boolean) => void): void;
  pause(): void;
  resume(): void;
  cork(run: () => void): void;
  writeStatus(status: string): void;
  writeHeader(name: string, value: string): void;
  end(body: Uint8Array, closeConnection: boolean): void;
  endWithoutBody(length?: number, closeConnection?: boolean): void;
  close(): void;
  upgrade(userData: object, key: string, protocol: string, extensions: string, context: unknown): void;
  getRemoteAddressAsText(): ArrayBuffer;
  getRemotePort(): number;
  getProxiedRemoteAddressAsText(): ArrayBuffer;
}

/** Valid until the function that got it returns. */
export interface UwsRequest {
  getCaseSensitiveMethod(): string;
  getUrl(): string;
  getQuery(): string | undefined;
  getHeader(name: string): string;
  forEach(run: (name: string, value: string) => void): void;
}

/** uWebSockets.js, or why it cannot be had here, in a few words. */
export function loadUws(): UWebSockets | string {
  try {
    return createRequire(import.meta.url)('uWebSockets.js') as UWebSockets;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND') return 'it is not installed';
    // Its own message is a paragraph; the loader's words are in the last line.
    return messageOf(error)
      .trim()
      .split('\n')
      .at(-1)!
      .replace(/^Error: /, '')
      .replace(/ \(required by .*\)$/, '');
  }
}
