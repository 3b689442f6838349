import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { version } from '../../src/cli/version.ts';
import { runSyncline, type CliOptions } from '../support/cli-process.ts';
import { findOldNode } from '../support/old-node.ts';

const BIN = fileURLToPath(new URL('../../bin/syncline.js', import.meta.url));
const oldNode = findOldNode();

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'syncline-bin-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Starts a server with `command`, sends it a signal once it listens, and waits for its end. */
function startAndSignal(command: CliOptions['command'] & {}, signal: NodeJS.Signals) {
  return runSyncline(['start'], {
    command,
    env: {
      SYNCLINE_DATA: join(folder, signal),
      SYNCLINE_TCP_PORT: '0',
      SYNCLINE_WEB_PORT: '0',
      SYNCLINE_ADMIN_PORT: '0',
      SYNCLINE_LOG_FORMAT: 'json',
    },
    running: (child) => child.stdout?.on('data', (chunk: Buffer) => chunk.toString().includes('"listening') && child.kill(signal)),
  });
}

describe('the command of a clone', () => {
  test('runs on the Node.js that is new enough', async () => {
    expect(await runSyncline(['--version'], { command: [process.execPath, BIN] })).toMatchObject({
      code: 0,
      out: `${version()}\n`,
      err: '',
    });
  });

  describe.skipIf(oldNode === undefined)('on an older Node.js (skipped where there is none)', () => {
    const command = [oldNode as string, BIN] as const;

    test('runs on the one that the clone pins, with its output and exit code', async () => {
      expect(await runSyncline(['--version'], { command })).toMatchObject({ code: 0, out: `${version()}\n` });
      expect(await runSyncline(['sned'], { command })).toMatchObject({ code: 2, err: expect.stringContaining('did you mean send?') });
      expect(await runSyncline(['send', '-', '--url', 'tcp://127.0.0.1:1', '-t', 't'], { command, input: '{}' })).toMatchObject({
        code: 3,
      });
    });

    test.each(['SIGTERM', 'SIGINT'] as const)('passes %s on to the server, which ends in order', async (signal) => {
      const { code, out } = await startAndSignal(command, signal);
      expect(out).toContain('listening');
      expect(code).toBe(0);
    });

    test('without a pinned one says what is missing', async () => {
      const bin = join(folder, 'lone', 'bin');
      mkdirSync(bin, { recursive: true });
      copyFileSync(BIN, join(bin, 'syncline.js'));
      copyFileSync(fileURLToPath(new URL('../../package.json', import.meta.url)), join(folder, 'lone', 'package.json'));
      const { code, out, err } = await runSyncline(['start'], { command: [oldNode as string, join(bin, 'syncline.js')] });
      expect([code, out]).toEqual([1, '']);
      expect(err).toMatch(/^syncline: needs Node\.js 24\.15 or newer, and this is \d+\.\d+\.\d+ \(.*\); install .*\n$/);
    });
  });
});
