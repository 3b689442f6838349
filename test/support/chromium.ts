import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, type BrowserContext, chromium } from 'playwright-core';
import { endWithUs } from '../../src/chaos/end-with-us.ts';
import { eventually } from './eventually.ts';
import { toolAvailable } from './tool.ts';

/** The program of Debian's package of this name. */
const PROGRAM = 'chromium-headless-shell';

/** Why tests in a real browser are skipped; undefined where there is one. */
export const chromiumMissing = toolAvailable(PROGRAM, '--version') ? undefined : `${PROGRAM} is not installed`;

/** A Chromium of our own, which can be killed and started again with what it keeps. */
export class ChromiumProcess {
  readonly #profile: string = mkdtempSync(join(tmpdir(), 'syncline-chromium-'));
  #child: ChildProcess | undefined;
  #browser: Browser | undefined;

  /** Where pages share what the profile keeps. */
  get context(): BrowserContext {
    return this.#running.contexts()[0]!;
  }

  async start(): Promise<void> {
    const args = ['--no-sandbox', '--disable-gpu', '--remote-debugging-port=0', `--user-data-dir=${this.#profile}`, 'about:blank'];
    // A group of its own: it has many processes, and all of them end together.
    const child = spawn(PROGRAM, args, { detached: true, stdio: ['ignore', 'ignore', 'pipe'] });
    this.#child = child;
    endWithUs(child);
    this.#browser = await chromium.connectOverCDP(await debuggingUrl(child));
  }

  /** Ends all its processes at once, with no time to write anything. */
  async kill(): Promise<void> {
    const pid = this.#child?.pid;
    if (pid === undefined || !isRunning(pid)) return;
    process.kill(-pid, 'SIGKILL');
    await eventually(() => {
      if (isRunning(pid)) throw new Error(`processes of ${PROGRAM} are still there`);
    });
  }

  /** Ends it and removes its profile. */
  async close(): Promise<void> {
    await this.#browser?.close().catch(() => {});
    await this.kill();
    rmSync(this.#profile, { recursive: true, force: true });
  }

  get #running(): Browser {
    if (this.#browser === undefined) throw new Error('the browser is not running');
    return this.#browser;
  }
}

/** Whether any process of a group is there. */
function isRunning(group: number): boolean {
  try {
    return process.kill(-group, 0);
  } catch {
    return false;
  }
}

function debuggingUrl(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let output = '';
    child.stderr?.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      const url = /DevTools listening on (ws:\S+)/.exec(output)?.[1];
      if (url !== undefined) resolve(url);
    });
    child.once('exit', (code) => reject(new Error(`${PROGRAM} ended with ${code}: ${output.slice(-2000)}`)));
  });
}
