import { describe, expect, test } from 'vitest';
import { Timestamp, type Value } from '../core/change.ts';
import { STREAM_A, createApplyWorld, items, runSlice, StreamWriter } from '../../test/support/apply-world.ts';
import { keyText } from './dead-letters.ts';

describe('a change whose key cannot be one', () => {
  const keys: readonly (readonly [what: string, key: Value, text: string])[] = [
    ['a timestamp after the year 9999', new Timestamp(400_000_000_000, 5), '["400000000000 s and 5 ns since 1970"]'],
    ['a timestamp that no date holds', new Timestamp(9e15, 0), '["9000000000000000 s and 0 ns since 1970"]'],
    ['an array with a large integer', [2n ** 60n], '[["1152921504606846976"]]'],
    ['an object with a large integer', { deep: [2n ** 60n] }, '[{"deep":["1152921504606846976"]}]'],
    ['an array with bytes', [Uint8Array.of(1, 255)], '[["0x01ff"]]'],
  ];
  test.each(keys)('%s is a dead letter and does not keep its partition from going on', async (_, key, text) => {
    const { context, queue, sink, store } = await createApplyWorld();
    const writer = new StreamWriter(queue);
    await writer.append(items('upsert', [key, 'no key']));
    await writer.append(items('upsert', [1, 'a']));
    const task = {
      lease: { sink: 'main', partition: 0, token: '00'.repeat(16) },
      limits: { elements: 256, bytes: 1 << 20 },
      settledAtUs: 0,
      access: '',
    };
    expect(await runSlice(task, context)).toMatchObject({ outcome: 'applied', count: 2, stats: { deadLetters: 1 } });
    expect(await sink.deadLetters.list({ limit: 10 })).toMatchObject([{ seq: 1, index: 0, key: text }]);
    expect(store.read('item')).toMatchObject([{ id: 1, name: 'a' }]);
  });

  test('its text is bounded however large it is', () => {
    expect(keyText([new Uint8Array(1 << 20)]).length).toBeLessThanOrEqual(500);
  });
});

describe('dead letters of one batch', () => {
  test('are told with the commit as they are told when they are read from the sink', async () => {
    const { context, queue, sink } = await createApplyWorld();
    const nowhere = { table: 'nowhere', op: 'delete', keyCount: 1, columns: ['id'], rows: [[1], [2]] } as const;
    await new StreamWriter(queue).append(nowhere, items('update', [7, 'missing']), { ...nowhere, table: 'neither' }, nowhere);
    const task = {
      lease: { sink: 'main', partition: 0, token: '00'.repeat(16) },
      limits: { elements: 256, bytes: 1 << 20 },
      settledAtUs: 0,
      access: '',
    };
    const partitionBy = new Map([
      ...context.partitionBy,
      ...['nowhere', 'neither'].map((table) => [table, { group: 'test', columns: ['none'] }] as const),
    ]);
    const { moves } = await runSlice(task, { ...context, partitionBy });
    expect(moves[0]?.rejections).toHaveLength(3);
    expect(moves[0]?.rejections).toEqual((await sink.readRejections(STREAM_A, new Map(), new Map([[0, 1]]), 10)).rejections);
  });
});
