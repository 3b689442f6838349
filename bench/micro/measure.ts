import { median } from '../statistics.ts';
import type { MicroCase } from './micro.ts';

const WARM_UP_ROUNDS = 25;
const ROUNDS = 25;
/** A round takes at least this long: the clock of the processor's time is coarse. */
const ROUND_MS = 5;

/** µs of this process's processor time for each unit: the median of 25 rounds after as many that do not count. */
export async function measureMicro(micro: MicroCase): Promise<number> {
  let once = 0;
  for (let i = 0; i < WARM_UP_ROUNDS; i++) once = await usedBy(micro);
  const calls = Math.max(1, Math.ceil((ROUND_MS * 1000) / Math.max(1, once)));
  const rounds: number[] = [];
  for (let i = 0; i < ROUNDS; i++) {
    let used = 0;
    for (let call = 0; call < calls; call++) used += await usedBy(micro);
    rounds.push(used / (micro.count * calls));
  }
  return median(rounds);
}

/** Processor time of one call, µs. */
async function usedBy(micro: MicroCase): Promise<number> {
  micro.prepare?.();
  const before = process.cpuUsage();
  await micro.run();
  const { user, system } = process.cpuUsage(before);
  return user + system;
}
