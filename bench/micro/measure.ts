import { median } from '../statistics.ts';
import type { MicroCase } from './micro.ts';

const WARM_UP_ROUNDS = 25;
const ROUNDS = 25;
/** A round takes at least this long: the clock of the processor's time is coarse. */
const ROUND_MS = 5;

/** µs of this process's processor time for each unit: the median of 25 rounds after as many that do not count. */
export async function measureMicro({ count, run }: MicroCase): Promise<number> {
  const startedMs = performance.now();
  for (let i = 0; i < WARM_UP_ROUNDS; i++) await run();
  const onceMs = (performance.now() - startedMs) / WARM_UP_ROUNDS;
  const calls = Math.max(1, Math.ceil(ROUND_MS / onceMs));
  const rounds: number[] = [];
  for (let i = 0; i < ROUNDS; i++) {
    const before = process.cpuUsage();
    for (let call = 0; call < calls; call++) await run();
    const { user, system } = process.cpuUsage(before);
    rounds.push((user + system) / (count * calls));
  }
  return median(rounds);
}
