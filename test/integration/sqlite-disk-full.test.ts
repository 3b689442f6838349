import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { SyncError } from '../../src/core/errors.ts';
import { isFault, type Sink } from '../../src/sinks/sink.ts';
import { openSqliteSink } from '../../src/sinks/sqlite/sqlite.ts';
import { beginIn } from '../support/one-partition.ts';

const STREAM = 'f'.repeat(32);
const DISK_BYTES = 2 * 1024 * 1024;
const BALLAST_BYTES = 1024 * 1024;

const folder = mkdtempSync(join(tmpdir(), 'syncline-full-'));
const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_BYTES}`, 'none', folder]).status === 0;

describe.skipIf(!mounted)('a disk that is full (skipped where tmpfs cannot be mounted)', () => {
  const file = join(folder, 'data.db');
  const ballast = join(folder, 'ballast');
  let sink: Sink;

  beforeAll(async () => {
    writeFileSync(ballast, Buffer.alloc(BALLAST_BYTES));
    const db = new DatabaseSync(file);
    db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, data BLOB)');
    db.close();
    sink = openSqliteSink({ name: 'main', file, schema: 'strict', clock: systemClock });
    await sink.prepare({ partitions: 1, mapping: '' });
  });

  afterAll(async () => {
    await sink.close();
    spawnSync('umount', ['--lazy', folder]);
    rmSync(folder, { recursive: true });
  });

  /** Writes one row and moves the watermark, as a slice does. */
  const apply = async (seq: number): Promise<void> => {
    const shape = sink.table('t')?.shape('insert', 1, ['id', 'data']);
    if (shape === undefined || isFault(shape)) throw new Error('no shape');
    const transaction = await beginIn(sink, 0, [{ stream: STREAM, producer: 'p' }]);
    try {
      await transaction.write([{ shape, rows: [[seq, new Uint8Array(50_000)]] }]);
      await transaction.commit(new Map([[STREAM, { seq, crc: seq }]]), []);
    } catch (error) {
      await transaction.rollback();
      throw error;
    }
  };
  const places = async () => {
    const db = new DatabaseSync(file, { readOnly: true });
    const rows = db.prepare('SELECT count(*) AS n, max(id) AS last FROM t').get();
    db.close();
    return { watermark: (await sink.readWatermarks(0, [STREAM])).get(STREAM)?.seq, rows };
  };

  test('loses nothing, is transient, and goes on by itself when there is room', async () => {
    let seq = 0;
    let failure: unknown;
    for (; seq < 100 && failure === undefined; seq++) failure = await apply(seq + 1).catch((error: unknown) => error);
    // The last one failed.
    seq--;
    expect(seq).toBeGreaterThan(2);
    expect(failure).toBeInstanceOf(SyncError);
    expect((failure as SyncError).kind).toBe('transient');
    expect((failure as SyncError).code).toBe('sink_full');
    expect(await places()).toEqual({ watermark: seq, rows: { n: seq, last: seq } });
    for (let attempt = 0; attempt < 3; attempt++) await expect(apply(seq + 1)).rejects.toMatchObject({ kind: 'transient' });

    rmSync(ballast);
    for (let more = 0; more < 5; more++) await apply(++seq);
    expect(await places()).toEqual({ watermark: seq, rows: { n: seq, last: seq } });
  });
});

afterAll(() => {
  if (!mounted) rmSync(folder, { recursive: true });
});
