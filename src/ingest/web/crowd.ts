import { SyncError } from '../../core/errors.ts';
import { networkOf } from '../address-ranges.ts';
import type { WebResponse } from './engine.ts';
import { problem } from './problem.ts';

/** Counts the connections of each address, whatever they are used for. */
export class Crowd {
  readonly #counts = new Map<string, number>();

  /** Returns how many the address has now. */
  enter(address: string): number {
    const network = networkOf(address);
    const count = (this.#counts.get(network) ?? 0) + 1;
    this.#counts.set(network, count);
    return count;
  }

  leave(address: string): void {
    const network = networkOf(address);
    const count = this.#counts.get(network)! - 1;
    if (count === 0) this.#counts.delete(network);
    else this.#counts.set(network, count);
  }
}

export function tooMany(address: string, count: number, limit: number): SyncError {
  return new SyncError(
    'too_many_connections',
    `${address} has ${count} connections to the web port; ingest.maxConnectionsPerAddress is ${limit}`,
  );
}

export function crowdedResponse({ message }: SyncError): WebResponse {
  return problem(429, message, { 'retry-after': '1' });
}
