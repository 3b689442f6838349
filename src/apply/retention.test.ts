import { expect, test } from 'vitest';
import { STREAM_A, STREAM_B, createApplyWorld, items, runSlice, StreamWriter, type ApplyWorld } from '../../test/support/apply-world.ts';
import { REQUEST_STREAM_TAG } from '../core/stream.ts';
import { forgetIdle, startRetention } from './retention.ts';

const DAY_MS = 86_400_000;
const LEASE = { sink: 'main', partition: 0, token: 't'.repeat(32) };

function optionsOf({ queue, sink, clock }: ApplyWorld, logged: object[] = []) {
  return {
    queue,
    sink,
    clock,
    retention: { streamDays: 30, requestHours: 24 },
    logger: { info: (fields: object) => void logged.push(fields) },
  };
}

/** Applies what waits, and takes it from the queue. */
async function applyAll({ queue, context }: ApplyWorld): Promise<void> {
  expect(await queue.acquire(LEASE, 'node', 1e12, 'steal')).toMatchObject({ taken: true });
  const { outcome, count, last } = await runSlice(
    { lease: LEASE, limits: { elements: 1e6, bytes: 1e9 }, settledAtUs: Number.MAX_SAFE_INTEGER, access: '' },
    context,
  );
  expect(outcome).toBe('applied');
  expect(await queue.trim(LEASE, count, last!, [])).toBe(true);
}

test('a stream that was idle for so long leaves a tombstone, and the queue forgets it', async () => {
  const world = await createApplyWorld();
  await new StreamWriter(world.queue, 0, STREAM_A).append(items('upsert', [1, 'a']));
  await applyAll(world);
  await world.clock.advance(20 * DAY_MS);
  await new StreamWriter(world.queue, 0, STREAM_B).append(items('upsert', [2, 'b']));
  await applyAll(world);
  await world.clock.advance(11 * DAY_MS);
  const logged: object[] = [];
  await forgetIdle(optionsOf(world, logged));
  expect([(await world.sink.readStream(STREAM_A)).status, (await world.sink.readStream(STREAM_B)).status]).toEqual(['expired', 'known']);
  expect([...(await world.queue.streams(0)).keys()]).toEqual([STREAM_B]);
  expect(logged).toEqual([{ streams: 1, days: 30 }]);
  await forgetIdle(optionsOf(world, logged));
  expect(logged).toHaveLength(1);
});

test('is forgotten also while others are busy, but not while a batch of its own waits', async () => {
  const world = await createApplyWorld();
  const [a, b] = [new StreamWriter(world.queue, 0, STREAM_A), new StreamWriter(world.queue, 0, STREAM_B)];
  await a.append(items('upsert', [1, 'a']));
  await b.append(items('upsert', [2, 'b']));
  await applyAll(world);
  await world.clock.advance(31 * DAY_MS);
  await b.append(items('upsert', [2, 'later']));
  await forgetIdle(optionsOf(world));
  expect([(await world.sink.readStream(STREAM_A)).status, (await world.sink.readStream(STREAM_B)).status]).toEqual(['expired', 'known']);
  await applyAll(world);
  expect(world.store.read('item').map(({ name }) => name)).toEqual(['a', 'later']);
});

test('thousands that were idle are forgotten in one hour', async () => {
  const world = await createApplyWorld();
  for (let i = 0; i < 2_500; i++) {
    await new StreamWriter(world.queue, 0, i.toString(16).padStart(32, '0')).append(items('upsert', [i, 'x']));
  }
  await applyAll(world);
  await world.clock.advance(31 * DAY_MS);
  const stop = startRetention(optionsOf(world));
  await world.clock.advance(3_600_000);
  expect((await world.queue.streams(0)).size).toBe(0);
  expect(await world.sink.idleStreams('client', world.clock.wallMs(), 10_000)).toEqual([]);
  await stop();
  expect(world.clock.timerCount).toBe(0);
});

test('of the stream of an HTTP request nothing is left after its hours, and its id may come again', async () => {
  const request = `${REQUEST_STREAM_TAG}${'1'.repeat(24)}`;
  const world = await createApplyWorld();
  await new StreamWriter(world.queue, 0, STREAM_A).append(items('upsert', [1, 'a']));
  await new StreamWriter(world.queue, 0, request).append(items('upsert', [2, 'b']));
  await applyAll(world);
  await world.clock.advance(23 * 3_600_000);
  const logged: object[] = [];
  await forgetIdle(optionsOf(world, logged));
  expect((await world.sink.readStream(request)).status).toBe('known');
  await world.clock.advance(2 * 3_600_000);
  await forgetIdle(optionsOf(world, logged));
  expect((await world.sink.readStream(request)).status).toBe('unknown');
  expect([...(await world.queue.streams(0)).keys()]).toEqual([STREAM_A]);
  expect(logged).toEqual([{ requests: 1, hours: 24 }]);
  await new StreamWriter(world.queue, 0, request).append(items('upsert', [2, 'c']));
  await applyAll(world);
  expect(world.store.read('item').map(({ name }) => name)).toEqual(['a', 'c']);
});
