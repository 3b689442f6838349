import type { SeededRandom } from '../../support/seeded-random.ts';

/** When what was written reaches the disk; `off`: there is no file. */
export type Persistence = 'always' | 'everysec' | 'no' | 'off';

const SECOND_MS = 1000;
const KERNEL_KEEPS_MS = 30_000;
/** Redis waits for a slow disk no longer than this. */
const MAX_POSTPONED_MS = 2000;

/**
 * How far the file of a server has come: what the kernel has of it outlives the process, what the disk has outlives the
 * machine.
 *
 * With `everysec` the file is forced to the disk once a second in the background. Redis answers at once, but while that
 * runs it holds back what it writes to the file: a killed process then loses what it has acknowledged.
 */
export class AppendOnlyFile {
  readonly #persistence: Persistence;
  readonly #random: SeededRandom;
  readonly #maxSyncMs: number;
  #writtenMs = 0;
  #durableMs = 0;
  /** The sync that runs: it covers what was written until `fromMs`. */
  #sync: { readonly fromMs: number; readonly untilMs: number } | undefined;
  /** The second in which the last sync began. */
  #syncedSecond = -1;
  /** Where in a second of the simulation one of the server begins. */
  readonly #phaseMs: number;
  #lastWriteMs = 0;

  constructor(persistence: Persistence, random: SeededRandom, maxSyncMs: number) {
    this.#persistence = persistence;
    this.#random = random;
    this.#maxSyncMs = maxSyncMs;
    this.#phaseMs = random.below(SECOND_MS);
  }

  /** The kernel has what was written until then. */
  get writtenMs(): number {
    return this.#writtenMs;
  }

  /** The disk has what was written until then. */
  get durableMs(): number {
    return this.#durableMs;
  }

  /** When {@link advance} will have something to do; undefined while nothing is to be forced. */
  get dueMs(): number | undefined {
    if (this.#persistence !== 'everysec') return undefined;
    if (this.#sync !== undefined) return this.#sync.untilMs;
    return this.#lastWriteMs > this.#durableMs ? this.#nextSyncMs : undefined;
  }

  /** The server lives at `nowMs`: what is due by then has happened. Times never go back. */
  advance(nowMs: number): void {
    if (this.#persistence === 'everysec') this.#advanceSyncs(nowMs);
    else {
      this.#writtenMs = nowMs;
      if (this.#persistence === 'always') this.#durableMs = nowMs;
      else this.#durableMs = Math.max(this.#durableMs, nowMs - KERNEL_KEEPS_MS);
    }
  }

  /** Something was written at `nowMs`, to which the file has advanced. */
  wrote(nowMs: number): void {
    this.#lastWriteMs = nowMs;
    if (this.#persistence !== 'everysec') this.advance(nowMs);
    else if (this.#sync === undefined || nowMs - this.#sync.fromMs > MAX_POSTPONED_MS) {
      this.#writtenMs = nowMs;
      if (this.#sync === undefined && this.#secondOf(nowMs) > this.#syncedSecond) this.#begin(nowMs);
    }
  }

  /** The process, or with it the machine, is gone at `nowMs`; what is left of the file is on the disk, or will be. */
  ended(nowMs: number, what: 'process' | 'machine'): void {
    this.#writtenMs = nowMs;
    if (what === 'machine') this.#durableMs = nowMs;
    this.#sync = undefined;
  }

  #advanceSyncs(nowMs: number): void {
    for (;;) {
      if (this.#sync !== undefined) {
        if (this.#sync.untilMs > nowMs) return;
        this.#durableMs = this.#sync.fromMs;
        this.#writtenMs = this.#sync.untilMs;
        this.#sync = undefined;
      }
      const dueMs = this.#nextSyncMs;
      // When there is nothing to force, the next write begins the next sync.
      if (dueMs > nowMs || this.#lastWriteMs <= this.#durableMs) break;
      this.#begin(dueMs);
    }
    this.#writtenMs = nowMs;
  }

  get #nextSyncMs(): number {
    return Math.max(this.#writtenMs, (this.#syncedSecond + 1) * SECOND_MS + this.#phaseMs);
  }

  #begin(fromMs: number): void {
    this.#sync = { fromMs, untilMs: fromMs + this.#random.fraction() * this.#maxSyncMs };
    this.#syncedSecond = this.#secondOf(fromMs);
  }

  #secondOf(timeMs: number): number {
    return Math.floor((timeMs - this.#phaseMs) / SECOND_MS);
  }
}
