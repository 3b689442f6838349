import { expect } from 'vitest';
import type { Op, Row } from '../../src/core/change.ts';
import { systemClock } from '../../src/core/clock.ts';
import type { ChangeFault } from '../../src/core/errors.ts';
import { isFault, type Shape, type Sink, type WriteGroup } from '../../src/sinks/sink.ts';
import { openMysqlSink, type MysqlOptions } from '../../src/sinks/mysql/mysql.ts';
import type { MariadbServer } from '../support/mariadb-server.ts';
import { beginIn, type OnePartition } from '../support/one-partition.ts';

export const SETTINGS = { partitions: 16, mapping: '' };
export const STREAM = '0123456789abcdef0123456789abcdef';
export const CLAIM = [{ stream: STREAM, producer: 'p' }];

/** A new database with `tables`, and a sink on it that is prepared. */
export async function sinkOn(
  server: MariadbServer,
  database: string,
  tables: readonly string[],
  options: Partial<MysqlOptions> = {},
): Promise<Sink> {
  await server.query(`CREATE DATABASE ${database} CHARACTER SET utf8mb4`);
  await server.query(['SELECT 1', ...tables], database);
  const sink = openMysqlSink({ name: 'main', url: server.url(database), schema: 'strict', clock: systemClock, ...options });
  await sink.prepare(SETTINGS);
  return sink;
}

export function shapeOf(sink: Sink, table: string, op: Op, keyCount: number, columns: readonly string[]): Shape {
  const shape = sink.table(table)?.shape(op, keyCount, columns);
  if (shape === undefined || isFault(shape)) throw new Error(`no shape for ${op} of ${table}: ${shape?.message ?? 'unknown table'}`);
  return shape;
}

/** Rows that pass the checks, for `write`. */
export function group(sink: Sink, table: string, op: Op, keyCount: number, columns: readonly string[], rows: readonly Row[]): WriteGroup {
  const shape = shapeOf(sink, table, op, keyCount, columns);
  for (const row of rows) expect(shape.check(row)).toBeUndefined();
  return { shape, rows };
}

/** Writes groups in one transaction and moves the watermark one step; rolls back and rethrows when it fails. */
export async function writeAll(sink: Sink, groups: readonly WriteGroup[], partition = 0): Promise<void> {
  const transaction = await beginIn(sink, partition, CLAIM);
  try {
    await transaction.write(groups);
  } catch (error) {
    await transaction.rollback();
    throw error;
  }
  await advance(transaction);
}

/** Commits with the watermark one step further. */
export function advance(transaction: OnePartition): Promise<void> {
  const seq = (transaction.watermarks.get(STREAM)?.seq ?? 0) + 1;
  return transaction.commit(new Map([[STREAM, { seq, crc: seq }]]), []);
}

/** Writes rows one by one in one transaction, as after a failure, and commits; the faults by index. */
export async function writeSingly(sink: Sink, groups: readonly WriteGroup[]): Promise<(ChangeFault | undefined)[]> {
  const transaction = await beginIn(sink, 0, CLAIM);
  const faults: (ChangeFault | undefined)[] = [];
  for (const { shape, rows } of groups) for (const row of rows) faults.push(await transaction.writeOne(shape, row));
  await advance(transaction);
  return faults;
}
