import type { Connection } from '../../core/network.ts';

/**
 * What carries WebSocket connections and HTTP requests on one port. Two of them pass the same contract suite:
 * uWebSockets.js, where it loads, and `ws` on `node:http`.
 */
export interface WebEngine {
  readonly name: 'uws' | 'ws';
  /** Where it listens, once {@link start} has resolved. */
  readonly address: { readonly host: string; readonly port: number };
  /** How many connections there may be at a time, from the next one on. */
  maxConnections: number;
  /** How many of them one address may have, whatever it uses them for, where the engine can tell whose a connection was that ended. */
  maxConnectionsPerAddress: number;
  /** @throws {SyncError} when the address cannot be used; the message names it and says what to do. */
  start(): Promise<void>;
  /** Stops accepting; connections and requests that are open stay open. */
  stop(): Promise<void>;
  /** Stops accepting and destroys every connection. */
  close(): Promise<void>;
}

/** Who an engine works for. It throws nothing. */
export interface WebDoor {
  /** Somebody asks for a WebSocket connection. Undefined takes it in; else it is answered with that. */
  judge(head: RequestHead): WebResponse | undefined;
  /** A WebSocket connection was made. Each binary message comes as data; a text message ends it. */
  connected(connection: Connection): void;
  /** An HTTP request, its body still to come; everything but upgrades to WebSocket. */
  requested(exchange: WebExchange): void;
}

export interface RequestHead {
  /** In capitals. */
  readonly method: string;
  /** What stands before `?`, as it was sent. */
  readonly path: string;
  /** What stands behind `?`; '' without one. */
  readonly query: string;
  /** The address of the peer, or of whom a trusted balancer named in its PROXY protocol header. */
  readonly remoteAddress: string;
  /** Names in the certificate that the peer proved to own, such as `DNS:shop.example`; empty without one. */
  readonly certificateNames: readonly string[];
  /** The value of a header, by its name in lower case; what came several times is joined with `, `. */
  header(name: string): string | undefined;
}

/** A request and its answer. */
export interface WebExchange extends RequestHead {
  /** Aborted when the peer goes away before it is answered. */
  readonly signal: AbortSignal;
  /**
   * The body as it arrives, as it was sent (compressed, if so). The peer is held back while nobody takes the next chunk.
   * Throws when the peer goes away in the middle. Read once at most; what is left unread is thrown away with the answer.
   */
  body(): AsyncIterable<Uint8Array>;
  /** Answers, once. Does nothing when the peer is gone. */
  respond(response: WebResponse): void;
}

/** A status whose answers have no body, and no length. */
export const NO_CONTENT = 204;

export interface WebResponse {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** The connection ends with this answer: what the peer still sends is not worth reading. */
  readonly close?: true;
}
