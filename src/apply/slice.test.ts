import { zstdCompressSync } from 'node:zlib';
import { beforeEach, describe, expect, test } from 'vitest';
import { SyncError } from '../core/errors.ts';
import { encodeBatch } from '../protocol/batch.ts';
import { encodeFrame, FLAG_ZSTD, FRAME, frameCrc, HEADER_BYTES } from '../protocol/frame.ts';
import { encodeRefusal } from '../protocol/messages.ts';
import type { Sink, SinkTransaction } from '../sinks/sink.ts';
import {
  STREAM_A,
  STREAM_B,
  StreamWriter,
  children,
  createApplyWorld,
  items,
  runSlice,
  type ApplyWorld,
} from '../../test/support/apply-world.ts';
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

const run = (task: Partial<SliceTask> = {}, sink: Sink = world.sink): Promise<SliceResult> =>
  runSlice({ ...TASK, ...task }, { ...world.context, sink });
const rows = () => world.store.read('item').map(({ id, name }) => [id, name]);
const watermark = async (stream = STREAM_A) => (await world.sink.readWatermarks(0, [stream])).get(stream);

describe('a slice', () => {
  test('of an empty list does nothing', async () => {
    expect(await run()).toMatchObject({ outcome: 'applied', count: 0, more: false, moves: [] });
  });

  test('holds no more than its bytes of what compressed payloads expand to, and leaves the rest to the next', async () => {
    const compressed = (seq: number, prev: number) => {
      const payload = encodeBatch({ groups: [items('upsert', [seq, 'x'.repeat(100_000)])] });
      const flags = FLAG_ZSTD;
      return encodeFrame({
        type: FRAME.batch,
        flags,
        partition: 0,
        seq,
        prev,
        payload: zstdCompressSync(payload, { pledgedSrcSize: payload.length }),
      });
    };
    let prev = 0;
    for (let seq = 1; seq <= 10; seq++) {
      const frame = compressed(seq, prev);
      await writer.appendEntry({ stream: STREAM_A, producer: 'test', seq, prev, crc: frameCrc(frame), frame, kind: 'frame' });
      prev = frameCrc(frame);
    }
    const limits = { elements: 256, bytes: 250_000 };
    expect(await run({ limits })).toMatchObject({ outcome: 'applied', count: 3, more: true });
    await world.queue.acquire(TASK.lease, 'n1', 1000, 'steal');
    const [, , last] = await world.queue.fetch('main', 0, limits);
    await world.queue.trim(TASK.lease, 3, last!.identity, []);
    expect(await run({ limits })).toMatchObject({ outcome: 'applied', count: 3, more: true });
    expect(rows()).toHaveLength(6);
  });

  test('has an old schema read anew before it relies on it, and fails for now while that cannot be read', async () => {
    const relied: string[] = [];
    const table = world.sink.table.bind(world.sink);
    const sink = Object.assign(world.sink, { table: (name: string) => (relied.push('relied'), table(name)) });
    const renewSchema = async () => void relied.push('renewed');
    expect(await runSlice(TASK, { ...world.context, sink, renewSchema })).toMatchObject({ outcome: 'applied', count: 0 });
    expect(relied).toEqual([]);
    await writer.append(items('insert', [1, 'a']));
    const away = () => Promise.reject(new SyncError('sink_unavailable', 'away'));
    expect(await runSlice(TASK, { ...world.context, sink, renewSchema: away })).toMatchObject({ outcome: 'failed', count: 0 });
    expect(relied).toEqual([]);
    expect(await runSlice(TASK, { ...world.context, sink, renewSchema })).toMatchObject({ outcome: 'applied', count: 1 });
    expect(relied.slice(0, 2)).toEqual(['renewed', 'relied']);
  });

  test('reads the schema before a change becomes a dead letter, and not while one waits', async () => {
    let readCount = 0;
    const refreshSchema = world.sink.refreshSchema.bind(world.sink);
    const sink = Object.assign(world.sink, { refreshSchema: () => (readCount++, refreshSchema()) });
    await writer.append(children('insert', [1, 9]));
    expect(await run({}, sink)).toMatchObject({ outcome: 'blocked' });
    expect(readCount).toBe(0);
    const result = await run({ settledAtUs: Number.MAX_SAFE_INTEGER }, sink);
    expect(result).toMatchObject({ outcome: 'applied', count: 1, stats: { deadLetters: 1 } });
    expect(readCount).toBe(1);
  });

  test('applies a change that did not fit the schema as it was known', async () => {
    world.store.define({ name: 'item', key: ['id'], columns: { id: { type: 'int' }, name: { type: 'text', notNull: true } } });
    await world.sink.refreshSchema();
    world.store.define({ name: 'item', key: ['id'], columns: { id: { type: 'int' }, name: { type: 'text' } } });
    await writer.append(items('insert', [1, null]));
    expect(await run()).toMatchObject({ outcome: 'applied', count: 1, stats: { deadLetters: 0 } });
    expect(rows()).toEqual([[1, null]]);
  });

  test('applies batches in order and moves the watermark with them', async () => {
    await writer.append(items('insert', [1, 'a'], [2, 'b']));
    await writer.append(items('update', [1, 'c']));
    await writer.append(items('delete', [2]));
    const result = await run();
    expect(result).toMatchObject({ outcome: 'applied', count: 3, stats: { changes: 4, deadLetters: 0 } });
    expect(result.moves).toEqual([{ stream: STREAM_A, before: { seq: 0, crc: 0 }, after: { seq: 3, crc: writer.crc }, rejections: [] }]);
    expect(rows()).toEqual([[1, 'c']]);
    expect(await watermark()).toEqual({ seq: 3, crc: writer.crc });
  });

  test('drops what is applied already, and still counts it for the trim', async () => {
    await writer.append(items('insert', [1, 'a']));
    await run();
    await writer.append(items('insert', [2, 'b']));
    const result = await run();
    expect(result).toMatchObject({ outcome: 'applied', count: 2, stats: { changes: 1 } });
    expect(rows()).toEqual([
      [1, 'a'],
      [2, 'b'],
    ]);
  });

  test('drops a gap, asks to send again from the watermark, and goes on with other streams', async () => {
    await writer.append(items('insert', [1, 'a']));
    const applied = writer.crc;
    await run();
    const lost = writer.entry([items('insert', [2, 'b'])]);
    // The queue lost its record and was told, wrongly, that the lost one is stored.
    await world.queue.raise([{ partition: 0, stream: STREAM_A, producer: 'test', place: { seq: 2, crc: lost.crc } }]);
    await writer.append(items('insert', [3, 'c']));
    await new StreamWriter(world.queue, 0, STREAM_B).append(items('insert', [9, 'z']));
    const result = await run();
    expect(result).toMatchObject({ outcome: 'applied', count: 3 });
    expect(result.resets).toEqual([{ stream: STREAM_A, place: { seq: 1, crc: applied } }]);
    expect(rows()).toEqual([
      [1, 'a'],
      [9, 'z'],
    ]);
  });

  test('drops the right seq with another chain', async () => {
    await writer.append(items('insert', [1, 'a']));
    await run();
    await world.queue.raise([{ partition: 0, stream: STREAM_A, producer: 'test', place: { seq: 1, crc: 12345 } }]);
    writer.crc = 12345;
    await writer.append(items('insert', [2, 'from a clone']));
    const result = await run();
    expect(result.resets).toHaveLength(1);
    expect(rows()).toEqual([[1, 'a']]);
  });

  test('drops an element whose bytes changed in the queue, and asks for it again', async () => {
    const entry = writer.entry([items('insert', [1, 'a'])]);
    const broken = Buffer.from(entry.frame);
    broken[broken.length - 1] = (broken.at(-1) as number) ^ 1;
    await writer.appendEntry({ ...entry, frame: broken });
    const result = await run();
    expect(result).toMatchObject({ outcome: 'applied', count: 1, resets: [{ stream: STREAM_A, place: { seq: 0, crc: 0 } }] });
    expect(result.damage).toEqual([expect.stringContaining('crc32')]);
    expect(rows()).toEqual([]);
  });

  test('drops an element whose stream changed in the queue, and applies what is around it', async () => {
    await writer.append(items('insert', [1, 'a']));
    const other = new StreamWriter(world.queue, 0, STREAM_B);
    await other.append(items('insert', [2, 'b']));
    await writer.append(items('insert', [3, 'c']));
    world.queue.damage(0, 1, 30);
    const result = await run();
    expect(result).toMatchObject({ outcome: 'applied', count: 3, resets: [], damage: [expect.stringContaining('header')] });
    expect(result.moves.map(({ stream }) => stream)).toEqual([STREAM_A]);
    expect(rows()).toEqual([
      [1, 'a'],
      [3, 'c'],
    ]);
  });

  test('drops a list that is all damaged', async () => {
    await writer.append(items('insert', [1, 'a']));
    await writer.append(items('insert', [2, 'b']));
    world.queue.damage(0, 0, 0);
    world.queue.damage(0, 1, 46);
    expect(await run()).toMatchObject({ outcome: 'applied', count: 2, moves: [], resets: [], fetchedAtUs: 0 });
    expect(rows()).toEqual([]);
  });
});

