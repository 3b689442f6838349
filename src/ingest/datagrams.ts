import type { Clock } from '../core/clock.ts';
import { SyncError } from '../core/errors.ts';
import { decodeDatagram, readDatagram } from '../protocol/datagram.ts';
import { AddressRates } from './address-rates.ts';
import type { ChangeWriter } from './change-writer.ts';
import { TokenBucket } from './token-bucket.ts';

export interface DatagramSettings {
  readonly maxDatagramBytes: number;
  readonly datagramsPerSecond: number;
  readonly datagramsPerSecondPerAddress: number;
}

export interface DatagramParts {
  readonly clock: Clock;
  readonly writer: ChangeWriter;
  /** The producer that `token` belongs to, when it comes from `address`. */
  producerOf(token: string, address: string): string | undefined;
  /** Whether the node takes anything now: a datagram that it cannot store soon is not kept. */
  isOpen(): boolean;
}

/**
 * What became of a datagram. All but `accepted` are dropped:
 * - `address_rate`, `node_rate`: its address, or all together, sent more than they may
 * - `too_large`: above {@link DatagramSettings.maxDatagramBytes}
 * - `held`: the queue takes nothing now, or the node is leaving
 * - `malformed`: it holds no frame, or no batch
 * - `wrong_token`: nobody's
 * - `full`: what its producer sent before is not stored yet, and fills its share of memory
 */
export const DATAGRAM_OUTCOMES = [
  'accepted',
  'address_rate',
  'node_rate',
  'too_large',
  'held',
  'malformed',
  'wrong_token',
  'full',
] as const;

export type DatagramOutcome = (typeof DATAGRAM_OUTCOMES)[number];

/**
 * Judges datagrams, the cheapest check first, and brings their changes to the writer. Nothing is ever answered, so that
 * nobody whose address was forged gets anything.
 */
export class Datagrams {
  /** Since the start. */
  readonly counts: Record<DatagramOutcome, number>;
  readonly #parts: DatagramParts;
  readonly #all: TokenBucket;
  readonly #addresses: AddressRates;
  #settings: DatagramSettings;

  constructor(parts: DatagramParts, settings: DatagramSettings) {
    this.counts = Object.fromEntries(DATAGRAM_OUTCOMES.map((outcome) => [outcome, 0])) as Record<DatagramOutcome, number>;
    this.#parts = parts;
    this.#settings = settings;
    this.#all = new TokenBucket(settings.datagramsPerSecond, parts.clock.monotonicMs());
    this.#addresses = new AddressRates(settings.datagramsPerSecondPerAddress);
  }

  /** From now on datagrams are held to `settings`. */
  configure(settings: DatagramSettings): void {
    this.#settings = settings;
    this.#all.perSecond = settings.datagramsPerSecond;
    this.#addresses.perSecond = settings.datagramsPerSecondPerAddress;
  }

  /** `bytes` belongs to the door from now on. */
  take(bytes: Uint8Array, address: string): DatagramOutcome {
    const outcome = this.#judge(bytes, address);
    this.counts[outcome]++;
    return outcome;
  }

  #judge(bytes: Uint8Array, address: string): DatagramOutcome {
    const { clock, writer } = this.#parts;
    const nowMs = clock.monotonicMs();
    if (!this.#addresses.take(address, nowMs)) return 'address_rate';
    if (!this.#all.take(1, nowMs)) return 'node_rate';
    if (bytes.length > this.#settings.maxDatagramBytes) return 'too_large';
    if (!this.#parts.isOpen()) return 'held';
    try {
      const datagram = readDatagram(bytes);
      const producer = this.#parts.producerOf(datagram.token, address);
      if (producer === undefined) return 'wrong_token';
      return writer.write(producer, decodeDatagram(datagram), bytes.length) ? 'accepted' : 'full';
    } catch (error) {
      if (error instanceof SyncError) return 'malformed';
      throw error;
    }
  }
}
