import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Op, Row, Value } from '../../src/core/change.ts';
import { ERRORS, SyncError, type ErrorCode } from '../../src/core/errors.ts';
import { REQUEST_STREAM_TAG, START, type Place, type StreamId } from '../../src/core/stream.ts';
import { encodeBatch } from '../../src/protocol/batch.ts';
import type { MemoryTableDefinition } from '../../src/sinks/memory-table.ts';
import { isFault, type DeadLetter, type Shape, type Sink, type WriteGroup } from '../../src/sinks/sink.ts';
import { describeFence } from './sink-fence.contract.ts';
import { beginIn, type OnePartition } from '../support/one-partition.ts';

/** One empty database, made for one test, and what a test needs to know of it without the sink. */
export interface SinkHarness {
  /** A new handle on the database; with `incarnation`, of a node that shares it with others. */
  open(schema: 'strict' | 'evolve', incarnation?: string): Promise<Sink>;
  define(tables: readonly ContractTable[]): Promise<void>;
  addColumn(table: string, column: string, type: 'int' | 'text'): Promise<void>;
  /** All rows of a table, in any order; integers as numbers, bytes as Uint8Array. */
  rows(table: string): Promise<Record<string, Value>[]>;
  close(): Promise<void>;
}

export interface SinkKind {
  readonly name: string;
  create(): Promise<SinkHarness>;
  /** Whether it allows several transactions at once. */
  readonly concurrent: boolean;
  /** Whether it can end the connections of another node ({@link Sink.fence}); a text is why that cannot be tested there. */
  readonly fences: boolean | string;
  /** How many random histories are run. */
  readonly histories: number;
}

/** A table of the suite; `checkSql` says the same as `check`. */
export type ContractTable = MemoryTableDefinition & { readonly checkSql?: string };

const SETTINGS = { partitions: 16, mapping: '' };

const TABLES: readonly ContractTable[] = [
  {
    name: 'item',
    key: ['id'],
    columns: {
      id: { type: 'int' },
      name: { type: 'text' },
      amount: { type: 'int' },
      note: { type: 'text', notNull: true, default: 'none' },
    },
  },
  { name: 'needy', key: ['id'], columns: { id: { type: 'int' }, name: { type: 'text' }, label: { type: 'text', notNull: true } } },
  { name: 'pair', key: ['a', 'b'], columns: { a: { type: 'text' }, b: { type: 'int' }, v: { type: 'int' }, w: { type: 'text' } } },
  { name: 'link', key: ['a', 'b'], columns: { a: { type: 'int' }, b: { type: 'int' } } },
  { name: 'raw', key: ['id'], columns: { id: { type: 'bytes' }, data: { type: 'bytes' } } },
  { name: 'keyless', key: [], columns: { id: { type: 'int' } } },
  { name: 'person', key: ['id'], columns: { id: { type: 'int' }, email: { type: 'text' }, name: { type: 'text' } }, unique: [['email']] },
  { name: 'parent', key: ['id'], columns: { id: { type: 'int' }, name: { type: 'text' } } },
  {
    name: 'child',
    key: ['id'],
    columns: { id: { type: 'int' }, parent_id: { type: 'int' } },
    references: [{ columns: ['parent_id'], table: 'parent' }],
  },
  {
    name: 'checked',
    key: ['id'],
    columns: { id: { type: 'int' }, v: { type: 'int' } },
    check: (row) => row['v'] === null || Number(row['v']) >= 0,
    checkSql: 'v >= 0',
  },
];

