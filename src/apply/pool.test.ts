import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { PoolWorkerData, Ran } from '../../test/support/pool-worker.ts';
import { startPool, type GenerationOptions, type Pool } from './pool.ts';

const FILENAME = new URL('../../test/support/pool-worker.ts', import.meta.url).href;
const GATES = 16;

let gates: Int32Array;
let pool: Pool;

beforeEach(() => {
  gates = new Int32Array(new SharedArrayBuffer(4 * GATES));
  pool = startPool({ filename: FILENAME, ...generation('first') });
});

afterEach(async () => {
  for (let gate = 0; gate < GATES; gate++) open(gate);
  await pool.close();
});

function generation(name: string, more: Partial<PoolWorkerData> = {}, threads = 2): GenerationOptions {
  const workerData: PoolWorkerData = { name, gates: gates.buffer as SharedArrayBuffer, ...more };
  return { threads, slicesPerThread: 2, workerData };
}

/** Starts a task that runs until its gate is opened. */
function run(gate: number): Promise<Ran> {
  return pool.run(gate as never) as unknown as Promise<Ran>;
}

function open(gate: number): void {
  Atomics.store(gates, gate, 1);
  Atomics.notify(gates, gate);
}

/** The generation that runs a task now. */
async function runsOn(): Promise<string> {
  open(GATES - 1);
  return (await run(GATES - 1)).generation;
}

describe('new threads', () => {
  test('get every slice from then on, and the old ones finish what they run', async () => {
    const before = [run(0), run(1), run(2)];
    await pool.roll(generation('second'));
    const after = [run(3), run(4)];
    for (let gate = 0; gate < 5; gate++) open(gate);
    expect((await Promise.all(before)).map((ran) => ran.generation)).toEqual(['first', 'first', 'first']);
    const ran = await Promise.all(after);
    expect(ran.map((one) => one.generation)).toEqual(['second', 'second']);
    expect(new Set(ran.map(({ threadId }) => threadId)).size).toBe(2);
  });

  test('may be more or fewer', async () => {
    await pool.roll(generation('more', {}, 4));
    const threads = [run(0), run(1), run(2), run(3)];
    for (let gate = 0; gate < 4; gate++) open(gate);
    expect(new Set((await Promise.all(threads)).map(({ threadId }) => threadId)).size).toBe(4);
    await pool.roll(generation('fewer', {}, 1));
    expect(await runsOn()).toBe('fewer');
  });

  test('run while those before, and those before them, have not ended', async () => {
    const slow = run(0);
    await pool.roll(generation('second'));
    const slower = run(1);
    await pool.roll(generation('third'));
    expect(await runsOn()).toBe('third');
    open(1);
    open(0);
    expect([(await slow).generation, (await slower).generation]).toEqual(['first', 'second']);
  });

  test.each<[string, Partial<PoolWorkerData>, RegExp]>([
    [
      'say that they cannot work',
      { failure: 'the certificate has expired' },
      /^new worker threads cannot work: sink_denied: the certificate/,
    ],
    ['end', { endsAtOnce: true }, /^new worker threads cannot work: /],
  ])('leave the old ones in place when they %s', async (_, data, message) => {
    const before = run(0);
    await expect(pool.roll(generation('second', data))).rejects.toMatchObject({
      code: 'roll_failed',
      message: expect.stringMatching(message),
    });
    expect(await runsOn()).toBe('first');
    open(0);
    expect((await before).generation).toBe('first');
    await pool.roll(generation('third'));
    expect(await runsOn()).toBe('third');
  });
});

test('closing waits for slices of every generation', async () => {
  const ended: string[] = [];
  void run(0).then(({ generation: name }) => ended.push(name));
  await pool.roll(generation('second'));
  void run(1).then(({ generation: name }) => ended.push(name));
  const closing = pool.close().then(() => ended.push('closed'));
  open(1);
  open(0);
  await closing;
  expect(ended.toSorted()).toEqual(['closed', 'first', 'second']);
  expect(ended.at(-1)).toBe('closed');
});
