import { beforeEach, describe, expect, test } from 'vitest';
import { encodeAccess, type Rule } from '../core/access.ts';
import type { ChangeGroup } from '../core/change.ts';
import { createMemorySink } from '../sinks/memory.ts';
import { items, parents, runSlice, StreamWriter, STREAM_A, createApplyWorld, type ApplyWorld } from '../../test/support/apply-world.ts';
import type { SliceResult, SliceTask } from './task.ts';

const TASK: SliceTask = {
  lease: { sink: 'main', partition: 0, token: '00'.repeat(16) },
  limits: { elements: 256, bytes: 1 << 20 },
  settledAtUs: 0,
  access: '',
};

let world: ApplyWorld;
let writer: StreamWriter;
beforeEach(async () => {
  world = await createApplyWorld();
  writer = new StreamWriter(world.queue);
});

/** The producer of a `StreamWriter` is called `test`. */
const access = (...rules: Rule[]) => encodeAccess([{ name: 'test', rules }]);
const run = (text: string, sink = world.sink): Promise<SliceResult> => runSlice({ ...TASK, access: text }, { ...world.context, sink });
const rows = (table = 'item') => world.store.read(table).map((row) => Object.values(row));
const rejections = ({ moves }: SliceResult) =>
  moves.flatMap((move) => move.rejections.map(({ code, seq, changes }) => ({ code, seq, changes })));

describe('changes that the rules of their producer do not allow', () => {
  test('are dead letters, and the others of their batch are applied', async () => {
    await writer.append(items('upsert', [1, 'one']), parents('upsert', [7], [8]), items('upsert', [2, 'two']));
    const result = await run(access({ tables: ['item'], operations: ['upsert'] }));
    expect(result).toMatchObject({ outcome: 'applied', count: 1, stats: { deadLetters: 2 } });
    expect(rejections(result)).toEqual([{ code: 'not_allowed', seq: 1, changes: [1, 2] }]);
    expect(rows()).toEqual([
      [1, 'one'],
      [2, 'two'],
    ]);
    expect(rows('parent')).toEqual([]);
    const letters = await world.sink.deadLetters.list({ state: 'open', limit: 10 });
    expect(letters.map(({ code, table, op, key, producer }) => ({ code, table, op, key, producer }))).toEqual(
      [8, 7].map((id) => ({ code: 'not_allowed', table: 'parent', op: 'upsert', key: `[${id}]`, producer: 'test' })),
    );
  });

  test('are so by the rules of the slice, not of when they were stored', async () => {
    await writer.append(items('upsert', [1, 'one']));
    await writer.append(items('delete', [1]));
    const both = access({ tables: ['item'], operations: ['upsert', 'delete'] });
    const taken = access({ tables: ['item'], operations: ['delete'] });
    expect(taken).not.toBe(both);
    expect(rejections(await run(taken))).toEqual([{ code: 'not_allowed', seq: 1, changes: [0] }]);
    expect(rows()).toEqual([]);
  });

  test('are told apart by columns', async () => {
    await writer.append(items('upsert', [1, 'one']));
    await writer.append({ table: 'item', op: 'upsert', keyCount: 1, columns: ['id'], rows: [[2]] });
    const result = await run(access({ tables: ['*'], operations: ['upsert'], columns: [] }));
    expect(rejections(result)).toEqual([{ code: 'not_allowed', seq: 1, changes: [0] }]);
    expect(rows()).toEqual([[2, null]]);
  });

  test('are all that a producer sent who is not among those that are known', async () => {
    await writer.append(items('upsert', [1, 'one']));
    const result = await run(encodeAccess([{ name: 'another', rules: [{ tables: ['*'], operations: ['upsert'] }] }]));
    expect(rejections(result)).toEqual([{ code: 'not_allowed', seq: 1, changes: [0] }]);
  });

  test('say the same whether their table exists, and make none where the schema evolves', async () => {
    const sink = createMemorySink({ name: 'main', clock: world.clock, store: world.store, schema: 'evolve' });
    const group = (table: string): ChangeGroup => ({ table, op: 'upsert', keyCount: 1, columns: ['id'], rows: [[1]] });
    await writer.append(group('new_allowed'), group('new_forbidden'), group('parent'));
    const result = await run(access({ tables: ['new_allowed'], operations: ['upsert'] }), sink);
    expect(rejections(result)).toEqual([
      { code: 'not_allowed', seq: 1, changes: [1] },
      { code: 'not_allowed', seq: 1, changes: [2] },
    ]);
    await sink.refreshSchema();
    expect(rows('new_allowed')).toEqual([[1]]);
    expect(sink.table('new_forbidden')).toBeUndefined();
    expect(rows('parent')).toEqual([]);
  });
});

test('without rules everything is applied, whoever sent it', async () => {
  await writer.append(items('upsert', [1, 'one']));
  expect(await run('')).toMatchObject({ outcome: 'applied', stats: { deadLetters: 0 } });
  expect((await world.sink.readWatermarks(0, [STREAM_A])).get(STREAM_A)?.seq).toBe(1);
});
