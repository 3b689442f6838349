import type { SpooledFrame } from '../../../src/client/spool.ts';
import type { Simulation } from '../simulation.ts';

/**
 * While nothing is wrong that is not to be survived, a client waits no longer than this until it knows of what is applied, and until anything is applied
 * in a partition that has something to apply.
 */
const PATIENCE_MS = 60_000;

/** Watches that nobody waits long for what nothing is in the way of, also in the midst of a history. */
export class Waits {
  readonly #simulation: Simulation;
  readonly #heldSinceMs = new WeakMap<SpooledFrame, number>();
  /** Of frames that are applied, and that their client still holds. */
  readonly #appliedSinceMs = new WeakMap<SpooledFrame, number>();
  /** By partition, how much is applied, and since when. */
  readonly #applied = new Map<number, { readonly sum: number; readonly sinceMs: number }>();

  constructor(simulation: Simulation) {
    this.#simulation = simulation;
  }

  /** To be called again and again. */
  look(): void {
    const { timeline, clients, partitions, servers, troubles, violate } = this.#simulation;
    const { nowMs } = timeline;
    for (let partition = 0; partition < partitions; partition++) {
      const sum = servers.watch.applied(partition);
      if (sum !== this.#applied.get(partition)?.sum) this.#applied.set(partition, { sum, sinceMs: nowMs });
    }
    const calmSinceMs = troubles.quietSinceMs ?? Infinity;
    for (const { host, disk } of clients)
      for (const frame of disk.held) {
        const sinceMs = this.#heldSinceMs.get(frame) ?? nowMs;
        this.#heldSinceMs.set(frame, sinceMs);
        const { partition, seq } = frame;
        const isApplied = servers.watch.watermark(disk.stream!, partition) >= seq;
        const appliedSinceMs = this.#appliedSinceMs.get(frame) ?? nowMs;
        if (isApplied) this.#appliedSinceMs.set(frame, appliedSinceMs);
        // Of what is applied, how long that took is not its client's wait.
        if (nowMs - Math.max(isApplied ? appliedSinceMs : sinceMs, calmSinceMs) <= PATIENCE_MS) continue;
        if (!isApplied && nowMs - (this.#applied.get(partition)?.sinceMs ?? nowMs) <= PATIENCE_MS) continue;
        const what = isApplied ? 'which is applied' : 'where nothing is applied';
        return violate(
          `${host.name} has waited ${Math.round(nowMs - sinceMs)} ms for partition ${partition} ${seq}, ${what}, and nothing is wrong`,
        );
      }
  }
}
