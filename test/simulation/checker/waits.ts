import type { SpooledFrame } from '../../../src/client/spool.ts';
import type { Simulation } from '../simulation.ts';

/** While nothing is wrong, a client waits no longer than this until what it wrote is applied and it knows. */
const PATIENCE_MS = 60_000;

/** Watches that nobody waits long for what nobody is in the way of, also in the midst of a history. */
export class Waits {
  readonly #simulation: Simulation;
  readonly #sinceMs = new WeakMap<SpooledFrame, number>();

  constructor(simulation: Simulation) {
    this.#simulation = simulation;
  }

  /** To be called again and again. */
  look(): void {
    const { timeline, clients, troubles, violate } = this.#simulation;
    const calmSinceMs = troubles.calmSinceMs(0) ?? Infinity;
    for (const { host, disk } of clients) {
      for (const frame of disk.held) {
        const sinceMs = this.#sinceMs.get(frame) ?? timeline.nowMs;
        this.#sinceMs.set(frame, sinceMs);
        const waitedMs = timeline.nowMs - Math.max(sinceMs, calmSinceMs);
        if (waitedMs > PATIENCE_MS)
          return violate(
            `${host.name} has waited ${Math.round(waitedMs)} ms for partition ${frame.partition} ${frame.seq}, and nothing is wrong`,
          );
      }
    }
  }
}
