import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { COMPILE_CACHE } from './compile-cache.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

export interface CliResult {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export interface CliOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
  readonly cwd?: string;
  /** Called with the process once it runs. */
  readonly running?: (child: ChildProcess) => void;
  /** What runs instead of our own command with this Node. */
  readonly command?: readonly [string, ...string[]];
}

/**
 * Our own command, for `CliOptions.command`, held to the permissions of files even where the tests run as root; undefined
 * where that cannot be done.
 */
export function heldToPermissions(): readonly [string, ...string[]] | undefined {
  if (process.getuid?.() !== 0) return [process.execPath, MAIN];
  const dropped = '-dac_override,-dac_read_search';
  const available = spawnSync('setpriv', ['--bounding-set', dropped, 'true']).status === 0;
  return available ? ['setpriv', '--bounding-set', dropped, '--inh-caps', dropped, process.execPath, MAIN] : undefined;
}

/** Runs `syncline` as a process of its own and waits for its end. Only the given variables of ours are set. */
export function runSyncline(
  args: readonly string[],
  { env = {}, input, cwd, running, command = [process.execPath, MAIN] }: CliOptions = {},
): Promise<CliResult> {
  const [program, ...first] = command;
  const child = spawn(program, [...first, ...args], {
    cwd,
    env: { PATH: process.env['PATH'] ?? '', ...COMPILE_CACHE, ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let [out, err] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
  // A command that does not read its input may be gone before it is written.
  child.stdin.on('error', () => undefined);
  if (input !== undefined) child.stdin.end(input);
  else if (running === undefined) child.stdin.end();
  running?.(child);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, out, err }));
  });
}
