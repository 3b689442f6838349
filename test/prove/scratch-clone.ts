import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const IDENTITY = ['-c', 'user.name=Test', '-c', 'user.email=test@localhost', '-c', 'commit.gpgsign=false'];

/** Whether git is installed, which a copy of the source does not need. */
export function gitAvailable(): boolean {
  return spawnSync('git', ['--version']).status === 0;
}

/** A small git repository of its own in a temporary folder. */
export class ScratchClone {
  readonly root = mkdtempSync(join(tmpdir(), 'syncline-clone-'));

  constructor() {
    this.git('init', '--quiet');
    this.write('package-lock.json', '{}\n');
    this.write('docs/reliability.md', '# Page\n\n<!-- none -->\n');
    this.commit('src/a.ts', 'export const a = 1;\n');
  }

  write(path: string, text: string): void {
    mkdirSync(dirname(join(this.root, path)), { recursive: true });
    writeFileSync(join(this.root, path), text);
  }

  /** Writes a file and commits everything. */
  commit(path: string, text: string): void {
    this.write(path, text);
    this.git('add', '--all');
    this.git(...IDENTITY, 'commit', '--quiet', '--message', path);
  }

  git(...args: string[]): void {
    execFileSync('git', args, { cwd: this.root, stdio: ['ignore', 'ignore', 'inherit'] });
  }

  close(): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}