describe('a permanent failure', () => {
  test('of one row among many becomes one dead letter; the others are applied, in the same commit as the watermark', async () => {
    for (let batch = 0; batch < 20; batch++) {
      await writer.append(items('insert', ...Array.from({ length: 50 }, (_, i) => [batch * 50 + i, batch === 13 && i === 7 ? 5 : 'x'])));
    }
    const result = await run();
    expect(result).toMatchObject({ outcome: 'applied', count: 20, stats: { changes: 1000, deadLetters: 1 } });
    expect(result.moves[0]?.rejections).toEqual([expect.objectContaining({ partition: 0, seq: 14, code: 'wrong_type', changes: [7] })]);
    expect(rows()).toHaveLength(999);
    const letters = await world.sink.deadLetters.list({ limit: 10 });
    expect(letters).toEqual([
      expect.objectContaining({ seq: 14, index: 7, table: 'item', op: 'insert', key: '[657]', code: 'wrong_type', stream: STREAM_A }),
    ]);
  });

  test('that only the sink can see is found change by change, in the original order', async () => {
    await writer.append(items('insert', [1, 'a']));
    await writer.append(items('insert', [1, 'again'], [2, 'b']), items('update', [3, 'nobody']), items('upsert', [1, 'c']));
    const result = await run();
    expect(result.moves[0]?.rejections).toEqual([
      expect.objectContaining({ seq: 2, code: 'duplicate_key', changes: [0] }),
      expect.objectContaining({ seq: 2, code: 'row_missing', changes: [2] }),
    ]);
    expect(rows()).toEqual([
      [1, 'c'],
      [2, 'b'],
    ]);
  });

  test('of an unknown table is none once the table is there', async () => {
    await writer.append({ table: 'late', op: 'upsert', keyCount: 1, columns: ['id'], rows: [[1]] });
    world.store.define({ name: 'late', key: ['id'], columns: { id: {} } });
    expect(await run()).toMatchObject({ outcome: 'applied', stats: { deadLetters: 0 } });
    expect(world.store.read('late')).toEqual([{ id: 1 }]);
  });

  test('of an unknown table or column names it', async () => {
    await writer.append({ table: 'nowhere', op: 'upsert', keyCount: 1, columns: ['id'], rows: [[1], [2]] });
    await writer.append({ table: 'item', op: 'upsert', keyCount: 1, columns: ['id', 'colour'], rows: [[1, 'red']] });
    const { moves } = await run();
    expect(moves[0]?.rejections.map(({ code, changes }) => [code, changes])).toEqual([
      ['unknown_table', [0, 1]],
      ['unknown_column', [0]],
    ]);
    expect(moves[0]?.rejections[0]?.message).toContain('nowhere');
    expect(moves[0]?.rejections[1]?.message).toContain('colour');
  });

  test('of a whole batch, refused at the door, is one dead letter, and the chain goes on', async () => {
    const entry = writer.entry([items('insert', [1, 'a'])]);
    const refusal = encodeRefusal({ code: 'malformed_payload', message: 'depth 17' });
    await writer.appendEntry({ ...entry, kind: 'refusal', frame: Buffer.concat([entry.frame.subarray(0, HEADER_BYTES), refusal]) });
    await writer.append(items('insert', [2, 'b']));
    const { moves } = await run();
    expect(moves[0]).toMatchObject({
      after: { seq: 2 },
      rejections: [{ seq: 1, code: 'malformed_payload', message: 'depth 17', changes: [] }],
    });
    expect(rows()).toEqual([[2, 'b']]);
  });

  test('of a payload that cannot be read after all is one dead letter too', async () => {
    const entry = writer.entry([items('insert', [1, 'a'])]);
    const frame = encodeFrame({ type: FRAME.batch, partition: 0, seq: 1, prev: 0, payload: Buffer.from('c1', 'hex') });
    await writer.appendEntry({ ...entry, frame, crc: frameCrc(frame) });
    const { moves } = await run();
    expect(moves[0]?.rejections).toEqual([expect.objectContaining({ seq: 1, code: 'malformed_payload', changes: [] })]);
  });

  test('of a row in the wrong partition is found', async () => {
    await writer.append(items('insert', [1, 'a']));
    const result = await runSlice(TASK, { ...world.context, partitionCount: 256, partitionBy: new Map() });
    expect(result.moves[0]?.rejections).toEqual([expect.objectContaining({ code: 'wrong_partition', changes: [0] })]);
  });
});

