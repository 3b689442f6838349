import { spawnSync } from 'node:child_process';

/** A package of Debian, and how to see that it is installed: a command that succeeds and prints something. */
export interface DebianPackage {
  readonly name: string;
  readonly command: readonly [program: string, ...args: string[]];
  readonly prints: RegExp;
}

/** What to do so that these are installed as well as those in `names`; undefined when nothing is missing. */
export function missing(names: readonly string[], packages: readonly DebianPackage[]): string | undefined {
  const all = [...names, ...packages.filter((wanted) => !isInstalled(wanted)).map(({ name }) => name)];
  return all.length === 0 ? undefined : `apt-get install ${all.join(' ')}`;
}

function isInstalled({ command: [program, ...args], prints }: DebianPackage): boolean {
  const { status, stdout } = spawnSync(program, args, { encoding: 'utf8' });
  return status === 0 && prints.test(stdout);
}
