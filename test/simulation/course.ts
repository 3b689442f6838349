import type { SeededRandom } from '../support/seeded-random.ts';
import type { Fault } from './faults.ts';

/** A time of many writes and many faults, ms from the start. */
export interface Rush {
  readonly fromMs: number;
  readonly toMs: number;
}

/** A fault that is to strike. */
export interface PlannedStrike {
  readonly atMs: number;
  readonly fault: Fault;
  readonly lastsMs: number;
  /** For what the fault draws. */
  readonly seed: number;
}

/** Mean time between two writes of a client, and between two faults, outside of rushes. */
const CALM_PAUSE_MS = 60_000;
const CALM_FAULT_PAUSE_MS = 120_000;
const MIN_RUSH_MS = 3_000;
const MAX_RUSH_MS = 25_000;

/**
 * How a history goes over the time: rushes, the first at the start, and calm between them, in which little happens but
 * renewals, heartbeats, time-outs and retention, and what a fault has left behind is mended.
 */
export class Course {
  readonly activeMs: number;
  readonly rushes: readonly Rush[];

  /** One rush from end to end. */
  static short(activeMs: number): Course {
    return new Course(activeMs, [{ fromMs: 0, toMs: activeMs }]);
  }

  /** `rushMs`: how long the rushes are to last together, about. */
  static draw(random: SeededRandom, activeMs: number, rushMs: number): Course {
    const count = 2 + random.below(3);
    const slotMs = activeMs / count;
    const rushes = Array.from({ length: count }, (_, i): Rush => {
      const lengthMs = Math.min(MAX_RUSH_MS, Math.max(MIN_RUSH_MS, (rushMs / count) * (0.5 + random.fraction())));
      const fromMs = i === 0 ? 0 : i * slotMs + random.fraction() * (slotMs - lengthMs);
      return { fromMs, toMs: fromMs + lengthMs };
    });
    return new Course(activeMs, rushes);
  }

  private constructor(activeMs: number, rushes: readonly Rush[]) {
    this.activeMs = activeMs;
    this.rushes = rushes;
  }

  /** The same and one more rush, after all others. */
  with(rush: Rush): Course {
    return new Course(this.activeMs, [...this.rushes, rush]);
  }

  isRush(atMs: number): boolean {
    return this.rushes.some(({ fromMs, toMs }) => atMs >= fromMs && atMs < toMs);
  }

  /** How long a client whose writes are `meanMs` apart in a rush waits for its next one. */
  pauseMs(atMs: number, meanMs: number, random: SeededRandom): number {
    if (this.isRush(atMs)) return random.fraction() * 2 * meanMs;
    const next = this.rushes.find(({ fromMs }) => fromMs > atMs)?.fromMs ?? Infinity;
    return Math.min(random.fraction() * 2 * CALM_PAUSE_MS, next - atMs);
  }

  /** Draws what strikes and when, at least `minCount` faults. */
  strikes(faults: readonly Fault[], minCount: number, random: SeededRandom): PlannedStrike[] {
    if (faults.length === 0) return [];
    const total = faults.reduce((sum, { weight }) => sum + weight, 0);
    const rushPauseMs = random.pick([1_000, 3_000, 8_000]);
    const strike = (atMs: number): PlannedStrike => {
      let left = random.fraction() * total;
      const fault = faults.find(({ weight }) => (left -= weight) < 0) ?? faults[0]!;
      return { atMs, fault, lastsMs: random.fraction() ** 2 * fault.maxMs, seed: random.below(2 ** 32) };
    };
    const strikes: PlannedStrike[] = [];
    let [fromMs, isRush] = [0, this.isRush(0)];
    // From one change of pace to the next.
    for (const toMs of [...this.rushes.flatMap((rush) => [rush.fromMs, rush.toMs]), this.activeMs]) {
      const meanMs = isRush ? rushPauseMs : CALM_FAULT_PAUSE_MS;
      for (let atMs = fromMs + random.fraction() * meanMs; atMs < toMs; atMs += random.fraction() * 2 * meanMs) strikes.push(strike(atMs));
      [fromMs, isRush] = [toMs, this.isRush(toMs)];
    }
    while (strikes.length < minCount) {
      const { fromMs: beginMs, toMs } = random.pick(this.rushes);
      strikes.push(strike(beginMs + random.fraction() * (toMs - beginMs)));
    }
    return strikes;
  }
}
