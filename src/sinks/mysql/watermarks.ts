import { strict as assert } from 'node:assert';
import { kindOfStream, MAX_PARTITIONS, REQUEST_STREAM_TAG, type Place, type StreamId, type StreamKind } from '../../core/stream.ts';
import type { LockedPartition, PartitionMoves, StreamClaim, StreamState } from '../sink.ts';
import { passBarrier } from './barrier.ts';
import type { Connection, SqlRow } from './connection.ts';
import { instantLiteral, intLiteral, streamLiteral, textLiteral } from './sql.ts';

/** Watermarks that one statement names; to the server each lookup of them is a table of its own. */
const MAX_LISTED = 64;

/** A stream in a partition, and whose it is said to be. */
export interface Mark extends StreamClaim {
  readonly partition: number;
}

/** Places by partition and stream. */
export type Places = ReadonlyMap<number, ReadonlyMap<StreamId, Place>>;

/**
 * Locks watermarks, one row after the other in the given order, and reads them; those without a row are left out. Each is
 * looked up on its own: a list could make the server read, and wait for, the whole table.
 */
export async function lockWatermarks(connection: Connection, marks: readonly Mark[]): Promise<Places> {
  const places = new Map<number, Map<StreamId, Place>>();
  for (const { partition } of marks) places.set(partition, new Map());
  for (const some of portionsOf(marks)) {
    const lookups = some.map(
      ({ stream, partition }) =>
        `SELECT part,stream,seq,crc FROM syncline_watermark WHERE stream=${streamLiteral(stream)} AND part=${partitionLiteral(partition)} FOR UPDATE`,
    );
    for (const [part, stream, seq, crc] of await connection.rows(together(lookups))) {
      places.get(Number(part))?.set(streamOf(stream), placeOf(seq, crc));
    }
  }
  return places;
}

/** Moves locked watermarks. The seq of none of them falls. */
export async function moveWatermarks(
  connection: Connection,
  locked: readonly LockedPartition[],
  moves: readonly PartitionMoves[],
  wallMs: number,
): Promise<void> {
  const now = instantLiteral(wallMs);
  const rows = moves.flatMap(({ partition, places }) => {
    const before = locked.find((one) => one.partition === partition)?.watermarks;
    return [...places].map(([stream, { seq, crc }]) => {
      const { seq: last } = before?.get(stream) ?? { seq: Number.POSITIVE_INFINITY };
      assert(seq > last, 'a watermark moves forward, and only under its lock');
      return `(${streamLiteral(stream)},${partitionLiteral(partition)},${intLiteral(seq)},${intLiteral(crc)},${now})`;
    });
  });
  const { mariadb } = connection.facts;
  const sets = ['seq', 'crc', 'updated_at'].map((name) => `${name}=${mariadb ? `VALUES(${name})` : `moved.${name}`}`);
  for (const some of portionsOf(rows)) {
    // The rows are there, and locked: nothing is inserted, and each counts twice as it is changed.
    const { affectedRows } = await connection.run(
      `INSERT INTO syncline_watermark (stream,part,seq,crc,updated_at) VALUES ${some.join(',')}${mariadb ? '' : ' AS moved'} ` +
        `ON DUPLICATE KEY UPDATE ${sets.join(',')}`,
    );
    assert(affectedRows === 2 * some.length, `${some.length} locked watermarks were to move, and ${affectedRows / 2} did`);
  }
}

export interface Ownership {
  readonly producer: string;
  readonly expired: boolean;
}

/**
 * Creates what is missing of streams and their watermarks, in transactions of their own, and returns who owns each stream.
 * Streams of others and expired streams get no watermark.
 */
export async function createWatermarks(connection: Connection, marks: readonly Mark[], wallMs: number): Promise<Map<StreamId, Ownership>> {
  const owners = new Map<StreamId, Ownership>();
  const now = instantLiteral(wallMs);
  for (const some of portionsOf(marks)) {
    const claims = firstClaims(some);
    await connection.run('START TRANSACTION');
    const streams = claims.map(({ stream, producer }) => `(${streamLiteral(stream)},${textLiteral(producer)},${now})`);
    await connection.run(`INSERT IGNORE INTO syncline_stream (stream,producer,created_at) VALUES ${streams.join(',')}`);
    // The shared lock keeps a stream from expiring between the look and the new watermark.
    const lookups = claims.map(
      ({ stream }) => `SELECT stream,producer,expired_at FROM syncline_stream WHERE stream=${streamLiteral(stream)} LOCK IN SHARE MODE`,
    );
    for (const [stream, producer, expiredAt] of await connection.rows(together(lookups))) {
      owners.set(streamOf(stream), { producer: String(producer), expired: expiredAt !== null });
    }
    const wanted = some.filter(({ stream, producer }) => owners.get(stream)?.producer === producer && !owners.get(stream)?.expired);
    if (wanted.length > 0) {
      const rows = wanted.map(({ stream, partition }) => `(${streamLiteral(stream)},${partitionLiteral(partition)},0,0,${now})`);
      await connection.run(`INSERT IGNORE INTO syncline_watermark (stream,part,seq,crc,updated_at) VALUES ${rows.join(',')}`);
    }
    await connection.run('COMMIT');
  }
  return owners;
}

export async function readStream(connection: Connection, stream: StreamId): Promise<StreamState> {
  const rows = await connection.rows(
    'SELECT s.producer,s.expired_at,w.part,w.seq,w.crc FROM syncline_stream s LEFT JOIN syncline_watermark w ON w.stream=s.stream ' +
      `WHERE s.stream=${streamLiteral(stream)}`,
  );
  const [first] = rows;
  if (first === undefined) return { status: 'unknown', producer: undefined, watermarks: new Map() };
  const watermarks = new Map<number, Place>();
  for (const [, , part, seq, crc] of rows) if (part !== null) watermarks.set(Number(part), placeOf(seq, crc));
  return { status: first[1] === null ? 'known' : 'expired', producer: String(first[0]), watermarks };
}