/** What every sink with transactions does. */
export function describeSink(kind: SinkKind): void {
  let harness: SinkHarness;
  const opened: Sink[] = [];
  let streamCount = 0;

  const open = async (schema: 'strict' | 'evolve' = 'strict', incarnation?: string) => {
    const sink = await harness.open(schema, incarnation);
    opened.push(sink);
    await sink.prepare(SETTINGS);
    await sink.refreshSchema();
    return sink;
  };
  const newStream = (): StreamId => (++streamCount).toString(16).padStart(32, 'a');
  const claim = (stream: StreamId, producer = 'p') => [{ stream, producer }];
  const rowsOf = async (table: string) => sorted(await harness.rows(table));

  beforeEach(async () => {
    harness = await kind.create();
    await harness.define(TABLES);
  });

  afterEach(async () => {
    for (const sink of opened.splice(0)) await sink.close();
    await harness.close();
  });

  describe('setting up', () => {
    test('is done again without harm', async () => {
      await open();
      await open();
    });

    test('refuses another number of partitions and another mapping', async () => {
      const sink = await open();
      await expect(sink.prepare({ partitions: 8, mapping: '' })).rejects.toMatchObject({ code: 'sink_mismatch' });
      await expect(sink.prepare({ partitions: 16, mapping: 'abc' })).rejects.toMatchObject({ code: 'sink_mismatch' });
      await sink.prepare(SETTINGS);
    });

    test('does not show its own tables', async () => {
      const sink = await open();
      expect(
        sink
          .tables()
          .map((table) => table.name)
          .sort(),
      ).toEqual(TABLES.map((table) => table.name).sort());
      expect(sink.table('syncline_watermark')).toBeUndefined();
    });
  });

  describe('transactions', () => {
    test('begin at the start for a new stream', async () => {
      const sink = await open();
      const stream = newStream();
      const transaction = await beginIn(sink, 3, claim(stream));
      expect(transaction.watermarks.get(stream)).toEqual(START);
      expect(transaction.refused.size).toBe(0);
      await transaction.rollback();
    });

    test('commit data and watermark together', async () => {
      const sink = await open();
      const stream = newStream();
      const transaction = await beginIn(sink, 3, claim(stream));
      await transaction.write([group(sink, 'item', 'upsert', 1, ['id', 'name'], [[1, 'one']])]);
      await transaction.commit(new Map([[stream, { seq: 1, crc: 77 }]]), []);
      expect(await rowsOf('item')).toEqual([{ id: 1, name: 'one', amount: null, note: 'none' }]);
      expect(await sink.readWatermarks(3, [stream, newStream()])).toEqual(new Map([[stream, { seq: 1, crc: 77 }]]));
      expect((await sink.readWatermarks(4, [stream])).get(stream) ?? START).toEqual(START);
      const state = await sink.readStream(stream);
      expect(state).toMatchObject({ status: 'known', producer: 'p' });
      expect(state.watermarks.get(3)).toEqual({ seq: 1, crc: 77 });
    });

    test('keep the highest crc and places beyond 32 bits', async () => {
      const sink = await open();
      const stream = newStream();
      const place = { seq: 2 ** 52 + 1, crc: 0xffffffff };
      await commit(await beginIn(sink, 0, claim(stream)), stream, place);
      expect((await sink.readWatermarks(0, [stream])).get(stream)).toEqual(place);
    });

    test('leave nothing when rolled back', async () => {
      const sink = await open();
      const stream = newStream();
      const transaction = await beginIn(sink, 3, claim(stream));
      await transaction.write([group(sink, 'item', 'upsert', 1, ['id', 'name'], [[1, 'one']])]);
      await transaction.rollback();
      expect(await rowsOf('item')).toEqual([]);
      expect((await sink.readWatermarks(3, [stream])).get(stream) ?? START).toEqual(START);
    });

    test('are not seen by others before they commit', async () => {
      const sink = await open();
      const reader = await open();
      const stream = newStream();
      await commit(await beginIn(sink, 0, claim(stream)), stream, { seq: 1, crc: 1 });
      const transaction = await beginIn(sink, 0, claim(stream));
      await transaction.write([group(sink, 'item', 'upsert', 1, ['id', 'name'], [[1, 'one']])]);
      for (const handle of [sink, reader]) expect((await handle.readWatermarks(0, [stream])).get(stream)).toEqual({ seq: 1, crc: 1 });
      expect(await rowsOf('item')).toEqual([]);
      await commit(transaction, stream, { seq: 2, crc: 2 });
      for (const handle of [sink, reader]) expect((await handle.readStream(stream)).watermarks.get(0)).toEqual({ seq: 2, crc: 2 });
    });

    test('of one stream run one after the other, and the second sees what the first committed', async () => {
      const [first, second] = [await open(), await open()];
      const stream = newStream();
      await commit(await beginIn(first, 5, claim(stream)), stream, { seq: 1, crc: 1 });
      const leader = await beginIn(first, 5, claim(stream));
      const later = beginIn(second, 5, claim(stream));
      await leader.write([group(first, 'item', 'upsert', 1, ['id', 'name'], [[1, 'leader']])]);
      await commit(leader, stream, { seq: 2, crc: 22 });
      const fenced = await later;
      expect(fenced.watermarks.get(stream)).toEqual({ seq: 2, crc: 22 });
      await fenced.rollback();
    });

    test('lock several streams at once, whatever their order', async () => {
      const [first, second] = [await open(), await open()];
      const streams = [newStream(), newStream(), newStream()];
      const claims = streams.flatMap((stream) => claim(stream));
      const transaction = await beginIn(first, 1, claims);
      const later = beginIn(second, 1, claims.toReversed());
      await transaction.commit(new Map(streams.map((stream) => [stream, { seq: 4, crc: 4 }])), []);
      const fenced = await later;
      expect([...fenced.watermarks.values()].map((place) => place.seq)).toEqual([4, 4, 4]);
      await fenced.rollback();
    });

    test('move watermarks of several partitions, all or none', async () => {
      const sink = await open();
      const [a, b] = [newStream(), newStream()];
      const claims = [
        { partition: 7, streams: claim(a) },
        { partition: 2, streams: [...claim(b), ...claim(a)] },
        { partition: 5, streams: [] },
      ];
      const transaction = await sink.begin(claims);
      expect(transaction.partitions.map(({ partition }) => partition)).toEqual([7, 2, 5]);
      expect(transaction.partitions.map(({ watermarks }) => watermarks)).toEqual([
        new Map([[a, START]]),
        new Map([
          [a, START],
          [b, START],
        ]),
        new Map(),
      ]);
      await transaction.write([group(sink, 'item', 'upsert', 1, ['id', 'name'], [[1, 'one']])]);
      const moves = (seq: number) => [
        { partition: 7, places: new Map([[a, { seq, crc: 70 + seq }]]) },
        { partition: 2, places: new Map([[b, { seq, crc: 20 + seq }]]) },
        { partition: 5, places: new Map() },
      ];
      await transaction.commit(moves(1), []);
      const undone = await sink.begin(claims);
      await undone.rollback();
      const later = await sink.begin(claims.toReversed());
      expect(later.partitions.map(({ watermarks }) => [watermarks.get(a)?.crc, watermarks.get(b)?.crc])).toEqual([
        [undefined, undefined],
        [0, 21],
        [71, undefined],
      ]);
      await later.commit(moves(2), []);
      expect([(await sink.readStream(a)).watermarks.get(7), (await sink.readStream(b)).watermarks.get(2)]).toEqual([
        { seq: 2, crc: 72 },
        { seq: 2, crc: 22 },
      ]);
    });

    test('lock several partitions at once, whatever their order', async () => {
      const [first, second, third] = [await open(), await open(), await open()];
      const stream = newStream();
      const claims = [4, 9, 6].map((partition) => ({ partition, streams: claim(stream) }));
      const moves = (seq: number) => claims.map(({ partition }) => ({ partition, places: new Map([[stream, { seq, crc: 1 }]]) }));
      await (await first.begin(claims)).commit(moves(1), []);
      // Whoever locks in the order of the claims has its first when this is released, and needs that of the other.
      const holder = await beginIn(third, 9, claim(stream));
      const begun = [first.begin(claims), second.begin(claims.toReversed())];
      if (kind.concurrent) for (let i = 0; i < 20; i++) await third.readStream(stream);
      await holder.rollback();
      const seen = begun.map(async (one) => {
        const transaction = await one;
        const seqs = transaction.partitions.map(({ watermarks }) => watermarks.get(stream)?.seq ?? 0);
        await transaction.commit(moves((seqs[0] ?? 0) + 1), []);
        return seqs;
      });
      expect((await Promise.all(seen)).sort(([a = 0], [b = 0]) => a - b)).toEqual([
        [1, 1, 1],
        [2, 2, 2],
      ]);
    });

    test('refuse what comes twice', async () => {
      const sink = await open();
      const claims = { partition: 3, streams: claim(newStream()) };
      await expect(sink.begin([claims, claims])).rejects.toThrow('no partition comes twice');
    });

    test('of two that claim a stream in different partitions, take the one whose it is', async () => {
      const sink = await open();
      const [known, fresh] = [newStream(), newStream()];
      await commit(await beginIn(sink, 0, claim(known, 'a')), known, { seq: 1, crc: 1 });
      for (const [stream, first, second] of [
        [known, 'a', 'b'],
        [known, 'b', 'a'],
        [fresh, 'a', 'b'],
      ] as const) {
        const transaction = await sink.begin([
          { partition: 1, streams: claim(stream, first) },
          { partition: 2, streams: claim(stream, second) },
        ]);
        const refused = transaction.partitions.map((locked) => locked.refused.get(stream));
        expect(refused).toEqual(first === 'a' ? [undefined, 'stream_owned_by_other'] : ['stream_owned_by_other', undefined]);
        const own = first === 'a' ? 1 : 2;
        const last = transaction.partitions[own - 1]?.watermarks.get(stream)?.seq ?? 0;
        await transaction.commit([{ partition: own, places: new Map([[stream, { seq: last + 1, crc: 1 }]]) }], []);
        expect((await sink.readStream(stream)).producer).toBe('a');
      }
    });

    test('refuse a stream of somebody else in every partition, and take the others', async () => {
      const sink = await open();
      const [taken, free] = [newStream(), newStream()];
      await commit(await beginIn(sink, 1, claim(taken, 'somebody')), taken, { seq: 1, crc: 1 });
      const transaction = await sink.begin([
        { partition: 1, streams: claim(taken) },
        { partition: 2, streams: [...claim(free), ...claim(taken)] },
        { partition: 3, streams: claim(free) },
      ]);
      expect(transaction.partitions.map(({ refused }) => [...refused])).toEqual([
        [[taken, 'stream_owned_by_other']],
        [[taken, 'stream_owned_by_other']],
        [],
      ]);
      await transaction.commit([{ partition: 3, places: new Map([[free, { seq: 1, crc: 1 }]]) }], []);
      expect((await sink.readStream(free)).watermarks.get(3)?.seq).toBe(1);
    });

    if (kind.concurrent) {
      test('of different partitions run at the same time', async () => {
        const [first, second] = [await open(), await open()];
        expect(first.capabilities.maxConcurrency).toBeGreaterThan(1);
        const stream = newStream();
        const one = await beginIn(first, 1, claim(stream));
        const two = await beginIn(second, 2, claim(stream));
        await one.write([group(first, 'item', 'upsert', 1, ['id', 'name'], [[1, 'one']])]);
        await two.write([group(second, 'item', 'upsert', 1, ['id', 'name'], [[2, 'two']])]);
        await commit(two, stream, { seq: 2, crc: 2 });
        await commit(one, stream, { seq: 1, crc: 1 });
        const { watermarks } = await first.readStream(stream);
        expect([watermarks.get(1)?.seq, watermarks.get(2)?.seq]).toEqual([1, 2]);
        expect(await rowsOf('item')).toHaveLength(2);
      });
    } else {
      test('of different partitions run one after the other, also on one handle', async () => {
        const [first, second] = [await open(), await open()];
        expect(first.capabilities.maxConcurrency).toBe(1);
        const order: string[] = [];
        const one = await beginIn(first, 1, []);
        const others = [beginIn(first, 2, []), beginIn(second, 3, [])].map(async (begun) => {
          const transaction = await begun;
          order.push('other');
          await transaction.commit(new Map(), []);
        });
        await one.write([group(first, 'item', 'upsert', 1, ['id', 'name'], [[1, 'one']])]);
        order.push('one');
        await one.commit(new Map(), []);
        await Promise.all(others);
        expect(order).toEqual(['one', 'other', 'other']);
      });
    }

    test('can be ended by rollback after any failure', async () => {
      const sink = await open();
      const stream = newStream();
      const transaction = await beginIn(sink, 0, claim(stream));
      await expect(transaction.write([group(sink, 'item', 'update', 1, ['id', 'name'], [[1, 'x']])])).rejects.toMatchObject({
        code: 'row_missing',
      });
      await transaction.rollback();
      await commit(await beginIn(sink, 0, claim(stream)), stream, { seq: 1, crc: 1 });
    });
  });

  describe('writing', () => {
    /** Writes groups in a transaction of their own, moving a new stream's watermark. */
    const writeAll = async (sink: Sink, groups: readonly WriteGroup[]) => {
      const stream = newStream();
      const transaction = await beginIn(sink, 0, claim(stream));
      try {
        await transaction.write(groups);
        await commit(transaction, stream, { seq: 1, crc: 1 });
      } catch (error) {
        await transaction.rollback();
        throw error;
      }
    };

    test('upsert makes a row, and later changes only the columns it names', async () => {
      const sink = await open();
      await writeAll(sink, [
        group(
          sink,
          'item',
          'upsert',
          1,
          ['id', 'name', 'amount'],
          [
            [1, 'one', 10],
            [2, 'two', 20],
          ],
        ),
      ]);
      await writeAll(sink, [
        group(
          sink,
          'item',
          'upsert',
          1,
          ['id', 'amount'],
          [
            [2, 21],
            [3, 30],
          ],
        ),
      ]);
      expect(await rowsOf('item')).toEqual([
        { id: 1, name: 'one', amount: 10, note: 'none' },
        { id: 2, name: 'two', amount: 21, note: 'none' },
        { id: 3, name: null, amount: 30, note: 'none' },
      ]);
    });

    test('upsert with the columns in another order than the table', async () => {
      const sink = await open();
      await writeAll(sink, [group(sink, 'item', 'upsert', 1, ['id', 'note', 'amount', 'name'], [[1, 'n', 5, 'one']])]);
      expect(await rowsOf('item')).toEqual([{ id: 1, name: 'one', amount: 5, note: 'n' }]);
    });

    test('upsert that cannot make a row changes the one that is there', async () => {
      const sink = await open();
      const shape = shapeOf(sink, 'needy', 'upsert', 1, ['id', 'name']);
      expect(shape.suffices).toBe(false);
      await writeAll(sink, [group(sink, 'needy', 'insert', 1, ['id', 'label'], [[1, 'must']])]);
      await writeAll(sink, [{ shape, rows: [[1, 'one']] }]);
      expect(await rowsOf('needy')).toEqual([{ id: 1, name: 'one', label: 'must' }]);
      await expect(
        writeAll(sink, [
          {
            shape,
            rows: [
              [1, 'again'],
              [2, 'two'],
            ],
          },
        ]),
      ).rejects.toMatchObject({ code: 'null_not_allowed' });
      expect(await rowsOf('needy')).toEqual([{ id: 1, name: 'one', label: 'must' }]);
    });

    test('an upsert of equal values is no update of nothing', async () => {
      const sink = await open();
      for (const op of ['upsert', 'upsert', 'update'] as const)
        await writeAll(sink, [group(sink, 'item', op, 1, ['id', 'name'], [[1, 'same']])]);
      expect(await rowsOf('item')).toHaveLength(1);
    });

    test('composite keys, and tables of key columns only', async () => {
      const sink = await open();
      await writeAll(sink, [
        group(
          sink,
          'pair',
          'insert',
          2,
          ['a', 'b', 'v'],
          [
            ['x', 1, 1],
            ['x', 2, 2],
            ['y', 1, 3],
          ],
        ),
        group(sink, 'pair', 'update', 2, ['a', 'b', 'v'], [['x', 2, 22]]),
        group(
          sink,
          'pair',
          'delete',
          2,
          ['a', 'b'],
          [
            ['x', 1],
            ['z', 9],
          ],
        ),
        group(
          sink,
          'link',
          'upsert',
          2,
          ['a', 'b'],
          [
            [1, 1],
            [1, 2],
          ],
        ),
        group(sink, 'link', 'upsert', 2, ['a', 'b'], [[1, 2]]),
        group(sink, 'link', 'delete', 2, ['a', 'b'], [[1, 1]]),
      ]);
      expect(await rowsOf('pair')).toEqual([
        { a: 'x', b: 2, v: 22, w: null },
        { a: 'y', b: 1, v: 3, w: null },
      ]);
      expect(await rowsOf('link')).toEqual([{ a: 1, b: 2 }]);
    });

    test('keys of bytes, and text with every kind of character', async () => {
      const sink = await open();
      const text = `quote ' double " back \\ percent % emoji 🎉 line\nend`;
      await writeAll(sink, [
        group(
          sink,
          'raw',
          'upsert',
          1,
          ['id', 'data'],
          [
            [bytes(0, 255), bytes(39, 92, 0)],
            [bytes(1), bytes()],
          ],
        ),
        group(sink, 'raw', 'delete', 1, ['id'], [[bytes(1)]]),
        group(sink, 'item', 'insert', 1, ['id', 'name'], [[1, text]]),
      ]);
      expect(await rowsOf('raw')).toEqual([{ id: bytes(0, 255), data: bytes(39, 92, 0) }]);
      expect((await rowsOf('item'))[0]?.['name']).toBe(text);
    });

    test('a key that comes again in a later group is written in order', async () => {
      const sink = await open();
      await writeAll(sink, [
        group(sink, 'item', 'insert', 1, ['id', 'name'], [[1, 'first']]),
        group(sink, 'item', 'delete', 1, ['id'], [[1]]),
        group(sink, 'item', 'insert', 1, ['id', 'name'], [[1, 'second']]),
        group(sink, 'item', 'update', 1, ['id', 'name'], [[1, 'third']]),
        group(sink, 'item', 'upsert', 1, ['id', 'amount'], [[1, 4]]),
      ]);
      expect(await rowsOf('item')).toEqual([{ id: 1, name: 'third', amount: 4, note: 'none' }]);
    });

    test('many rows at once', async () => {
      const sink = await open();
      const ids = Array.from({ length: 3000 }, (_, id) => id);
      await writeAll(sink, [
        group(
          sink,
          'item',
          'upsert',
          1,
          ['id', 'name', 'amount'],
          ids.map((id) => [id, `name ${id}`, -id]),
        ),
      ]);
      await writeAll(sink, [
        group(
          sink,
          'item',
          'update',
          1,
          ['id', 'amount'],
          ids.filter((id) => id % 3 === 0).map((id) => [id, id]),
        ),
        group(
          sink,
          'item',
          'delete',
          1,
          ['id'],
          ids.filter((id) => id % 3 === 1).map((id) => [id]),
        ),
      ]);
      const rows = await rowsOf('item');
      expect(rows).toHaveLength(2000);
      expect(rows.every((row) => row['amount'] === (Number(row['id']) % 3 === 0 ? row['id'] : -Number(row['id'])))).toBe(true);
    });

    test('null is stored as null', async () => {
      const sink = await open();
      await writeAll(sink, [group(sink, 'item', 'upsert', 1, ['id', 'name', 'amount'], [[1, 'one', 1]])]);
      await writeAll(sink, [group(sink, 'item', 'upsert', 1, ['id', 'name', 'amount'], [[1, null, null]])]);
      expect(await rowsOf('item')).toEqual([{ id: 1, name: null, amount: null, note: 'none' }]);
    });

    test.for<[ErrorCode, string, Op, string[], Row]>([
      ['duplicate_key', 'item', 'insert', ['id', 'name'], [1, 'again']],
      ['row_missing', 'item', 'update', ['id', 'name'], [9, 'nobody']],
    ])('fails as a whole with %s in one row', async ([code, table, op, columns, row]) => {
      const sink = await open();
      await writeAll(sink, [group(sink, 'item', 'insert', 1, ['id', 'name'], [[1, 'one']])]);
      const failure = await writeAll(sink, [
        group(sink, 'item', 'upsert', 1, ['id', 'name'], [[2, 'two']]),
        group(sink, table, op, 1, columns, [row]),
      ]).catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(SyncError);
      // Which of the two a duplicate is only the change by itself tells.
      expect([code, 'duplicate_unique']).toContain((failure as SyncError).code);
      expect(['permanent', 'blocked']).toContain((failure as SyncError).kind);
      expect(await rowsOf('item')).toEqual([{ id: 1, name: 'one', amount: null, note: 'none' }]);
    });

    test('an upsert never changes the row of another unique value', async () => {
      const sink = await open();
      expect(sink.table('person')?.independent).toBe(false);
      await writeAll(sink, [
        group(
          sink,
          'person',
          'upsert',
          1,
          ['id', 'email', 'name'],
          [
            [1, 'a@x', 'A'],
            [2, 'b@x', 'B'],
          ],
        ),
      ]);
      await expect(writeAll(sink, [group(sink, 'person', 'upsert', 1, ['id', 'email', 'name'], [[3, 'a@x', 'C']])])).rejects.toMatchObject({
        code: 'duplicate_unique',
      });
      await expect(writeAll(sink, [group(sink, 'person', 'upsert', 1, ['id', 'email', 'name'], [[2, 'a@x', 'C']])])).rejects.toMatchObject({
        code: 'duplicate_unique',
      });
      await writeAll(sink, [
        group(
          sink,
          'person',
          'upsert',
          1,
          ['id', 'email', 'name'],
          [
            [2, 'b@x', 'B2'],
            [3, null, 'C'],
            [4, null, 'D'],
          ],
        ),
      ]);
      expect((await rowsOf('person')).map((row) => [row['id'], row['email'], row['name']])).toEqual([
        [1, 'a@x', 'A'],
        [2, 'b@x', 'B2'],
        [3, null, 'C'],
        [4, null, 'D'],
      ]);
    });

    test('any sequence of groups does what a plain map does, or fails as a whole where the map says so', async () => {
      const sink = await open();
      const change = fc.record({
        op: fc.constantFrom<Op>('upsert', 'insert', 'update', 'delete'),
        rows: fc.uniqueArray(
          fc.tuple(
            fc.integer({ min: 0, max: 4 }),
            fc.option(fc.integer({ min: -5, max: 5 })),
            fc.string({ maxLength: 3, unit: 'grapheme' }),
          ),
          { selector: ([b]) => b, minLength: 1, maxLength: 4 },
        ),
        columns: fc.constantFrom(['v'], ['w'], ['v', 'w'], ['w', 'v']),
      });
      let run = 0;
      await fc.assert(
        fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 8 }), async (changes) => {
          // Each run works under a key of its own.
          const a = `run ${++run}`;
          const model = new Map<number, Record<string, Value>>();
          const groups: WriteGroup[] = [];
          let fails = false;
          for (const { op, rows, columns } of changes) {
            const names = op === 'delete' ? [] : columns;
            groups.push(
              group(
                sink,
                'pair',
                op,
                2,
                ['a', 'b', ...names],
                rows.map(([b, v, w]) => [a, b, ...names.map((name) => (name === 'v' ? v : w))]),
              ),
            );
            for (const [b, v, w] of rows) {
              fails ||= (op === 'insert' && model.has(b)) || (op === 'update' && !model.has(b));
              if (op === 'delete') model.delete(b);
              else
                model.set(b, {
                  ...(model.get(b) ?? { a, b, v: null, w: null }),
                  ...Object.fromEntries(names.map((name) => [name, name === 'v' ? v : w])),
                });
            }
          }
          if (fails) await expect(writeAll(sink, groups)).rejects.toBeInstanceOf(SyncError);
          else await writeAll(sink, groups);
          const found = (await rowsOf('pair')).filter((row) => row['a'] === a);
          expect(found).toEqual(fails ? [] : sorted([...model.values()]));
        }),
        { numRuns: kind.histories },
      );
    });
  });

  describe('change by change', () => {
    test('faults are told apart, and the good ones commit', async () => {
      const sink = await open();
      const stream = newStream();
      const transaction = await beginIn(sink, 0, claim(stream));
      const apply = async (table: string, op: Op, keyCount: number, columns: readonly string[], row: Row) =>
        applyOne(sink, transaction, table, op, keyCount, columns, row);
      const expected: [ErrorCode | undefined, Awaited<ReturnType<typeof apply>>][] = [
        [undefined, await apply('item', 'insert', 1, ['id', 'name'], [1, 'one'])],
        ['duplicate_key', await apply('item', 'insert', 1, ['id', 'name'], [1, 'twice'])],
        ['row_missing', await apply('item', 'update', 1, ['id', 'name'], [2, 'nobody'])],
        [undefined, await apply('item', 'delete', 1, ['id'], [2])],
        ['null_not_allowed', await apply('item', 'upsert', 1, ['id', 'note'], [1, null])],
        ['null_not_allowed', await apply('item', 'upsert', 1, ['id', 'name'], [null, 'x'])],
        ['null_not_allowed', await apply('needy', 'insert', 1, ['id', 'name'], [1, 'x'])],
        ['null_not_allowed', await apply('needy', 'upsert', 1, ['id', 'name'], [1, 'x'])],
        ['unknown_table', await apply('nowhere', 'upsert', 1, ['id'], [1])],
        ['unknown_column', await apply('item', 'upsert', 1, ['id', 'colour'], [1, 'red'])],
        ['wrong_key', await apply('item', 'upsert', 1, ['name', 'amount'], ['one', 1])],
        ['wrong_key', await apply('item', 'upsert', 2, ['id', 'name'], [1, 'one'])],
        ['wrong_key', await apply('pair', 'upsert', 1, ['a', 'b', 'v'], ['x', 1, 1])],
        ['wrong_key', await apply('pair', 'upsert', 2, ['b', 'a', 'v'], [1, 'x', 1])],
        ['no_primary_key', await apply('keyless', 'upsert', 1, ['id'], [1])],
        ['foreign_key', await apply('child', 'insert', 1, ['id', 'parent_id'], [1, 5])],
        [undefined, await apply('parent', 'insert', 1, ['id', 'name'], [5, 'five'])],
        [undefined, await apply('child', 'insert', 1, ['id', 'parent_id'], [1, 5])],
        ['foreign_key', await apply('parent', 'delete', 1, ['id'], [5])],
        [undefined, await apply('person', 'insert', 1, ['id', 'email'], [1, 'a@x'])],
        ['duplicate_unique', await apply('person', 'insert', 1, ['id', 'email'], [2, 'a@x'])],
        ['duplicate_unique', await apply('person', 'upsert', 1, ['id', 'email'], [2, 'a@x'])],
        ['duplicate_key', await apply('person', 'insert', 1, ['id', 'email'], [1, 'b@x'])],
        ['check_failed', await apply('checked', 'upsert', 1, ['id', 'v'], [1, -1])],
        [undefined, await apply('checked', 'upsert', 1, ['id', 'v'], [1, 1])],
        ['wrong_type', await apply('item', 'upsert', 1, ['id', 'amount'], [1, 'many'])],
        [undefined, await apply('item', 'update', 1, ['id', 'amount'], [1, 11])],
      ];
      expect(expected.map(([, fault]) => fault?.code)).toEqual(expected.map(([code]) => code));
      for (const [, fault] of expected) if (fault !== undefined) expect(ERRORS[fault.code].kind).toMatch(/permanent|blocked/);
      await commit(transaction, stream, { seq: 1, crc: 1 });
      expect(await rowsOf('item')).toEqual([{ id: 1, name: 'one', amount: 11, note: 'none' }]);
      expect(await rowsOf('child')).toEqual([{ id: 1, parent_id: 5 }]);
      expect(await rowsOf('person')).toHaveLength(1);
      expect(await rowsOf('checked')).toEqual([{ id: 1, v: 1 }]);
      expect(await rowsOf('needy')).toEqual([]);
    });

    test('tables tell whether their rows are independent of each other', async () => {
      const sink = await open();
      const independent = TABLES.filter((table) => table.key.length > 0 && sink.table(table.name)?.independent === true).map(
        (table) => table.name,
      );
      expect(independent.sort()).toEqual(['item', 'link', 'needy', 'pair', 'raw']);
    });

    test('keys of rows are equal exactly where the rows are the same', async () => {
      const sink = await open();
      const shape = shapeOf(sink, 'pair', 'upsert', 2, ['a', 'b']);
      const rows: Row[] = [
        ['a', 1],
        ['a1', 1],
        ['a', 11],
        ['', 1],
        ['a\u0000', 1],
        ['A', 1],
      ];
      expect(new Set(rows.map((row) => shape.keyOf(row))).size).toBe(rows.length);
      expect(shape.keyOf(['a', 1])).toBe(shape.keyOf(['a', 1]));
      expect(shape.keyOf(['a', 1])).toBe(shapeOf(sink, 'pair', 'delete', 2, ['a', 'b']).keyOf(['a', 1]));
    });
  });

  describe('dead letters', () => {
    const letter = (stream: StreamId, seq: number, index: number, more: Partial<DeadLetter> = {}): DeadLetter => ({
      stream,
      partition: 2,
      seq,
      index,
      producer: 'p',
      table: 'item',
      op: 'insert',
      key: `[${index}]`,
      code: 'duplicate_key',
      message: 'item: a row with this key exists',
      payload: encodeBatch({
        groups: [{ table: 'item', op: 'insert', keyCount: 1, columns: ['id', 'name'], rows: [[seq, 'from a letter']] }],
      }),
      storedAtUs: 1_700_000_000_123_456,
      ...more,
    });
    const bury = async (sink: Sink, stream: StreamId, seq: number, letters: readonly DeadLetter[], partition = 2) => {
      const transaction = await beginIn(sink, partition, claim(stream));
      await transaction.commit(new Map([[stream, { seq, crc: seq }]]), letters);
    };

    test('are stored with the watermark, or not at all', async () => {
      const sink = await open();
      const stream = newStream();
      await bury(sink, stream, 1, [letter(stream, 1, 0)]);
      const transaction = await beginIn(sink, 2, claim(stream));
      await transaction.rollback();
      expect(await sink.deadLetters.count()).toBe(1);
      const [stored] = await sink.deadLetters.list({ limit: 10 });
      const { payload, ...fields } = letter(stream, 1, 0);
      expect(stored).toMatchObject({ ...fields, state: 'open' });
      expect(Buffer.from(stored?.payload ?? [])).toEqual(Buffer.from(payload));
      expect(await sink.deadLetters.get(stored?.id ?? 0)).toEqual(stored);
      expect(await sink.deadLetters.get(999_999)).toBeUndefined();
    });

    test('become one rejection per batch and reason, with the indexes of their changes', async () => {
      const sink = await open();
      const stream = newStream();
      const whole = letter(stream, 4, -1, {
        table: '',
        op: '',
        key: '',
        code: 'malformed_payload',
        message: 'no batch',
        payload: bytes(1, 2, 3),
      });
      await bury(sink, stream, 4, [
        letter(stream, 2, 7),
        letter(stream, 2, 3),
        letter(stream, 2, 5, { code: 'too_long', message: 'item.name: too long' }),
        letter(stream, 3, 0),
        whole,
      ]);
      await bury(sink, stream, 9, [letter(stream, 9, 1, { partition: 6 })], 6);
      const upTo = new Map([
        [6, 9],
        [2, 4],
      ]);
      const { rejections, cut } = await sink.readRejections(stream, new Map(), upTo, 6);
      expect(cut).toEqual(new Map());
      expect(rejections.map(({ partition, seq, code, changes }) => [partition, seq, code, changes.toSorted((a, b) => a - b)])).toEqual([
        [2, 2, 'duplicate_key', [3, 7]],
        [2, 2, 'too_long', [5]],
        [2, 3, 'duplicate_key', [0]],
        [2, 4, 'malformed_payload', []],
        [6, 9, 'duplicate_key', [1]],
      ]);
      expect(rejections[1]?.message).toBe('item.name: too long');
    });

    test('are read above one place and up to another', async () => {
      const sink = await open();
      const [stream, other] = [newStream(), newStream()];
      await bury(
        sink,
        stream,
        5,
        [1, 2, 3, 4, 5].map((seq) => letter(stream, seq, 0)),
      );
      await bury(sink, other, 3, [letter(other, 3, 0)]);
      const seqs = async (above: [number, number][], upTo: [number, number][]) =>
        (await sink.readRejections(stream, new Map(above), new Map(upTo), 10)).rejections.map(({ seq }) => seq);
      expect(await seqs([[2, 2]], [[2, 4]])).toEqual([3, 4]);
      expect(await seqs([], [[2, 1]])).toEqual([1]);
      expect(await seqs([[2, 5]], [[2, 9]])).toEqual([]);
      expect(await seqs([[2, 0]], [[3, 9]])).toEqual([]);
      expect(await seqs([[2, 0]], [])).toEqual([]);
    });

    test('are read some at a time, those of a batch together, however many they are', async () => {
      const sink = await open();
      const stream = newStream();
      const of = (seq: number, count: number, partition = 2) =>
        Array.from({ length: count }, (_, index) => letter(stream, seq, index, { partition }));
      await bury(sink, stream, 9, [...of(1, 1), ...of(3, 2), ...of(4, 5), ...of(9, 1)]);
      await bury(sink, stream, 2, [...of(1, 2, 6), ...of(2, 1, 6)], 6);
      const upTo = new Map([
        [2, 9],
        [6, 2],
        [7, 0],
      ]);
      const pages: [string[], ReadonlyMap<number, number>][] = [];
      for (let above = new Map<number, number>(); pages.length < 10;) {
        const { rejections, cut } = await sink.readRejections(stream, above, upTo, 3);
        pages.push([rejections.map(({ partition, seq, changes }) => `${partition}:${seq} ${changes.length}`), cut]);
        if (cut.size === 0) break;
        above = new Map([...upTo].map(([partition, end]) => [partition, cut.get(partition) ?? end]));
      }
      const at = (...places: [number, number][]) => new Map(places);
      expect(pages).toEqual([
        [['2:1 1', '2:3 2'], at([2, 3], [6, 0])],
        [['2:4 5'], at([2, 4], [6, 0])],
        [['2:9 1', '6:1 2'], at([6, 1])],
        [['6:2 1'], at()],
      ]);
    });

    test('are listed newest first, by state and table', async () => {
      const sink = await open();
      const stream = newStream();
      await bury(sink, stream, 3, [letter(stream, 1, 0), letter(stream, 2, 0, { table: 'pair' }), letter(stream, 3, 0)]);
      const seqs = async (filter: { table?: string; state?: 'open' | 'dropped' }, limit = 10) =>
        (await sink.deadLetters.list({ ...filter, limit })).map(({ seq }) => seq);
      expect(await seqs({})).toEqual([3, 2, 1]);
      expect(await seqs({}, 2)).toEqual([3, 2]);
      expect(await seqs({ table: 'pair' })).toEqual([2]);
      expect(await seqs({ table: 'item', state: 'open' })).toEqual([3, 1]);
      const [newest] = await sink.deadLetters.list({ limit: 1 });
      expect(await sink.deadLetters.drop([newest?.id ?? 0, 999_999])).toBe(1);
      expect(await sink.deadLetters.drop([newest?.id ?? 0])).toBe(0);
      expect(await seqs({ state: 'open' })).toEqual([2, 1]);
      expect(await seqs({ state: 'dropped' })).toEqual([3]);
      expect(await sink.deadLetters.count()).toBe(2);
    });

    test('are applied when retried, once', async () => {
      const sink = await open();
      const stream = newStream();
      await bury(sink, stream, 1, [letter(stream, 1, 0)]);
      const [stored] = await sink.deadLetters.list({ limit: 1 });
      const id = stored?.id ?? 0;
      expect(await sink.deadLetters.retry(id)).toBeUndefined();
      expect(await rowsOf('item')).toEqual([{ id: 1, name: 'from a letter', amount: null, note: 'none' }]);
      expect((await sink.deadLetters.get(id))?.state).toBe('retried');
      expect(await sink.deadLetters.count()).toBe(0);
      expect(await sink.deadLetters.retry(id)).toBeDefined();
      expect(await rowsOf('item')).toHaveLength(1);
    });

    test('stay open when the retry fails, and say why', async () => {
      const sink = await open();
      const stream = newStream();
      const whole = letter(stream, 2, -1, { table: '', op: '', code: 'malformed_payload', payload: bytes(1, 2, 3) });
      await bury(sink, stream, 2, [letter(stream, 1, 0), whole]);
      const transaction = await beginIn(sink, 0, []);
      await transaction.write([group(sink, 'item', 'insert', 1, ['id'], [[1]])]);
      await transaction.commit(new Map(), []);
      const letters = await sink.deadLetters.list({ limit: 10 });
      const faults = [];
      for (const { id } of letters) faults.push((await sink.deadLetters.retry(id))?.code);
      expect(faults).toEqual(['malformed_payload', 'duplicate_key']);
      expect(await sink.deadLetters.retry(999_999)).toBeDefined();
      expect(await sink.deadLetters.count()).toBe(2);
    });
  });

  describe('the schema', () => {
    test('is read again after a column was added', async () => {
      const sink = await open();
      expect(isFault(sink.table('item')!.shape('upsert', 1, ['id', 'colour']))).toBe(true);
      await harness.addColumn('item', 'colour', 'text');
      await sink.refreshSchema(['item']);
      const stream = newStream();
      const transaction = await beginIn(sink, 0, claim(stream));
      await transaction.write([group(sink, 'item', 'upsert', 1, ['id', 'colour'], [[1, 'red']])]);
      await commit(transaction, stream, { seq: 1, crc: 1 });
      expect(await rowsOf('item')).toEqual([{ id: 1, name: null, amount: null, note: 'none', colour: 'red' }]);
    });

    const batch = {
      groups: [
        {
          table: 'fresh',
          op: 'upsert' as const,
          keyCount: 2,
          columns: ['a', 'b', 'v'],
          rows: [
            ['x', 1, 'text'],
            ['x', 2, null],
          ],
        },
      ],
    };

    test('is left alone when it is strict', async () => {
      const sink = await open('strict');
      await sink.evolve([batch]);
      expect(sink.table('fresh')).toBeUndefined();
    });

    test('grows when it evolves: tables, then columns', async () => {
      const [sink, other] = [await open('evolve'), await open('evolve')];
      const wider = { groups: [{ table: 'fresh', op: 'upsert' as const, keyCount: 2, columns: ['a', 'b', 'n'], rows: [['x', 1, 5]] }] };
      await sink.evolve([batch]);
      await sink.evolve([wider, batch]);
      await other.evolve([batch, wider]);
      const stream = newStream();
      const transaction = await beginIn(other, 0, claim(stream));
      await transaction.write(
        [...batch.groups, ...wider.groups].map((each) => group(other, each.table, each.op, each.keyCount, each.columns, each.rows)),
      );
      await commit(transaction, stream, { seq: 1, crc: 1 });
      expect(await rowsOf('fresh')).toEqual([
        { a: 'x', b: 1, v: 'text', n: 5 },
        { a: 'x', b: 2, v: null, n: null },
      ]);
      expect(sink.table('fresh')?.key).toEqual(['a', 'b']);
    });

    test('never grows by a column that a change calls part of the key of a table that is there', async () => {
      const sink = await open('evolve');
      await sink.evolve([batch]);
      for (const op of ['update', 'delete'] as const)
        await sink.evolve([{ groups: [{ table: 'fresh', op, keyCount: 3, columns: ['a', 'b', 'evil'], rows: [['x', 1, 'y']] }] }]);
      const stream = newStream();
      const transaction = await beginIn(sink, 0, claim(stream));
      await transaction.write([group(sink, 'fresh', 'upsert', 2, ['a', 'b', 'v'], [['x', 1, 'text']])]);
      await commit(transaction, stream, { seq: 1, crc: 1 });
      expect(await rowsOf('fresh')).toEqual([{ a: 'x', b: 1, v: 'text' }]);
    });

    test("never grows into the sink's own tables", async () => {
      const sink = await open('evolve');
      await sink.evolve([{ groups: [{ ...batch.groups[0]!, table: 'syncline_extra' }] }]);
      expect(sink.table('syncline_extra')).toBeUndefined();
    });
  });

  describe('streams', () => {
    test('belong to the producer that used them first', async () => {
      const sink = await open();
      const [mine, yours] = [newStream(), newStream()];
      await commit(await beginIn(sink, 0, claim(mine, 'me')), mine, { seq: 1, crc: 1 });
      const transaction = await beginIn(sink, 1, [...claim(mine, 'thief'), ...claim(yours, 'you')]);
      expect(transaction.refused).toEqual(new Map([[mine, 'stream_owned_by_other']]));
      await commit(transaction, yours, { seq: 1, crc: 1 });
      expect((await sink.readStream(mine)).producer).toBe('me');
      expect((await sink.readStream(newStream())).status).toBe('unknown');
    });

    test('that are ended leave a tombstone, also where they were not known', async () => {
      const sink = await open();
      const [known, unknown] = [newStream(), newStream()];
      await commit(await beginIn(sink, 0, claim(known)), known, { seq: 3, crc: 3 });
      for (const stream of [known, unknown, unknown]) {
        expect(await sink.endStream({ stream, producer: 'p' })).toBe('ended');
        const { status, producer, watermarks } = await sink.readStream(stream);
        expect([status, producer, watermarks.size]).toEqual(['expired', 'p', 0]);
      }
      for (const partition of [0, 1]) {
        const transaction = await beginIn(
          sink,
          partition,
          [known, unknown].sort().flatMap((stream) => claim(stream)),
        );
        expect([...transaction.refused.values()]).toEqual(['stream_expired', 'stream_expired']);
        await transaction.rollback();
      }
    });

    test('of another producer are not ended', async () => {
      const sink = await open();
      const stream = newStream();
      await commit(await beginIn(sink, 0, claim(stream, 'me')), stream, { seq: 3, crc: 3 });
      expect(await sink.endStream({ stream, producer: 'thief' })).toBe('owned by other');
      expect((await sink.readStream(stream)).watermarks.get(0)).toEqual({ seq: 3, crc: 3 });
    });

    test('end behind a transaction that moves them', async () => {
      const [sink, other] = [await open(), await open()];
      const stream = newStream();
      await commit(await beginIn(sink, 0, claim(stream)), stream, { seq: 1, crc: 1 });
      const transaction = await beginIn(sink, 0, claim(stream));
      let hasEnded = false;
      const ending = other.endStream({ stream, producer: 'p' }).then(() => (hasEnded = true));
      await transaction.writeOne(shapeOf(sink, 'item', 'upsert', 1, ['id', 'name']), [1, 'before the end']);
      expect(hasEnded).toBe(false);
      await commit(transaction, stream, { seq: 2, crc: 2 });
      await ending;
      expect((await sink.readStream(stream)).status).toBe('expired');
    });

    test('that are idle leave a tombstone, which refuses them', async () => {
      const sink = await open();
      const [idle, other] = [newStream(), newStream()];
      await commit(await beginIn(sink, 0, claim(idle)), idle, { seq: 3, crc: 3 });
      await commit(await beginIn(sink, 1, claim(idle)), idle, { seq: 1, crc: 1 });
      await commit(await beginIn(sink, 0, claim(other)), other, { seq: 1, crc: 1 });
      const past = Date.now() - 3_600_000;
      const future = Date.now() + 3_600_000;
      expect(await sink.idleStreams('client', past, 10)).toEqual([]);
      expect((await sink.idleStreams('client', future, 10)).sort()).toEqual([idle, other].sort());
      expect(await sink.idleStreams('client', future, 1)).toHaveLength(1);
      await sink.expireStreams([idle], past);
      expect((await sink.readStream(idle)).status).toBe('known');
      await sink.expireStreams([idle], future);
      const state = await sink.readStream(idle);
      expect([state.status, state.producer, state.watermarks.size]).toEqual(['expired', 'p', 0]);
      expect(await sink.idleStreams('client', future, 10)).toEqual([other]);
      const transaction = await beginIn(sink, 0, [...claim(idle), ...claim(other)]);
      expect(transaction.refused).toEqual(new Map([[idle, 'stream_expired']]));
      expect(transaction.watermarks.get(other)).toEqual({ seq: 1, crc: 1 });
      await transaction.rollback();
    });

    test('of requests are told apart, and leave nothing when they are idle', async () => {
      const sink = await open();
      const [request, other] = [`${REQUEST_STREAM_TAG}${newStream().slice(8)}`, newStream()];
      const again = async (seq: number) => commit(await beginIn(sink, 0, claim(request)), request, { seq, crc: seq });
      await again(2);
      await commit(await beginIn(sink, 0, claim(other)), other, { seq: 1, crc: 1 });
      const future = Date.now() + 3_600_000;
      expect(await sink.idleStreams('client', future, 10)).toEqual([other]);
      expect(await sink.idleStreams('request', future, 10)).toEqual([request]);
      await sink.expireStreams([request], Date.now() - 3_600_000);
      expect((await sink.readStream(request)).status).toBe('known');
      await sink.expireStreams([request], future);
      expect(await sink.readStream(request)).toEqual({ status: 'unknown', producer: undefined, watermarks: new Map() });
      await again(1);
      expect((await sink.readStream(request)).watermarks).toEqual(new Map([[0, { seq: 1, crc: 1 }]]));
    });
  });

  test(`has ${kind.fences === false ? 'no' : 'a'} fence`, async () => {
    expect((await open()).fence === undefined).toBe(kind.fences === false);
  });

  if (typeof kind.fences === 'string') test.skip(`the fence (${kind.fences})`);
  else if (kind.fences) describeFence({ open: (incarnation) => open('strict', incarnation), newStream });

  test('keeps alive and closes twice without harm', async () => {
    const sink = await open();
    await sink.keepAlive();
    await sink.close();
    await sink.close();
  });
}

