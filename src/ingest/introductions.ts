import type { Socket } from 'node:net';
import type { Clock } from '../core/clock.ts';
import { SyncError } from '../core/errors.ts';
import { type AddressRanges, createAddressRanges, plainAddress } from './address-ranges.ts';
import type { ProxyHeader } from './proxy-header.ts';
import { receiveProxyHeader } from './receive-proxy-header.ts';

/** Balancers that say in a PROXY protocol header for whom they connect. */
export interface ProxyOptions {
  /** Addresses and ranges: a connection from one of them must begin with a header, and no other is believed one. */
  readonly from: readonly string[];
  readonly clock: Clock;
  /** A connection from the balancer `address` is closed, because its header is missing or wrong. */
  readonly refused: (address: string, error: SyncError) => void;
}

/** How long a peer may take to read why it is refused. */
const REFUSAL_DEADLINE_MS = 1_000;

/** Finds out for whom each connection that a door accepts is: for the peer itself, or for whom a balancer names. */
export class Introductions {
  readonly #proxy: ProxyOptions | undefined;
  readonly #balancers: AddressRanges | undefined;
  readonly #lastWords: (error: SyncError) => Uint8Array;
  /** Connections of balancers that have not said yet for whom they are, or that are told why they are refused. */
  readonly #unintroduced = new Set<Socket>();
  #isClosed = false;

  /** `lastWords` says in the language of the door why a connection is refused. */
  constructor(proxy: ProxyOptions | undefined, lastWords: (error: SyncError) => Uint8Array) {
    this.#proxy = proxy;
    this.#balancers = proxy && createAddressRanges(proxy.from);
    this.#lastWords = lastWords;
  }

  /** Calls `take` with the client's address once that is known; the socket may stand still then. */
  introduce(socket: Socket, take: (address: string) => void): void {
    const address = plainAddress(socket.remoteAddress ?? 'unknown');
    if (this.#proxy !== undefined && this.#balancers?.includes(address)) void this.#receive(socket, address, this.#proxy, take);
    else take(address);
  }

  /** Destroys those that have not been introduced. */
  close(): void {
    this.#isClosed = true;
    for (const socket of [...this.#unintroduced]) socket.destroy();
  }

  async #receive(socket: Socket, balancer: string, proxy: ProxyOptions, take: (address: string) => void): Promise<void> {
    this.#unintroduced.add(socket);
    const gone = () => void this.#unintroduced.delete(socket);
    socket.once('close', gone);
    // Without a listener a reset connection would end the process.
    socket.on('error', ignore);
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
    socket.off('close', gone);
    gone();
    take(header.source ?? balancer);
  }

  /** Says why, for the client behind a balancer that sends no header; what still comes is thrown away. */
  #refuse(socket: Socket, error: SyncError, clock: Clock): void {
    if (socket.destroyed) return;
    const deadline = clock.setTimer(REFUSAL_DEADLINE_MS, () => socket.destroy());
    socket.once('close', () => deadline.cancel());
    socket.resume();
    socket.end(this.#lastWords(error));
  }
}

function ignore(): void {}
