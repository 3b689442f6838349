import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';

const FOLDER = new URL('.', import.meta.url).pathname;

/** Whether the npm packages of the peers are there in the versions that the lock file pins. */
export function packagesInstalled(): boolean {
  const installed = `${FOLDER}node_modules/.package-lock.json`;
  return existsSync(installed) && versionsOf(installed) === versionsOf(`${FOLDER}package-lock.json`);
}

/** Installs them if they are not there, and says so. */
export function installPackages(): void {
  if (packagesInstalled()) return;
  console.error('installing the npm packages of the peers: npm ci --prefix bench/peers');
  // None of them needs its install script.
  const { status, error, stderr } = spawnSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], {
    cwd: FOLDER,
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`npm ci --prefix bench/peers failed: ${error?.message ?? stderr}`);
}

function versionsOf(lockFile: string): string {
  interface Lock {
    readonly packages: Readonly<Record<string, { readonly version?: string; readonly optional?: boolean }>>;
  }
  const { packages } = JSON.parse(readFileSync(lockFile, 'utf8')) as Lock;
  // Which of the optional ones are installed depends on the machine.
  const needed = Object.entries(packages).filter(([path, { optional }]) => path !== '' && optional !== true);
  return needed
    .map(([path, { version }]) => `${path} ${version}`)
    .sort()
    .join('\n');
}
