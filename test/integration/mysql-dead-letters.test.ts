import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { encodeBatch } from '../../src/protocol/batch.ts';
import type { DeadLetter, Sink } from '../../src/sinks/sink.ts';
import { mariadbAvailable, startMariadb, type MariadbServer } from '../support/mariadb-server.ts';
import { CLAIM, group, sinkOn, STREAM, writeAll, writeSingly } from './mysql-harness.ts';
import { beginIn } from '../support/one-partition.ts';

describe.skipIf(!mariadbAvailable())('dead letters on MariaDB (skipped where mariadbd is not installed)', () => {
  let server: MariadbServer;
  let databases = 0;
  const sinks: Sink[] = [];
  const newSink = async (tables: readonly string[], options = {}) => {
    const database = `d${++databases}`;
    const sink = await sinkOn(server, database, tables, options);
    sinks.push(sink);
    return { sink, database };
  };

  beforeAll(async () => {
    server = await startMariadb({ args: ['--max-allowed-packet=4M', '--lock-wait-timeout=5'] });
  });
  afterAll(async () => {
    for (const sink of sinks) await sink.close();
    await server.close();
  });

  const ITEM = 'CREATE TABLE item (id INT PRIMARY KEY, name VARCHAR(50), amount INT)';

  test('a row larger than max_allowed_packet is refused before the server would cut the connection', async () => {
    const { sink, database } = await newSink(['CREATE TABLE file (id INT PRIMARY KEY, data LONGBLOB)']);
    const huge = Buffer.alloc(3_000_000, 1);
    const [large, small] = [Buffer.alloc(1_500_000, 2), Buffer.alloc(10, 3)];
    const groups = [
      group(
        sink,
        'file',
        'upsert',
        1,
        ['id', 'data'],
        [
          [1, small],
          [2, huge],
          [3, large],
          [4, large],
          [5, small],
        ],
      ),
    ];
    await expect(writeAll(sink, groups)).rejects.toMatchObject({ code: 'row_too_large', kind: 'permanent' });
    expect((await writeSingly(sink, groups)).map((fault) => fault?.code)).toEqual([
      undefined,
      'row_too_large',
      undefined,
      undefined,
      undefined,
    ]);
    const sizes = await server.query('SELECT id, LENGTH(data) AS size FROM file ORDER BY id', database);
    expect(sizes.map((row) => [row['id'], row['size']])).toEqual([
      [1, 10],
      [3, 1_500_000],
      [4, 1_500_000],
      [5, 10],
    ]);
    // A dead letter that holds such a row is stored without its payload rather than never.
    const transaction = await beginIn(sink, 0, CLAIM);
    await transaction.commit(new Map([[STREAM, { seq: 99, crc: 1 }]]), [letter({ payload: huge, seq: 98 }), letter({ seq: 98, index: 1 })]);
    const [second, first] = await sink.deadLetters.list({ limit: 10 });
    expect([first?.payload.length, second?.payload.length]).toEqual([0, 3]);
    expect(first?.message).toContain('3000000 bytes');
  });

  test('are retried in one transaction after the table was corrected', async () => {
    const { sink, database } = await newSink([ITEM]);
    const batch = { groups: [{ table: 'item', op: 'upsert' as const, keyCount: 1, columns: ['id', 'later'], rows: [[1, 'x']] }] };
    const transaction = await beginIn(sink, 0, CLAIM);
    await transaction.commit(new Map([[STREAM, { seq: 1, crc: 1 }]]), [
      letter({ table: 'item', code: 'unknown_column', payload: encodeBatch(batch) }),
    ]);
    const [stored] = await sink.deadLetters.list({ limit: 1 });
    expect(await sink.deadLetters.retry(stored?.id ?? 0)).toMatchObject({ code: 'unknown_column' });
    await server.query('ALTER TABLE item ADD COLUMN later VARCHAR(10)', database);
    expect(await sink.deadLetters.retry(stored?.id ?? 0)).toBeUndefined();
    expect((await sink.deadLetters.get(stored?.id ?? 0))?.state).toBe('retried');
    expect(await sink.deadLetters.retry(stored?.id ?? 0)).toMatchObject({ code: 'value_refused' });
    expect(await server.query('SELECT later FROM item', database)).toEqual([{ later: 'x' }]);
  });

  test('take any text and keep what was said of them', async () => {
    const { sink } = await newSink([]);
    const nasty = letter({
      table: `'; -- ${'x'.repeat(500)}`,
      key: `["'\\\\\ud800"]`,
      message: "it's `bad`\n",
      payload: Buffer.from([0, 39, 92, 255]),
    });
    const transaction = await beginIn(sink, 3, CLAIM);
    await transaction.commit(new Map([[STREAM, { seq: 7, crc: 1 }]]), [{ ...nasty, partition: 3 }]);
    const [stored] = await sink.deadLetters.list({ limit: 1 });
    expect(stored).toMatchObject({
      message: nasty.message,
      key: `["'\\\\\ufffd"]`,
      op: 'upsert',
      index: 0,
      producer: 'p',
      storedAtUs: nasty.storedAtUs,
      state: 'open',
    });
    expect(Buffer.from(stored?.payload ?? [])).toEqual(nasty.payload);
    expect(stored?.table.startsWith("'; --")).toBe(true);
    expect(Math.abs((stored?.createdAtMs ?? 0) - Date.now())).toBeLessThan(60_000);
  });
});

function letter(fields: Partial<DeadLetter>): DeadLetter {
  return {
    stream: STREAM,
    partition: 0,
    seq: 1,
    index: 0,
    producer: 'p',
    table: 'item',
    op: 'upsert',
    key: '[1]',
    code: 'value_refused',
    message: 'why',
    payload: Buffer.from([1, 2, 3]),
    storedAtUs: 1_764_000_000_123_456,
    ...fields,
  };
}
