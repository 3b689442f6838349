import { readdirSync, readFileSync } from 'node:fs';
import { eventually } from './eventually.ts';

/**
 * Stops a process with SIGSTOP, and resolves when every thread of it stands still. The signal alone is not enough: the
 * kernel stops one thread after the other, and until then a server may still answer.
 */
export async function freeze(pid: number): Promise<void> {
  process.kill(pid, 'SIGSTOP');
  await frozen(pid);
}

/** Resolves when every thread of a process that gets SIGSTOP, or sends it to itself, stands still. */
export async function frozen(pid: number): Promise<void> {
  await eventually(() => {
    const running = threadStates(pid).filter((state) => state !== 'T');
    if (running.length > 0) throw new Error(`process ${pid} still runs after SIGSTOP: threads are ${running.join(' ')}`);
  });
}

/** Lets a frozen process go on. */
export function thaw(pid: number): void {
  process.kill(pid, 'SIGCONT');
}

/** Whether every thread of a process stands still; false when there is no such process. */
export function isFrozen(pid: number): boolean {
  try {
    return threadStates(pid).every((state) => state === 'T');
  } catch {
    return false;
  }
}

/** The state letters of proc(5), one per thread. */
function threadStates(pid: number): string[] {
  return readdirSync(`/proc/${pid}/task`).map((thread) => {
    const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8');
    // The name of the thread stands in brackets and may itself hold some.
    return stat.charAt(stat.lastIndexOf(')') + 2);
  });
}
