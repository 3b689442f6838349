import { describe, expect, test } from 'vitest';
import { systemClock, type Clock } from '../core/clock.ts';
import { createMemorySink } from './memory.ts';
import { createMemoryStore } from './memory-store.ts';
import { isFault, type Shape, type Sink } from './sink.ts';
import { beginIn } from '../../test/support/one-partition.ts';

const STREAM = 'b'.repeat(32);
const CLAIM = [{ stream: STREAM, producer: 'p' }];

async function openTwo(clock: Clock = systemClock): Promise<[Sink, Sink]> {
  const store = createMemoryStore([{ name: 't', key: ['id'], columns: { id: { type: 'int' }, email: {} }, unique: [['email']] }]);
  const sinks = [createMemorySink({ name: 'a', clock, store }), createMemorySink({ name: 'b', clock, store })] as const;
  for (const sink of sinks) await sink.refreshSchema();
  return [sinks[0], sinks[1]];
}

function shapeOf(sink: Sink): Shape {
  const shape = sink.table('t')?.shape('upsert', 1, ['id', 'email']);
  if (shape === undefined || isFault(shape)) throw new Error('no shape');
  return shape;
}

describe('the memory sink', () => {
  test('refuses at once a row or a unique value that another transaction holds', async () => {
    const [first, second] = await openTwo();
    const one = await beginIn(first, 1, CLAIM);
    const two = await beginIn(second, 2, CLAIM);
    await one.writeOne(shapeOf(first), [1, 'a@x']);
    await expect(two.writeOne(shapeOf(second), [1, 'b@x'])).rejects.toMatchObject({ code: 'sink_busy' });
    await expect(two.writeOne(shapeOf(second), [2, 'a@x'])).rejects.toMatchObject({ code: 'sink_busy' });
    await one.rollback();
    expect(await two.writeOne(shapeOf(second), [2, 'a@x'])).toBeUndefined();
    await two.rollback();
  });

  test('gives up waiting for a watermark', async () => {
    let nowMs = 0;
    const clock: Clock = {
      ...systemClock,
      monotonicMs: () => nowMs,
      setTimer: (delayMs, run) =>
        systemClock.setTimer(0, () => {
          nowMs += delayMs;
          run();
        }),
    };
    const [first, second] = await openTwo(clock);
    const holder = await beginIn(first, 1, CLAIM);
    await expect(beginIn(second, 1, CLAIM)).rejects.toMatchObject({ code: 'sink_busy' });
    await holder.rollback();
    await (await beginIn(second, 1, CLAIM)).rollback();
  });

  test('takes the lock from a transaction that froze, which then cannot commit', async () => {
    let nowMs = 0;
    const [first, second] = await openTwo({ ...systemClock, monotonicMs: () => nowMs });
    const frozen = await beginIn(first, 1, CLAIM);
    nowMs += 60_000;
    const later = await beginIn(second, 1, CLAIM);
    await expect(frozen.commit(new Map([[STREAM, { seq: 1, crc: 1 }]]), [])).rejects.toMatchObject({ code: 'sink_unavailable' });
    await later.commit(new Map([[STREAM, { seq: 1, crc: 2 }]]), []);
    expect((await first.readWatermarks(1, [STREAM])).get(STREAM)).toEqual({ seq: 1, crc: 2 });
  });

  test('rolls back what is open when it closes, and lets the next one in', async () => {
    const [first, second] = await openTwo();
    const transaction = await beginIn(first, 1, CLAIM);
    await transaction.writeOne(shapeOf(first), [1, 'a@x']);
    const later = beginIn(second, 1, CLAIM);
    await first.close();
    await expect(transaction.commit(new Map(), [])).rejects.toMatchObject({ code: 'sink_unavailable' });
    expect(await (await later).writeOne(shapeOf(second), [1, 'b@x'])).toBeUndefined();
  });
});
