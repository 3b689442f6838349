import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** One check of the sources: a command of `node_modules/.bin`. */
export interface Step {
  readonly name: string;
  readonly command: readonly [program: string, ...args: string[]];
}

/** What `npm run check` runs, in this order; the tests run on their own. */
export const CHECKS: readonly Step[] = [
  { name: 'types', command: ['tsc', '-p', '.'] },
  { name: 'lint', command: ['oxlint', '--type-aware', '--deny-warnings'] },
  { name: 'format', command: ['oxfmt', '--check', '.'] },
  { name: 'dead code', command: ['knip'] },
  { name: 'build', command: ['node', 'scripts/build.ts'] },
  { name: 'package', command: ['publint', '--strict'] },
];

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** Runs a step and prints its output only when it fails. Returns whether it passed. */
export function runStep({ name, command }: Step): boolean {
  const startedMs = performance.now();
  const [program, ...args] = command;
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    cwd: ROOT,
    env: toolEnv(),
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  const passed = status === 0;
  console.log(`${passed ? 'ok  ' : 'FAIL'} ${name} (${command.join(' ')}, ${((performance.now() - startedMs) / 1000).toFixed(1)} s)`);
  if (!passed) console.log(`${stdout ?? ''}${stderr ?? ''}${error?.message ?? ''}`.trimEnd());
  return passed;
}

/** The environment in which `node` and the tools are those that the repository pins. */
export function toolEnv(): NodeJS.ProcessEnv {
  return { ...process.env, PATH: `${ROOT}node_modules/.bin:${process.env['PATH'] ?? ''}` };
}
