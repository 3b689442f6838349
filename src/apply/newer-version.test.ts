import { beforeEach, expect, test } from 'vitest';
import { STREAM_A, createApplyWorld, items, runSlice, StreamWriter, type ApplyWorld } from '../../test/support/apply-world.ts';
import { encodeFrame, FRAME } from '../protocol/frame.ts';

let world: ApplyWorld;
let writer: StreamWriter;
beforeEach(async () => {
  world = await createApplyWorld();
  writer = new StreamWriter(world.queue);
});

const slice = () =>
  runSlice(
    { lease: { sink: 'main', partition: 0, token: 'a'.repeat(32) }, limits: { elements: 256, bytes: 1 << 20 }, settledAtUs: 0, access: '' },
    world.context,
  );

test.each<[string, number, number]>([
  ['flags', FRAME.batch, 0b100],
  ['type', 0x1f, 0],
])('a stored frame with a %s that only a newer version knows stops the partition, and nothing of it is touched', async (_, type, flags) => {
  await writer.append(items('upsert', [1, 'before']));
  const entry = writer.entry([items('upsert', [2, 'newer'])]);
  const frame = encodeFrame({ type, flags, seq: entry.seq, prev: entry.prev, payload: Buffer.from('what it may be') });
  await writer.appendEntry({ ...entry, frame });
  for (let round = 0; round < 2; round++) {
    const result = await slice();
    expect(result).toMatchObject({ outcome: 'failed', count: 0, moves: [], resets: [], damage: [], error: { code: 'newer_format' } });
    expect(result.stats.deadLetters).toBe(0);
  }
  expect(await world.queue.backlog('main')).toMatchObject([{ count: 2 }]);
  expect(await world.sink.readWatermarks(0, [STREAM_A])).toEqual(new Map());
});
