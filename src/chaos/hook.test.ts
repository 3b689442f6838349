import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { eventually } from '../../test/support/eventually.ts';
import { hookFault } from './faults.ts';
import { runHook } from './hook.ts';

const folder = mkdtempSync(join(tmpdir(), 'syncline-hook-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const LONG_MS = 60_000;

test('a command that ends with 0 has done what it should', async () => {
  expect(await runHook('true', LONG_MS)).toEqual({ failure: undefined });
});

test('a command that fails says how, with the last of what it printed', async () => {
  const { failure } = await runHook('echo first; echo second; echo third >&2; exit 7', LONG_MS);
  expect(failure).toMatch(/^ended with exit code 7: .*third$/);
});

test('a command that is not there, or that is killed, says so', async () => {
  expect((await runHook('no-such-command-of-syncline', LONG_MS)).failure).toMatch(/^ended with exit code 127: .*not found/);
  expect((await runHook('kill -9 $$', LONG_MS)).failure).toBe('ended with SIGKILL');
});

test('a command that takes too long is killed with everything that it started', async () => {
  const pidFile = join(folder, 'pid');
  writeFileSync(pidFile, '');
  const { failure } = await runHook(`sh -c 'echo $$ > ${pidFile}; exec sleep 600' | cat`, 1000);
  expect(failure).toMatch(/^did not end within 1 s/);
  const pid = Number(readFileSync(pidFile, 'utf8'));
  expect(pid).toBeGreaterThan(1);
  await eventually(() => expect(() => process.kill(pid, 0)).toThrow('ESRCH'));
});

test('what a command leaves running is not waited for', async () => {
  expect(await runHook('sleep 600 >/dev/null 2>&1 & kill $!; true', LONG_MS)).toEqual({ failure: undefined });
  const { failure } = await runHook('sleep 600 & sleeper=$!; (sleep 2; kill $sleeper) >/dev/null 2>&1 & true', LONG_MS);
  expect(failure).toBe(undefined);
});

test('a report tells of a command by its name: it may hold a password', () => {
  expect(JSON.stringify(hookFault('kill-database', 'mysqladmin -psecret shutdown'))).not.toContain('secret');
});
