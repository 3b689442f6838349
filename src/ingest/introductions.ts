import type { Socket } from 'node:net';
import type { Clock } from '../core/clock.ts';
import { SyncError } from '../core/errors.ts';
import { type AddressRanges, createAddressRanges, plainAddress } from './address-ranges.ts';
import type { ProxyHeader } from './proxy-header.ts';
import { receiveProxyHeader } from './receive-proxy-header.ts';
import type { SecuredSocket, TlsTerminator } from './tls-terminator.ts';

/** Balancers that say in a PROXY protocol header for whom they connect. */
export interface ProxyOptions {
  /** Addresses and ranges: a connection from one of them must begin with a header, and no other is believed one. */
  readonly from: readonly string[];
  readonly clock: Clock;
  /** A connection from the balancer `address` is closed, because its header is missing or wrong. */
  readonly refused: (address: string, error: SyncError) => void;
}

/** TLS that ends at a door. */
export interface TlsDoorOptions {
  readonly terminator: TlsTerminator;
  readonly clock: Clock;
  /** A connection from `address`, the client's, is closed: it speaks no TLS, or its handshake or certificate will not do. */
  readonly refused: (address: string, error: SyncError) => void;
}

/** What a connection goes on over after its TLS handshake. */
export type Secured = Pick<SecuredSocket, 'socket' | 'certificateNames'>;

/** Gets the client's address; `secured` where the door speaks TLS: then the socket that was accepted is not to be used. */
type Take = (address: string, secured?: Secured) => void;

/** How long a peer may take to read why it is refused. */
const REFUSAL_DEADLINE_MS = 1_000;

/**
 * Finds out for whom each connection that a door accepts is: for the peer itself, or for whom a balancer names. Where the
 * door speaks TLS, the handshake follows, and tells which certificate the client owns.
 */
export class Introductions {
  readonly #proxy: ProxyOptions | undefined;
  readonly #balancers: AddressRanges | undefined;
  readonly #lastWords: (error: SyncError) => Uint8Array;
  readonly #tls: TlsDoorOptions | undefined;
  /** Connections that are not those of a client yet: in their PROXY header or TLS handshake, or being told why they are refused. */
  readonly #unintroduced = new Set<Socket>();
  #isClosed = false;

  /** `lastWords` says in the language of the door why a connection is refused. */
  constructor(proxy: ProxyOptions | undefined, lastWords: (error: SyncError) => Uint8Array, tls?: TlsDoorOptions) {
    this.#proxy = proxy;
    this.#tls = tls;
    this.#balancers = proxy && createAddressRanges(proxy.from);
    this.#lastWords = lastWords;
  }

  /** Calls `take` once all of that is known; the socket may stand still then. */
  introduce(socket: Socket, take: Take): void {
    const address = plainAddress(socket.remoteAddress ?? 'unknown');
    if (this.#proxy !== undefined && this.#balancers?.includes(address)) void this.#receive(socket, address, this.#proxy, take);
    else this.#secure(socket, address, take);
  }

  /** Destroys those that have not been introduced. */
  close(): void {
    this.#isClosed = true;
    for (const socket of [...this.#unintroduced]) socket.destroy();
  }

  async #receive(socket: Socket, balancer: string, proxy: ProxyOptions, take: Take): Promise<void> {
    const introduced = this.#hold(socket);
    let header: ProxyHeader | undefined;
    try {
      header = await receiveProxyHeader(socket, proxy.clock);
    } catch (error) {
      if (!(error instanceof SyncError)) throw error;
      if (this.#isClosed) return;
      proxy.refused(balancer, error);
      return this.#refuse(socket, error, proxy.clock);
    }
    if (header === undefined || socket.destroyed) return void socket.destroy();
    introduced();
    this.#secure(socket, header.source ?? balancer, take);
  }

  #secure(socket: Socket, address: string, take: Take): void {
    if (this.#tls === undefined) take(address);
    else void this.#shakeHands(socket, address, this.#tls, take);
  }

  async #shakeHands(raw: Socket, address: string, { terminator, clock, refused }: TlsDoorOptions, take: Take): Promise<void> {
    const introduced = this.#hold(raw);
    let secured: SecuredSocket | undefined;
    try {
      secured = await terminator.secure(raw, address);
    } catch (error) {
      if (!(error instanceof SyncError)) throw error;
      if (!this.#isClosed) refused(address, error);
      return;
    }
    if (secured === undefined || secured.socket.destroyed) return void raw.destroy();
    if (secured.refusal !== undefined) {
      refused(address, secured.refusal);
      return this.#refuse(secured.socket, secured.refusal, clock);
    }
    introduced();
    take(address, secured);
  }

  /** Keeps a connection among those that are not introduced, until it ends or what is returned is called. */
  #hold(socket: Socket): () => void {
    const gone = () => void this.#unintroduced.delete(socket);
    this.#unintroduced.add(socket);
    socket.once('close', gone);
    // Without a listener a reset connection would end the process.
    socket.on('error', ignore);
    return () => {
      socket.off('close', gone);
      gone();
    };
  }

  /** Says why, for a client that can read it; what still comes is thrown away. */
  #refuse(socket: Socket, error: SyncError, clock: Clock): void {
    if (socket.destroyed) return;
    const deadline = clock.setTimer(REFUSAL_DEADLINE_MS, () => socket.destroy());
    socket.once('close', () => deadline.cancel());
    socket.resume();
    socket.end(this.#lastWords(error));
  }
}

function ignore(): void {}
