import { networkOf } from './address-ranges.ts';
import { TokenBucket } from './token-bucket.ts';

/** Addresses that are remembered; the one that has been there longest is forgotten for the next. */
const MAX_ADDRESSES = 10_000;

/** So many datagrams in a second from each address, with a bound on how many addresses are remembered. */
export class AddressRates {
  #perSecond: number;
  readonly #buckets = new Map<string, TokenBucket>();

  constructor(perSecond: number) {
    this.#perSecond = perSecond;
  }

  set perSecond(perSecond: number) {
    this.#perSecond = perSecond;
    for (const bucket of this.#buckets.values()) bucket.perSecond = perSecond;
  }

  /** How many addresses are remembered. */
  get size(): number {
    return this.#buckets.size;
  }

  take(address: string, nowMs: number): boolean {
    const network = networkOf(address);
    let bucket = this.#buckets.get(network);
    if (bucket === undefined) {
      if (this.#buckets.size >= MAX_ADDRESSES) this.#buckets.delete(this.#buckets.keys().next().value!);
      bucket = new TokenBucket(this.#perSecond, nowMs);
      this.#buckets.set(network, bucket);
    }
    return bucket.take(1, nowMs);
  }
}
