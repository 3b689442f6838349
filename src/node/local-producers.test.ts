import { expect, test } from 'vitest';
import { createWorld, PARTITIONS, type World } from '../../test/support/ingest-world.ts';
import { createLogger } from '../admin/log.ts';
import type { ChangeGroup } from '../core/change.ts';
import { systemRandom } from '../core/random.ts';
import { decodeBatch } from '../protocol/batch.ts';
import { readFrame } from '../protocol/frame.ts';
import { LocalProducers } from './local-producers.ts';

const MINUTE_MS = 60_000;

function createProducers(bufferBytes = 100_000) {
  const world = createWorld();
  const refused: string[] = [];
  const producers = new LocalProducers({
    clock: world.clock,
    random: systemRandom,
    log: createLogger({ level: 'silent', format: 'json' }),
    sessions: world.sessions,
    bufferBytes,
    unsendable: (producer) => void refused.push(producer),
  });
  return { world, producers, refused };
}

function readings(from: number, count: number, text = ''): ChangeGroup[] {
  const rows = Array.from({ length: count }, (_, i) => [from + i, text]);
  return [{ table: 'readings', op: 'upsert', keyCount: 1, columns: ['id', 'text'], rows }];
}

/** What the queue holds: by stream, the ids of the rows; and whose it is. */
async function stored({ queue }: World): Promise<{ ids: number[]; streams: Set<string>; partitions: number }> {
  const ids: number[] = [];
  const streams = new Set<string>();
  let partitions = 0;
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const elements = await queue.fetch('main', partition, { elements: 10_000, bytes: 1 << 26 });
    if (elements.length > 0) partitions++;
    for (const { stream, frame } of elements) {
      streams.add(stream);
      for (const { rows } of decodeBatch(readFrame(frame).payload).groups) for (const [id] of rows) ids.push(id as number);
    }
  }
  return { ids: ids.sort((a, b) => a - b), streams, partitions };
}

test('what is written before the node has taken the producer in is stored as well, each row in its partition', async () => {
  const { world, producers } = createProducers();
  expect(producers.write('shop', readings(1, 20), 500)).toBe(true);
  await world.clock.advance(100);
  expect(producers.write('shop', readings(21, 20), 500)).toBe(true);
  await world.clock.advance(100);
  const { ids, streams, partitions } = await stored(world);
  expect(ids).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
  expect([streams.size, partitions]).toEqual([1, PARTITIONS]);
  expect(world.sessions.snapshot().map(({ producer }) => producer)).toEqual(['shop']);
  await closed(world, producers);
});

test('a change that cannot be sent is told, and holds up nothing', async () => {
  const { world, producers, refused } = createProducers();
  producers.write('shop', [{ table: 'readings', op: 'upsert', keyCount: 1, columns: ['id'], rows: [[1.5], [2]] }], 100);
  await world.clock.advance(100);
  expect((await stored(world)).ids).toEqual([2]);
  expect(refused).toEqual(['shop']);
  await closed(world, producers);
});

test('while nothing is stored it takes no more than its buffer holds', async () => {
  const { world, producers } = createProducers(10_000);
  producers.write('shop', readings(0, 1), 100);
  await world.clock.advance(100);
  world.queue.fault = 'before';
  let taken = 0;
  while (producers.write('shop', readings(1 + taken, 1, 'x'.repeat(900)), 900)) taken++;
  expect(taken).toBeGreaterThanOrEqual(10);
  expect(taken).toBeLessThanOrEqual(12);
  world.queue.fault = 'none';
  await world.clock.advance(1_000);
  expect((await stored(world)).ids).toEqual(Array.from({ length: taken + 1 }, (_, i) => i));
  await closed(world, producers);
});

test('a sink that applies nothing holds up nothing: what is stored is let go of', async () => {
  const { world, producers } = createProducers(10_000);
  let id = 0;
  for (let round = 0; round < 10; round++) {
    while (producers.write('shop', readings(id, 1, 'x'.repeat(900)), 900)) id++;
    await world.clock.advance(3_000);
  }
  expect(id).toBeGreaterThan(50);
  const { ids, streams } = await stored(world);
  expect(ids).toEqual(Array.from({ length: id }, (_, i) => i));
  expect(streams.size).toBeGreaterThan(5);
  await closed(world, producers);
});

test('a producer that is silent for minutes keeps no connection', async () => {
  const { world, producers } = createProducers();
  producers.write('shop', readings(1, 1), 100);
  await world.clock.advance(100);
  const [session] = world.sessions.snapshot();
  for (const { partition, frame } of await places(world)) world.progress.commit(partition, frame, [], session!.stream);
  await world.clock.advance(11 * MINUTE_MS);
  expect(world.sessions.size).toBe(0);
  world.progress.watermarks.clear();
  expect(producers.write('shop', readings(2, 1), 100)).toBe(true);
  await world.clock.advance(100);
  expect((await stored(world)).ids).toEqual([1, 2]);
  await closed(world, producers);
});

async function closed({ clock }: World, producers: LocalProducers): Promise<void> {
  const closing = producers.close();
  await clock.advance(10_000);
  await closing;
}

async function places({ queue }: World) {
  const found: { partition: number; frame: { seq: number; crc: number } }[] = [];
  for (let partition = 0; partition < PARTITIONS; partition++) {
    for (const { frame } of await queue.fetch('main', partition, { elements: 10, bytes: 1 << 20 })) {
      const { seq, crc } = readFrame(frame);
      found.push({ partition, frame: { seq, crc } });
    }
  }
  return found;
}
