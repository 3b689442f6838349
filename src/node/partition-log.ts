import type { Logger } from '../admin/log.ts';
import type { PartitionState } from '../apply/scheduler-events.ts';
import type { Clock, Timer } from '../core/clock.ts';

/** Changes that come together stand in one line. */
const GATHER_MS = 50;

/** Writes changes of the partitions' states to the log: one line for all partitions to which the same happened. */
export class PartitionLog {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #changes = new Map<number, { readonly state: PartitionState; readonly detail: string }>();
  #timer: Timer | undefined;

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock;
    this.#logger = logger;
  }

  changed(partition: number, state: PartitionState, detail: string): void {
    this.#changes.set(partition, { state, detail });
    this.#timer ??= this.#clock.setTimer(GATHER_MS, () => this.flush());
  }

  /** Writes what has been gathered. */
  flush(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    const groups = Map.groupBy(this.#changes, ([, { state, detail }]) => `${state} ${detail}`);
    this.#changes.clear();
    for (const group of groups.values()) {
      const [[, { state, detail }]] = group as [(typeof group)[number]];
      const fields = { partitions: ranges(group.map(([partition]) => partition)), state, ...(detail === '' ? {} : { detail }) };
      if (state === 'applying') this.#logger.info(fields, 'partitions are applied');
      else if (state === 'elsewhere') this.#logger.info(fields, 'partitions are applied by another node');
      else this.#logger.warn(fields, 'partitions are not applied');
    }
  }
}

/** `0-3,7` of 0, 1, 2, 3 and 7. */
export function ranges(numbers: readonly number[]): string {
  const parts: [from: number, to: number][] = [];
  for (const number of numbers.toSorted((a, b) => a - b)) {
    const last = parts.at(-1);
    if (last !== undefined && number === last[1] + 1) last[1] = number;
    else parts.push([number, number]);
  }
  return parts.map(([from, to]) => (from === to ? String(from) : `${from}-${to}`)).join(',');
}
