import { spawnSync } from 'node:child_process';

/** Whether a program is installed; under CI its absence is an error. `args` make it print something and end. */
export function toolAvailable(name: string, ...args: string[]): boolean {
  const available = spawnSync(name, args).error === undefined;
  if (!available && process.env['CI'] === 'true') throw new Error(`${name} must be installed where CI=true`);
  return available;
}
