import { readFileSync } from 'node:fs';
import type { Figures } from './comparison.ts';

/** Of /proc, on every Linux that runs Node. */
const TICKS_PER_SECOND = 100;

/** Processor time of all threads of a process so far, in seconds. */
export function cpuSecondsOf(pid: number): number {
  // The name in parentheses may contain anything; the fields are counted from behind it.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/**
 * Begins to watch how many cores each of the named processes keeps busy. What is returned gives the figures `NAME cores`
 * of the time between; a process that sums up its own time says so in seconds.
 */
export function watchCores(processes: Readonly<Record<string, number>>): (own?: Readonly<Record<string, number>>) => Figures {
  const startedMs = performance.now();
  const before = Object.entries(processes).map(([name, pid]) => [name, pid, cpuSecondsOf(pid)] as const);
  return (own = {}) => {
    const seconds = (performance.now() - startedMs) / 1000;
    const figures = before.map(([name, pid, used]) => [`${name} cores`, (cpuSecondsOf(pid) - used) / seconds] as const);
    return Object.fromEntries([...figures, ...Object.entries(own).map(([name, used]) => [`${name} cores`, used / seconds] as const)]);
  };
}
