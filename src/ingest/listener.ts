/**
 * A door where changes are pushed to us. A listener accepts connections of one transport, wraps each as a
 * {@link Connection} (`core/network.ts`) and hands it to the acceptor it was created with, which runs the session.
 */
export interface Listener {
  readonly name: string;
  /** Where it listens, once {@link start} has resolved. */
  readonly address: { readonly host: string; readonly port: number };
  /** How many connections there may be at a time, from the next one on. */
  maxConnections: number;
  /** @throws {SyncError} when the address cannot be used; the message names it and says what to do. */
  start(): Promise<void>;
  /** Stops accepting; connections that are open stay open. */
  stop(): Promise<void>;
  /** Stops accepting and destroys every connection. */
  close(): Promise<void>;
}
