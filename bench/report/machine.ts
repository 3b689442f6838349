import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, release, totalmem, type } from 'node:os';
import { fileURLToPath } from 'node:url';

/** On what something was measured. */
export interface Machine {
  readonly cores: number;
  readonly cpu: string;
  readonly memoryGiB: number;
  readonly os: string;
  readonly node: string;
  readonly redis: string;
  readonly mariadb: string;
  readonly sqlite: string;
}

/** When something was measured, and of what. */
export interface Occasion {
  readonly command: string;
  readonly date: string;
  /** Of the source, with `+` when something was not committed. */
  readonly commit: string;
  /** Processes that wanted to run in the minute before, on average; on a machine that measures, next to none. */
  readonly load: number;
}

export function describeMachine(): Machine {
  return {
    cores: availableParallelism(),
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    os: `${osName()}, ${type()} ${release()}`,
    node: process.versions.node,
    redis: versionOf('redis-server', /v=(\S+)/),
    mariadb: versionOf('mariadbd', /Ver (\S+)/),
    sqlite: process.versions['sqlite'] ?? 'unknown',
  };
}

export function describeOccasion(command: string): Occasion {
  return { command, date: new Date().toISOString(), commit: commit(), load: loadavg()[0] ?? 0 };
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

function osName(): string {
  try {
    return /^PRETTY_NAME="(.*)"$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'unknown';
  } catch {
    return 'unknown';
  }
}

function versionOf(program: string, pattern: RegExp): string {
  const { stdout } = spawnSync(program, ['--version'], { encoding: 'utf8' });
  return pattern.exec(stdout ?? '')?.[1] ?? 'not installed';
}

function commit(): string {
  const git = (...args: string[]) => spawnSync('git', args, { cwd: ROOT, encoding: 'utf8' }).stdout?.trim() ?? '';
  const head = git('rev-parse', '--short=12', 'HEAD');
  return head === '' ? 'unknown' : `${head}${git('status', '--porcelain', '--untracked-files=no') === '' ? '' : '+'}`;
}
