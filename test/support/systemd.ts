import { spawnSync } from 'node:child_process';

/** Not something to install for a test: where there is no systemd, nobody uses its units. */
export function systemdAvailable(): boolean {
  return spawnSync('systemd-analyze', ['--version']).error === undefined;
}
