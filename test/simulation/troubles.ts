import { SeededRandom } from '../support/seeded-random.ts';
import type { PlannedStrike } from './course.ts';
import type { Simulation } from './simulation.ts';

/** Faults that have struck, and those of them that last. */
export class Troubles {
  /** How many have struck. */
  count = 0;
  readonly #simulation: Simulation;
  readonly #note: (text: string) => void;
  readonly #undo = new Set<() => void>();
  /** When something happened last, or ended. */
  #changedMs = 0;

  constructor(simulation: Simulation, note: (text: string) => void) {
    this.#simulation = simulation;
    this.#note = note;
  }

  strike({ fault, lastsMs, seed }: Omit<PlannedStrike, 'atMs'>): void {
    this.#note(`fault: ${fault.name} (${Math.round(lastsMs)} ms)`);
    this.count++;
    this.#changedMs = this.#simulation.timeline.nowMs;
    const undo = fault.strike(this.#simulation, new SeededRandom(seed));
    if (undo === undefined) return;
    const once = () => {
      if (!this.#undo.delete(once)) return;
      this.#note(`healed: ${fault.name}`);
      this.#changedMs = this.#simulation.timeline.nowMs;
      undo();
    };
    this.#undo.add(once);
    this.#simulation.at(lastsMs, once);
  }

  /** Puts right whatever lasts. */
  end(): void {
    for (const undo of [...this.#undo]) undo();
  }

  /** Since when nothing has happened, while no more than so many faults last; undefined while more do. */
  calmSinceMs(lasting: number): number | undefined {
    return this.#undo.size <= lasting ? this.#changedMs : undefined;
  }
}