async function commit(transaction: OnePartition, stream: StreamId, place: Place): Promise<void> {
  await transaction.commit(new Map([[stream, place]]), []);
}

function shapeOf(sink: Sink, table: string, op: Op, keyCount: number, columns: readonly string[]): Shape {
  const shape = sink.table(table)?.shape(op, keyCount, columns);
  if (shape === undefined || isFault(shape)) throw new Error(`${table} ${op} (${columns.join()}): ${shape?.message ?? 'no such table'}`);
  return shape;
}

/** A group whose rows were checked, as a slice does before it writes. */
function group(sink: Sink, table: string, op: Op, keyCount: number, columns: readonly string[], rows: readonly Row[]): WriteGroup {
  const shape = shapeOf(sink, table, op, keyCount, columns);
  for (const row of rows) expect(shape.check(row)).toBeUndefined();
  return { shape, rows };
}

/** One change as a slice takes it: a fault of the table, of the shape, of the values or of the database. */
async function applyOne(
  sink: Sink,
  transaction: OnePartition,
  name: string,
  op: Op,
  keyCount: number,
  columns: readonly string[],
  row: Row,
) {
  const table = sink.table(name);
  if (table === undefined) return { code: 'unknown_table' as const, message: name };
  const shape = table.shape(op, keyCount, columns);
  return isFault(shape) ? shape : (shape.check(row) ?? (await transaction.writeOne(shape, row)));
}

function bytes(...values: number[]): Uint8Array {
  return new Uint8Array(values);
}

function sorted(rows: readonly Record<string, Value>[]): Record<string, Value>[] {
  const plain = rows.map((row) =>
    Object.fromEntries(Object.entries(row).map(([name, value]) => [name, value instanceof Uint8Array ? new Uint8Array(value) : value])),
  );
  return plain.sort((a, b) => (JSON.stringify(Object.values(a)) < JSON.stringify(Object.values(b)) ? -1 : 1));
}
