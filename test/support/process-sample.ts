import { readdirSync, readFileSync } from 'node:fs';

/** What a process holds, by proc(5). */
export interface ProcessSample {
  readonly rssMib: number;
  readonly descriptors: number;
  readonly threads: number;
}

/** Throws when there is no such process. */
export function sampleProcess(pid: number): ProcessSample {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1]);
  return { rssMib: field('VmRSS') / 1024, descriptors: readdirSync(`/proc/${pid}/fd`).length, threads: field('Threads') };
}