export async function readWatermarks(
  connection: Connection,
  partition: number,
  streams: readonly StreamId[],
): Promise<Map<StreamId, Place>> {
  const places = new Map<StreamId, Place>();
  for (const some of portionsOf(streams)) {
    const list = some.map(streamLiteral).join(',');
    const rows = await connection.rows(
      `SELECT stream,seq,crc FROM syncline_watermark WHERE part=${partitionLiteral(partition)} AND stream IN (${list})`,
    );
    for (const row of rows) places.set(streamOf(row[0]), placeOf(row[1], row[2]));
  }
  return places;
}

export async function idleStreams(connection: Connection, kind: StreamKind, beforeMs: number, limit: number): Promise<StreamId[]> {
  const [first, last] = ['0', 'f'].map((digit) => streamLiteral(REQUEST_STREAM_TAG.padEnd(32, digit)));
  const rows = await connection.rows(
    `SELECT stream FROM syncline_watermark WHERE stream ${kind === 'request' ? '' : 'NOT '}BETWEEN ${first} AND ${last} GROUP BY stream HAVING MAX(updated_at)<${instantLiteral(beforeMs)} ORDER BY MAX(updated_at) LIMIT ${intLiteral(limit)}`,
  );
  return rows.map((row) => streamOf(row[0]));
}

/** Leaves a tombstone in place of the watermarks of a stream, or of a request nothing, unless one of them has moved since. */
export async function expireStream(connection: Connection, stream: StreamId, beforeMs: number, wallMs: number): Promise<void> {
  const id = streamLiteral(stream);
  await connection.run('START TRANSACTION');
  // The same order of locks as where watermarks are created: the stream first.
  await connection.rows(`SELECT 1 FROM syncline_stream WHERE stream=${id} FOR UPDATE`);
  const [row] = await connection.rows(
    `SELECT COUNT(*),COALESCE(SUM(updated_at>=${instantLiteral(beforeMs)}),0) FROM (SELECT updated_at FROM syncline_watermark WHERE stream=${id} FOR UPDATE) w`,
  );
  if (Number(row?.[0]) > 0 && Number(row?.[1]) === 0) {
    if (kindOfStream(stream) === 'request') await connection.run(`DELETE FROM syncline_stream WHERE stream=${id}`);
    else await connection.run(`UPDATE syncline_stream SET expired_at=${instantLiteral(wallMs)} WHERE stream=${id}`);
    await connection.run(`DELETE FROM syncline_watermark WHERE stream=${id}`);
  }
  await connection.run('COMMIT');
}

/** Leaves a tombstone in place of the watermarks of a stream, if there are any, and whoever moves them ends first. */
export async function endStream(
  connection: Connection,
  { stream, producer }: StreamClaim,
  wallMs: number,
): Promise<'ended' | 'owned by other'> {
  const id = streamLiteral(stream);
  const now = instantLiteral(wallMs);
  await connection.run('START TRANSACTION');
  // The same order of locks as where watermarks are created: the stream first, and whole, so that no two wait for each other.
  await connection.run(
    `INSERT INTO syncline_stream (stream,producer,created_at) VALUES (${id},${textLiteral(producer)},${now}) ON DUPLICATE KEY UPDATE producer=producer`,
  );
  const [row] = await connection.rows(`SELECT producer FROM syncline_stream WHERE stream=${id} FOR UPDATE`);
  const isOwn = String(row?.[0]) === producer;
  if (isOwn) {
    await connection.run(`UPDATE syncline_stream SET expired_at=${now} WHERE stream=${id} AND expired_at IS NULL`);
    await connection.run(`DELETE FROM syncline_watermark WHERE stream=${id}`);
    // Where somebody else has ended it a moment ago, there is nothing to commit that would wait for the disk.
    await passBarrier(connection);
  }
  await connection.run(isOwn ? 'COMMIT' : 'ROLLBACK');
  return isOwn ? 'ended' : 'owned by other';
}

/** One claim for each stream, the first, in order of stream. */
function firstClaims(marks: readonly Mark[]): StreamClaim[] {
  const claims = new Map<StreamId, StreamClaim>();
  for (const mark of marks) if (!claims.has(mark.stream)) claims.set(mark.stream, mark);
  return [...claims.values()].sort((a, b) => (a.stream < b.stream ? -1 : 1));
}

function* portionsOf<T>(all: readonly T[]): Generator<readonly T[]> {
  for (let at = 0; at < all.length; at += MAX_LISTED) yield all.slice(at, at + MAX_LISTED);
}

/** Several SELECTs as one, in their order. */
function together(selects: readonly string[]): string {
  return selects.length === 1 ? (selects[0] as string) : selects.map((select) => `(${select})`).join(' UNION ALL ');
}

export function partitionLiteral(partition: number): string {
  assert(Number.isInteger(partition) && partition >= 0 && partition < MAX_PARTITIONS, `${partition} is not a partition`);
  return String(partition);
}

export function streamOf(value: SqlRow[number] | undefined): StreamId {
  assert(Buffer.isBuffer(value) && value.length === 16, 'a stream is 16 bytes');
  return value.toString('hex');
}

function placeOf(seq: SqlRow[number] | undefined, crc: SqlRow[number] | undefined): Place {
  const place = { seq: Number(seq), crc: Number(crc) };
  assert(Number.isSafeInteger(place.seq) && Number.isSafeInteger(place.crc), 'a watermark is a whole number');
  return place;
}
