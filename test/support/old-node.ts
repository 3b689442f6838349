import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** A Node.js of this machine that is too old for Syncline, if there is one. */
export function findOldNode(): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/bin', '/usr/local/bin'].filter(
    (folder) => !folder.includes('node_modules'),
  );
  return folders
    .map((folder) => join(folder, 'node'))
    .find((path) => existsSync(path) && isOld(execFileSync(path, ['--version'], { encoding: 'utf8' })));
}

function isOld(version: string): boolean {
  const [major = 0, minor = 0] = version.replace('v', '').split('.').map(Number);
  return major < 24 || (major === 24 && minor < 15);
}