describe('a foreign key that does not hold', () => {
  test('blocks until other partitions have passed it; what came before is committed', async () => {
    await writer.append(items('insert', [1, 'a']));
    const child = await writer.append(children('insert', [10, 77]));
    await writer.append(items('insert', [2, 'b']));
    const result = await run();
    expect(result).toMatchObject({ outcome: 'blocked', count: 1 });
    expect(child.seq).toBe(2);
    expect(result.blockedAtUs).toBeGreaterThan(0);
    expect(rows()).toEqual([[1, 'a']]);
  });

  test('is applied once the parent is there', async () => {
    await writer.append(children('insert', [10, 77]));
    expect((await run()).outcome).toBe('blocked');
    world.store.put('parent', { id: 77 });
    expect(await run()).toMatchObject({ outcome: 'applied', stats: { deadLetters: 0 } });
    expect(world.store.read('child')).toEqual([{ id: 10, parent: 77 }]);
  });

  test('is a dead letter once everybody else has passed it', async () => {
    await writer.append(children('insert', [10, 77]));
    const { blockedAtUs = 0 } = await run();
    expect(await run({ settledAtUs: blockedAtUs })).toMatchObject({ outcome: 'applied', count: 1, stats: { deadLetters: 1 } });
  });
});

describe('a transient failure', () => {
  /** The world's sink, with one step of its transactions replaced. */
  function faulty(fault: (tx: SinkTransaction) => Partial<SinkTransaction>): Sink {
    const { sink } = world;
    return new Proxy(sink, {
      get(target, name) {
        if (name === 'begin') {
          return async (...args: Parameters<Sink['begin']>) => {
            const tx = await target.begin(...args);
            const replaced = fault(tx);
            return new Proxy(tx, {
              get: (inner, step) => {
                const value = (replaced as Record<string | symbol, unknown>)[step] ?? inner[step as keyof SinkTransaction];
                return typeof value === 'function' ? value.bind(inner) : value;
              },
            });
          };
        }
        const value = target[name as keyof Sink];
        return typeof value === 'function' ? (value as () => unknown).bind(target) : value;
      },
    });
  }

  test('while writing commits nothing and is never a dead letter', async () => {
    await writer.append(items('insert', [1, 'a']));
    const sink = faulty(() => ({ write: () => Promise.reject(new SyncError('sink_busy', 'deadlock')) }));
    expect(await run({}, sink)).toMatchObject({ outcome: 'failed', count: 0, error: { code: 'sink_busy' }, moves: [] });
    expect(rows()).toEqual([]);
    expect(await run()).toMatchObject({ outcome: 'applied', count: 1 });
    expect(rows()).toEqual([[1, 'a']]);
  });

  test('at a commit that did happen is settled by the next slice, which reads the watermark', async () => {
    await writer.append(items('insert', [1, 'a']));
    const sink = faulty((tx) => ({
      commit: async (...args) => {
        await tx.commit(...args);
        throw new SyncError('commit_unknown', 'the connection died during COMMIT');
      },
      rollback: async () => {},
    }));
    expect(await run({}, sink)).toMatchObject({ outcome: 'failed', count: 0, error: { code: 'commit_unknown' } });
    const next = await run();
    expect(next).toMatchObject({ outcome: 'applied', count: 1, stats: { changes: 0 } });
    expect(next.moves).toEqual([expect.objectContaining({ before: { seq: 1, crc: writer.crc }, after: { seq: 1, crc: writer.crc } })]);
    expect(rows()).toEqual([[1, 'a']]);
  });

  test('after a first commit reports that commit', async () => {
    await writer.append(items('insert', [1, 'a']));
    await writer.append(items('insert', [1, 'again']));
    let commits = 0;
    const sink = faulty((tx) => ({
      commit: (...args) => (++commits > 1 ? Promise.reject(new SyncError('sink_unavailable', 'gone')) : tx.commit(...args)),
    }));
    expect(await run({}, sink)).toMatchObject({ outcome: 'applied', count: 1, more: true, moves: [{ after: { seq: 1 } }] });
    expect(await run()).toMatchObject({ outcome: 'applied', count: 2, stats: { deadLetters: 1 } });
  });
});

describe('the fence', () => {
  test('lets one of two leaders apply a batch; the other finds it applied', async () => {
    await writer.append(items('insert', [1, 'a']));
    await writer.append(items('upsert', [1, 'b']));
    const [one, two] = await Promise.all([run(), run()]);
    expect(one.stats.changes + two.stats.changes).toBe(2);
    expect([one.outcome, two.outcome]).toEqual(['applied', 'applied']);
    expect(rows()).toEqual([[1, 'b']]);
    expect(await world.sink.deadLetters.count()).toBe(0);
  });
});
