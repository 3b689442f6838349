import type { ChildProcess } from 'node:child_process';

/** Kills a process that is still there when this one ends: a test that is interrupted leaves nothing behind. */
export function endWithUs(child: ChildProcess): void {
  const end = () => void child.kill('SIGKILL');
  process.on('exit', end);
  child.once('exit', () => process.off('exit', end));
}
