/**
 * A byte connection as sessions and clients see it: ordered, reliable until it closes, with backpressure.
 * Implemented over `node:net` (and TLS), over WebSockets, and by simulated networks.
 */
export interface Connection {
  /** For logs and address limits: the peer's IP address. */
  readonly remoteAddress: string;
  /** What the door knows of the peer before it says a word. */
  readonly peer?: Peer | undefined;
  /** Installs the receiver; bytes that came before are delivered after it is set. Called once. */
  open(receiver: Receiver): void;
  /** Takes over `chunk` (the caller does not change it afterwards) and sends it in order. */
  write(chunk: Uint8Array): void;
  /** Bytes that were written and are not yet handed to the network. */
  readonly bufferedBytes: number;
  /** Stops and resumes {@link Receiver.data}; the peer is held back by flow control. */
  pause(): void;
  resume(): void;
  /** The peer has been let in: what it sends may be large from now on. Left out where that makes no difference. */
  letIn?(): void;
  /** Sends what was written, then closes. */
  end(): void;
  /** Closes at once and drops what was not sent. */
  destroy(): void;
}

export interface Peer {
  /** Names in the certificate that it proved to own, such as `DNS:shop.example`. */
  readonly certificateNames?: readonly string[];
  /** The door answers for it: it is this producer, and no token is asked for. Only for connections within this process. */
  readonly producer?: string;
}

export interface Receiver {
  /** `chunk` belongs to the receiver. */
  data(chunk: Uint8Array): void;
  /**
   * {@link Connection.bufferedBytes} fell to zero after having grown: after the network had not taken everything at once, or
   * when it was {@link NOTICEABLE_BYTES} at any time, so that whoever held back because of it hears.
   */
  drain(): void;
  /** Called exactly once; nothing follows. `error` is set when the connection broke. */
  close(error?: Error): void;
}

/** What a turn has written shows as {@link Connection.bufferedBytes} until its end; from so much on a writer may hold back. */
export const NOTICEABLE_BYTES = 16 * 1024;

/** Opens connections for a client. */
export interface Dialer {
  /** Resolves when connected. Rejects with the cause, also when `signal` is aborted. */
  connect(signal: AbortSignal): Promise<Connection>;
}

/** Whether only this machine can reach an address that is listened on. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);
}
