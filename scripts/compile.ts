import { spawnSync } from 'node:child_process';
import { cpSync, globSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { toolEnv } from './steps.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** Compiles what a package runs on Node.js into the folder `out`, whatever is there already. @throws {Error} when it does not compile. */
export function compileServer(out: string): void {
  compile('tsconfig.build.json', ['--outDir', out]);
  // The compiler leaves behind what it does not compile.
  for (const path of globSync('**/*.lua', { cwd: `${ROOT}src` })) cpSync(`${ROOT}src/${path}`, `${out}/${path}`);
}

/** Runs the compiler on a project of this repository, and prints what it has to say. @throws {Error} when it fails. */
export function compile(project: string, options: readonly string[] = []): void {
  const { status } = spawnSync('tsc', ['-p', project, ...options], { cwd: ROOT, stdio: 'inherit', env: toolEnv() });
  if (status !== 0) throw new Error(`${project} does not compile`);
}
