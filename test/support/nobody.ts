import { spawnSync } from 'node:child_process';

/** Nobody, as user and as group. */
export const NOBODY = 65_534;

/** Whether a process can be started as {@link NOBODY}: that takes root, and `setpriv`. */
export function mayBecomeNobody(): boolean {
  return process.getuid?.() === 0 && spawnSync('setpriv', ['--reuid', String(NOBODY), 'true']).status === 0;
}
