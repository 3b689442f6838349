import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { checkPatches, patchedEnv, patchText, type SourcePatch } from './source-patches.ts';
import { ROOT } from './source-files.ts';

const PATCH: SourcePatch = {
  name: 'start at seven',
  file: 'src/core/stream.ts',
  find: 'export const START: Place = { seq: 0,',
  replace: 'export const START: Place = { seq: 7 satisfies number,',
};

describe('what does not fit is an error that names the patch', () => {
  test.each<[string, Partial<SourcePatch>, RegExp]>([
    ['text that is not there', { find: 'START = 8' }, /patch "start at seven" .* does not occur in src\/core\/stream\.ts/],
    ['text that is there twice', { find: 'readonly' }, /patch "start at seven" .* more than once in src\/core\/stream\.ts/],
    ['no text', { find: '' }, /patch "start at seven" .* does not occur/],
  ])('%s', (_, change, message) => {
    expect(() => checkPatches([{ ...PATCH, ...change }])).toThrow(message);
    expect(() => patchedEnv([{ ...PATCH, ...change }])).toThrow(message);
  });

  test('a file that is not there', () => {
    expect(() => checkPatches([{ ...PATCH, file: 'src/core/strm.ts' }])).toThrow(/strm\.ts/);
  });

  test('two patches of the same text', () => {
    expect(() => checkPatches([PATCH, { ...PATCH, name: 'another', find: 'seq: 0,' }])).toThrow(/"start at seven" and "another"/);
  });

  test('at the start of the process, too', () => {
    const { status, stderr } = node('console.log(1)', { ...patchedEnv([]), SOURCE_PATCHES: JSON.stringify([{ ...PATCH, find: 'gone' }]) });
    expect(status).not.toBe(0);
    expect(stderr).toContain('patch "start at seven" does not fit');
  });
});

test('several patches of a file are held against its text as it was', () => {
  const patch = (find: string, replace: string): SourcePatch => ({ name: find, file: 'f', find, replace });
  expect(patchText('f', 'one two three', [patch('three', 'two'), patch('two', 'three'), { ...patch('one', 'x'), file: 'g' }])).toBe(
    'one three two',
  );
});

const STREAM = new URL('../../src/core/stream.ts', import.meta.url).href;
const POOL = new URL('../../src/apply/pool.ts', import.meta.url).href;
const SCRIPTS = new URL('../../src/queue/redis/scripts.ts', import.meta.url).href;

describe('a process with patches', () => {
  const folder = mkdtempSync(join(tmpdir(), 'syncline-patches-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  test('runs the patched TypeScript', () => {
    expect(node(`console.log((await import('${STREAM}')).START.seq)`, patchedEnv([PATCH])).stdout).toBe('7\n');
  });

  test('runs it in worker threads, and in those of the pool', () => {
    const seen = `(await import('${STREAM}')).START.seq`;
    writeFileSync(join(folder, 'task.mjs'), `export async function runTask() { return ${seen}; }`);
    writeFileSync(join(folder, 'thread.mjs'), `process.getBuiltinModule('worker_threads').parentPort.postMessage(${seen});`);
    const code = `
      const { Worker } = await import('node:worker_threads');
      const worker = new Worker('${join(folder, 'thread.mjs')}');
      const inThread = await new Promise((resolve) => worker.on('message', resolve));
      const { startPool } = await import('${POOL}');
      const pool = startPool({ filename: '${pathToFileURL(join(folder, 'task.mjs')).href}', threads: 1, slicesPerThread: 1, workerData: {} });
      console.log(inThread, await pool.run({}));
      await pool.close();`;
    const { stdout, stderr } = node(code, patchedEnv([PATCH]));
    expect(stdout, stderr).toBe('7 7\n');
  });

  test('reads the patched scripts of Redis, and the others as they are', () => {
    const patch = {
      name: 'no trim',
      file: 'src/queue/redis/scripts/trim.lua',
      find: "redis.call('LTRIM', KEYS[1], count, -1)",
      replace: '-- kept',
    };
    const code = `
      const { trim, fetch } = (await import('${SCRIPTS}')).loadScripts();
      console.log(trim.source.includes('LTRIM'), trim.source.includes('-- kept'), fetch.source.includes('LRANGE'), trim.sha.length);`;
    const { stdout, stderr } = node(code, patchedEnv([patch]));
    expect(stdout, stderr).toBe('false true true 40\n');
  });

  test('is as it is without any', () => {
    expect(node(`console.log((await import('${STREAM}')).START.seq)`, patchedEnv([])).stdout).toBe('0\n');
  });
});

/** Runs `code` as a module in a process of its own. */
function node(code: string, env: Record<string, string>) {
  return spawnSync(process.execPath, ['--eval', code], {
    cwd: ROOT,
    env: { PATH: process.env['PATH'] ?? '', ...env },
    encoding: 'utf8',
  });
}
