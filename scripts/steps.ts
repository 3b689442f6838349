import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** What `npm run check` runs, in this order: scripts of package.json, each of which may be run alone. */
export const CHECKS: readonly string[] = ['types', 'lint', 'format:check', 'unused', 'lock', 'build', 'package'];

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** Runs a script of package.json and prints its output only when it fails. Returns whether it passed. */
export function runStep(name: string): boolean {
  const { scripts } = JSON.parse(readFileSync(`${ROOT}package.json`, 'utf8')) as { scripts: Readonly<Record<string, string>> };
  const startedMs = performance.now();
  // An unknown name becomes a command that fails and says so. Without npm in between each step is half a second faster.
  const command = scripts[name] ?? `echo "package.json has no script ${name}"; false`;
  const { status, stdout, stderr } = spawnSync(command, {
    cwd: ROOT,
    env: toolEnv(),
    shell: true,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  const passed = status === 0;
  console.log(`${passed ? 'ok  ' : 'FAIL'} ${name} (${((performance.now() - startedMs) / 1000).toFixed(1)} s)`);
  if (!passed) console.log(`${stdout}${stderr}`.trimEnd());
  return passed;
}

/** The environment in which `node` and the tools are those that the repository pins. */
export function toolEnv(): NodeJS.ProcessEnv {
  return { ...process.env, PATH: `${ROOT}node_modules/.bin:${process.env['PATH'] ?? ''}` };
}
