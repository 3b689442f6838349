import { randomBytes } from 'node:crypto';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { VirtualClock } from '../../../test/support/virtual-clock.ts';
import type { WebExchange } from '../web/engine.ts';
import { openBody } from './body.ts';

/** Has as much as is asked for, and tells how much of it is out. */
function endlessMemory() {
  const memory = {
    takenBytes: 0,
    take: async (bytes: number) => void (memory.takenBytes += bytes),
    give: (bytes: number) => void (memory.takenBytes -= bytes),
  };
  return memory;
}

const memory = endlessMemory();

/** A body of which the test brings every chunk. */
function slowBody() {
  const clock = new VirtualClock();
  const chunks: Uint8Array[] = [];
  let wake = () => {};
  const body = async function* () {
    for (;;) {
      while (chunks.length === 0) await new Promise<void>((resolve) => (wake = resolve));
      yield chunks.shift()!;
    }
  };
  return {
    clock,
    exchange: { body } as unknown as WebExchange,
    bring: async (bytes: number) => {
      chunks.push(new Uint8Array(bytes));
      wake();
      await clock.settle();
    },
  };
}

/** What becomes of reading it all. */
function read(body: AsyncIterable<Uint8Array>): { bytes: number; failure: unknown } {
  const result = { bytes: 0, failure: undefined as unknown };
  void (async () => {
    try {
      for await (const chunk of body) result.bytes += chunk.length;
    } catch (error) {
      result.failure = error;
    }
  })();
  return result;
}

test('a peer that sends nothing for half a minute is given up', async () => {
  const { clock, exchange, bring } = slowBody();
  const result = read(openBody(exchange, { format: 'json', encoding: 'identity' }, { clock, memory }));
  await bring(10);
  await clock.advance(29_000);
  expect(result).toEqual({ bytes: 10, failure: undefined });
  await bring(100_000);
  await clock.advance(29_999);
  expect(result.failure).toBeUndefined();
  await clock.advance(2);
  expect(result.failure).toMatchObject({ status: 408, code: 'body_too_slow' });
  expect(clock.timerCount).toBe(0);
});

test('and so is one that sends a byte now and then', async () => {
  const { clock, exchange, bring } = slowBody();
  const result = read(openBody(exchange, { format: 'lines', encoding: 'identity' }, { clock, memory }));
  for (let second = 0; second < 29; second++) {
    await bring(1);
    await clock.advance(1_000);
  }
  expect(result.failure).toBeUndefined();
  await bring(1);
  await clock.advance(1_500);
  expect(result.failure).toMatchObject({ status: 408 });
});

test('also when what it sends is compressed', async () => {
  const { clock, exchange } = slowBody();
  const half = gzipSync(Buffer.alloc(1000)).subarray(0, 12);
  const body = async function* () {
    yield half;
    await new Promise(() => {});
  };
  const result = read(openBody({ ...exchange, body }, { format: 'json', encoding: 'gzip' }, { clock, memory }));
  await expect.poll(() => clock.timerCount).toBe(1);
  await clock.advance(30_001);
  await expect.poll(() => result.failure).toMatchObject({ status: 408 });
});

test('the time that we do not read does not count', async () => {
  const { clock, exchange, bring } = slowBody();
  const iterator = openBody(exchange, { format: 'lines', encoding: 'identity' }, { clock, memory })[Symbol.asyncIterator]();
  await bring(1);
  expect((await iterator.next()).value).toHaveLength(1);
  await bring(2);
  await clock.advance(600_000);
  expect((await iterator.next()).value).toHaveLength(2);
  await iterator.return?.();
  expect(clock.timerCount).toBe(0);
});

test('what zstd keeps of what it has written counts, up to its window and until the end', async () => {
  const { clock, exchange } = slowBody();
  const sent = zstdCompressSync(randomBytes(20 * 1024 * 1024));
  const body = async function* () {
    yield sent;
  };
  const counted = endlessMemory();
  const iterator = openBody({ ...exchange, body }, { format: 'json', encoding: 'zstd' }, { clock, memory: counted })[
    Symbol.asyncIterator
  ]();
  let most = 0;
  for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) most = Math.max(most, counted.takenBytes);
  expect([most, counted.takenBytes]).toEqual([8 * 1024 * 1024, 0]);
});
