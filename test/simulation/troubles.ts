import { SeededRandom } from '../support/seeded-random.ts';
import type { PlannedStrike } from './course.ts';
import type { Simulation } from './simulation.ts';

/** How long a fault must be alone at its beginning, so that somebody takes the place of what is gone. */
const ALONE_MS = 15_000;

/** Faults that have struck, and those of them that last. */
export class Troubles {
  /** How many have struck. */
  count = 0;
  readonly #simulation: Simulation;
  readonly #note: (text: string) => void;
  /** How to put right what lasts, and since when everything is to go on all the same. */
  readonly #undo = new Map<() => void, { readonly sinceMs: number; isSurvived: boolean }>();
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
    for (const lasting of this.#undo.values()) if (this.#changedMs - lasting.sinceMs < ALONE_MS) lasting.isSurvived = false;
    const undo = fault.strike(this.#simulation, new SeededRandom(seed));
    if (undo === undefined) return;
    const once = () => {
      if (!this.#undo.delete(once)) return;
      this.#note(`healed: ${fault.name}`);
      this.#changedMs = this.#simulation.timeline.nowMs;
      undo();
    };
    this.#undo.set(once, { sinceMs: this.#changedMs, isSurvived: fault.isSurvived === true && this.#undo.size === 0 });
    this.#simulation.at(lastsMs, once);
  }

  /** Puts right whatever lasts. */
  end(): void {
    for (const undo of [...this.#undo.keys()]) undo();
  }

  /** Since when nothing has happened, while no more than so many faults last; undefined while more do. */
  calmSinceMs(lasting: number): number | undefined {
    return this.#undo.size <= lasting ? this.#changedMs : undefined;
  }

  /** Since when nothing has happened, while at most one fault lasts and that is to be survived; undefined while more do. */
  get quietSinceMs(): number | undefined {
    const lasting = [...this.#undo.values()];
    return lasting.length <= 1 && lasting.every(({ isSurvived }) => isSurvived) ? this.#changedMs : undefined;
  }
}
