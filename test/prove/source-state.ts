import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';

/** What is proved: counts add up as long as it stays the same. */
export interface SourceState {
  /** A hash over everything that decides what is proved. */
  readonly source: string;
  /** The commit that it was taken from. */
  readonly commit: string;
  /** Files among it that are not as committed. */
  readonly uncommitted: readonly string[];
}

const ALWAYS = ['src', 'package-lock.json'];

/**
 * The state of `src`, `package-lock.json` and `sources` in the clone at `root`. Tests beside the code and prose do not count:
 * a new one changes nothing about what was proved before.
 * @throws {Error} when `root` is no git clone.
 */
export function readSourceState(root: string, sources: readonly string[]): SourceState {
  const paths = [...ALWAYS, ...sources];
  const tree = git(root, ['ls-tree', '-r', 'HEAD', '--', ...paths]).filter((line) => counts(line));
  const status = git(root, ['status', '--porcelain', '--untracked-files=all', '--', ...paths]);
  return {
    source: createHash('sha256').update(tree.join('\n')).digest('hex').slice(0, 16),
    commit: git(root, ['rev-parse', '--short=12', 'HEAD']).join(''),
    uncommitted: status.map((line) => line.slice(3)).filter((path) => counts(path)),
  };
}

/** Which seeds show planted bugs, and how many faults of a kind the tests make, is written down beside them and decides nothing. */
function counts(path: string): boolean {
  return !/(\.test\.ts|\.md|planted-bugs\.json|drill-plans\.ts)"?$/.test(path);
}

function git(root: string, args: readonly string[]): string[] {
  const { status, stdout, stderr, error } = spawnSync('git', args, { cwd: root, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
  if (status === 0) return stdout.split('\n').filter((line) => line !== '');
  throw new Error(`counts belong to a commit, and git does not tell which: ${error?.message ?? stderr.trim()}`);
}
