import { strict as assert } from 'node:assert';
import type { Place, StreamId } from '../../core/stream.ts';
import { MAX_PARTITIONS } from '../../core/stream.ts';
import type { StreamClaim, StreamState } from '../sink.ts';
import type { Connection, SqlRow } from './connection.ts';
import { instantLiteral, intLiteral, streamLiteral, textLiteral } from './sql.ts';

/** Streams that one statement names; to the server each lookup of them is a table of its own. */
const MAX_LISTED_STREAMS = 64;

/**
 * Locks the watermarks of `streams` (sorted) in `partition`, one row after the other, and reads them; streams without a
 * row are left out. Each is looked up on its own: a list could make the server read, and wait for, the whole table.
 */
export async function lockWatermarks(
  connection: Connection,
  partition: number,
  streams: readonly StreamId[],
): Promise<Map<StreamId, Place>> {
  const places = new Map<StreamId, Place>();
  const part = partitionLiteral(partition);
  for (let at = 0; at < streams.length; at += MAX_LISTED_STREAMS) {
    const lookups = streams
      .slice(at, at + MAX_LISTED_STREAMS)
      .map((stream) => `SELECT stream,seq,crc FROM syncline_watermark WHERE stream=${streamLiteral(stream)} AND part=${part} FOR UPDATE`);
    for (const row of await connection.rows(together(lookups))) places.set(streamOf(row[0]), placeOf(row[1], row[2]));
  }
  return places;
}

/** Moves locked watermarks. The seq of none of them falls. */
export async function moveWatermarks(
  connection: Connection,
  partition: number,
  locked: ReadonlyMap<StreamId, Place>,
  moves: ReadonlyMap<StreamId, Place>,
  wallMs: number,
): Promise<void> {
  const all = [...moves];
  for (let at = 0; at < all.length; at += MAX_LISTED_STREAMS) {
    const some = all.slice(at, at + MAX_LISTED_STREAMS);
    let seqs = '';
    let crcs = '';
    for (const [stream, { seq, crc }] of some) {
      const before = locked.get(stream);
      assert(before !== undefined && seq >= before.seq, 'a watermark moves forward, and only under its lock');
      seqs += ` WHEN ${streamLiteral(stream)} THEN ${intLiteral(seq)}`;
      crcs += ` WHEN ${streamLiteral(stream)} THEN ${intLiteral(crc)}`;
    }
    const { affectedRows } = await connection.run(
      `UPDATE syncline_watermark FORCE INDEX (PRIMARY) SET seq=CASE stream${seqs} END,crc=CASE stream${crcs} END,updated_at=${instantLiteral(wallMs)} ` +
        `WHERE part=${partitionLiteral(partition)} AND stream IN (${some.map(([stream]) => streamLiteral(stream)).join(',')})`,
    );
    assert(affectedRows === some.length, `${some.length} locked watermarks were to move, and ${affectedRows} did`);
  }
}

export interface Ownership {
  readonly producer: string;
  readonly expired: boolean;
}

/**
 * Creates what is missing of streams and their watermarks in `partition`, in a transaction of its own, and returns who
 * owns each stream. Streams of others and expired streams get no watermark.
 */
export async function createWatermarks(
  connection: Connection,
  partition: number,
  claims: readonly StreamClaim[],
  wallMs: number,
): Promise<Map<StreamId, Ownership>> {
  const owners = new Map<StreamId, Ownership>();
  const now = instantLiteral(wallMs);
  for (let at = 0; at < claims.length; at += MAX_LISTED_STREAMS) {
    const some = claims.slice(at, at + MAX_LISTED_STREAMS);
    await connection.run('START TRANSACTION');
    const streams = some.map(({ stream, producer }) => `(${streamLiteral(stream)},${textLiteral(producer)},${now})`);
    await connection.run(`INSERT IGNORE INTO syncline_stream (stream,producer,created_at) VALUES ${streams.join(',')}`);
    // The shared lock keeps a stream from expiring between the look and the new watermark.
    const lookups = some.map(
      ({ stream }) => `SELECT stream,producer,expired_at FROM syncline_stream WHERE stream=${streamLiteral(stream)} LOCK IN SHARE MODE`,
    );
    for (const [stream, producer, expiredAt] of await connection.rows(together(lookups))) {
      owners.set(streamOf(stream), { producer: String(producer), expired: expiredAt !== null });
    }
    const wanted = some.filter(({ stream, producer }) => owners.get(stream)?.producer === producer && !owners.get(stream)?.expired);
    if (wanted.length > 0) {
      const rows = wanted.map(({ stream }) => `(${streamLiteral(stream)},${partitionLiteral(partition)},0,0,${now})`);
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
  for (let at = 0; at < streams.length; at += MAX_LISTED_STREAMS) {
    const list = streams
      .slice(at, at + MAX_LISTED_STREAMS)
      .map(streamLiteral)
      .join(',');
    const rows = await connection.rows(
      `SELECT stream,seq,crc FROM syncline_watermark WHERE part=${partitionLiteral(partition)} AND stream IN (${list})`,
    );
    for (const row of rows) places.set(streamOf(row[0]), placeOf(row[1], row[2]));
  }
  return places;
}

export async function idleStreams(connection: Connection, beforeMs: number, limit: number): Promise<StreamId[]> {
  const rows = await connection.rows(
    `SELECT stream FROM syncline_watermark GROUP BY stream HAVING MAX(updated_at)<${instantLiteral(beforeMs)} ORDER BY MAX(updated_at) LIMIT ${intLiteral(limit)}`,
  );
  return rows.map((row) => streamOf(row[0]));
}

/** Leaves a tombstone in place of the watermarks of a stream, unless one of them has moved since. */
export async function expireStream(connection: Connection, stream: StreamId, beforeMs: number, wallMs: number): Promise<void> {
  const id = streamLiteral(stream);
  await connection.run('START TRANSACTION');
  // The same order of locks as where watermarks are created: the stream first.
  await connection.rows(`SELECT 1 FROM syncline_stream WHERE stream=${id} FOR UPDATE`);
  const [row] = await connection.rows(
    `SELECT COUNT(*),COALESCE(SUM(updated_at>=${instantLiteral(beforeMs)}),0) FROM (SELECT updated_at FROM syncline_watermark WHERE stream=${id} FOR UPDATE) w`,
  );
  if (Number(row?.[0]) > 0 && Number(row?.[1]) === 0) {
    await connection.run(`UPDATE syncline_stream SET expired_at=${instantLiteral(wallMs)} WHERE stream=${id}`);
    await connection.run(`DELETE FROM syncline_watermark WHERE stream=${id}`);
  }
  await connection.run('COMMIT');
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
