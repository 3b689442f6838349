import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { SyncError } from '../../core/errors.ts';
import { kindOfStream, REQUEST_STREAM_TAG, type Place, type StreamId, type StreamKind } from '../../core/stream.ts';
import type { DeadLetter, SinkSettings, StreamClaim, StreamState } from '../sink.ts';

/** Layout of the sink's own tables; a later version converts an earlier one. */
const LAYOUT = '1';

/** The sink's own tables. A stream with `expired_at_ms` is a tombstone: its watermarks are gone. */
const TABLES = `
  CREATE TABLE IF NOT EXISTS syncline_meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS syncline_stream (
    stream TEXT PRIMARY KEY,
    producer TEXT NOT NULL,
    expired_at_ms INTEGER
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS syncline_watermark (
    stream TEXT NOT NULL,
    partition INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    crc INTEGER NOT NULL,
    moved_at_ms INTEGER NOT NULL,
    PRIMARY KEY (stream, partition)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS syncline_dead_letter (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    stream TEXT NOT NULL,
    partition INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    change_index INTEGER NOT NULL,
    producer TEXT NOT NULL,
    table_name TEXT NOT NULL,
    op TEXT NOT NULL,
    row_key TEXT NOT NULL,
    code TEXT NOT NULL,
    message TEXT NOT NULL,
    payload BLOB NOT NULL,
    stored_at_us INTEGER NOT NULL,
    state TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX IF NOT EXISTS syncline_dead_letter_place ON syncline_dead_letter (stream, partition, seq);
  CREATE INDEX IF NOT EXISTS syncline_dead_letter_open ON syncline_dead_letter (id) WHERE state = 'open';
`;

/**
 * Creates the tables and compares what is recorded with `settings`. Runs in a transaction.
 * @throws {SyncError} `sink_mismatch`
 */
export function setUp(db: DatabaseSync, path: string, settings: SinkSettings): void {
  db.exec(TABLES);
  const record = db.prepare('INSERT INTO syncline_meta (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING');
  const recorded = db.prepare('SELECT value FROM syncline_meta WHERE name = ?');
  for (const [name, value] of Object.entries({ layout: LAYOUT, partitions: String(settings.partitions), mapping: settings.mapping })) {
    record.run(name, value);
    const row = recorded.get(name) as { value: string };
    if (row.value === value) continue;
    throw new SyncError(
      'sink_mismatch',
      `sqlite: ${path} was set up with ${name} ${row.value || '(none)'}, configured is ${value || '(none)'}: configure what is recorded, or use another file`,
    );
  }
}

interface StreamRow {
  readonly producer: string;
  readonly expired_at_ms: number | null;
}

interface PlaceRow {
  readonly partition: number;
  readonly seq: number;
  readonly crc: number;
}

/** What a transaction reads and writes in the sink's own tables, on one connection. */
export class Books {
  readonly #stream: StatementSync;
  readonly #place: StatementSync;
  readonly #own: StatementSync;
  readonly #move: StatementSync;
  readonly #bury: StatementSync;

  constructor(db: DatabaseSync) {
    this.#stream = db.prepare('SELECT producer, expired_at_ms FROM syncline_stream WHERE stream = ?');
    this.#place = db.prepare('SELECT partition, seq, crc FROM syncline_watermark WHERE stream = ? AND partition = ?');
    this.#own = db.prepare('INSERT INTO syncline_stream (stream, producer) VALUES (?, ?) ON CONFLICT DO NOTHING');
    // A watermark never moves back; `moved_at_ms` does when the clock did.
    this.#move = db.prepare(`
      INSERT INTO syncline_watermark (stream, partition, seq, crc, moved_at_ms) VALUES (?1, ?2, ?3, ?4, ?5)
      ON CONFLICT DO UPDATE SET seq = ?3, crc = ?4, moved_at_ms = ?5 WHERE ?3 >= seq`);
    this.#bury = db.prepare(`
      INSERT INTO syncline_dead_letter (stream, partition, seq, change_index, producer, table_name, op, row_key, code, message, payload, stored_at_us, state, created_at_ms)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'open', ?)`);
  }

  claim(stream: StreamId, producer: string): 'stream_expired' | 'stream_owned_by_other' | undefined {
    const row = this.#stream.get(stream) as StreamRow | undefined;
    if (row === undefined) return undefined;
    if (row.producer !== producer) return 'stream_owned_by_other';
    return row.expired_at_ms === null ? undefined : 'stream_expired';
  }

  place(stream: StreamId, partition: number): Place | undefined {
    const row = this.#place.get(stream, partition) as PlaceRow | undefined;
    return row === undefined ? undefined : { seq: row.seq, crc: row.crc };
  }

  move(stream: StreamId, producer: string, partition: number, place: Place, nowMs: number): void {
    this.#own.run(stream, producer);
    const { changes } = this.#move.run(stream, partition, place.seq, place.crc, nowMs);
    if (changes !== 1) throw new Error(`watermark of ${stream}/${partition} would move back to ${place.seq}`);
  }

  bury(letter: DeadLetter, nowMs: number): void {
    this.#bury.run(
      letter.stream,
      letter.partition,
      letter.seq,
      letter.index,
      letter.producer,
      letter.table,
      letter.op,
      letter.key,
      letter.code,
      letter.message,
      letter.payload as Uint8Array<ArrayBuffer>,
      letter.storedAtUs,
      nowMs,
    );
  }
}

export function readStream(db: DatabaseSync, stream: StreamId): StreamState {
  const row = db.prepare('SELECT producer, expired_at_ms FROM syncline_stream WHERE stream = ?').get(stream) as StreamRow | undefined;
  if (row === undefined) return { status: 'unknown', producer: undefined, watermarks: new Map() };
  const places = db.prepare('SELECT partition, seq, crc FROM syncline_watermark WHERE stream = ?').all(stream) as unknown as PlaceRow[];
  const watermarks = new Map(places.map(({ partition, seq, crc }) => [partition, { seq, crc }]));
  return { status: row.expired_at_ms === null ? 'known' : 'expired', producer: row.producer, watermarks };
}

export function readWatermarks(db: DatabaseSync, partition: number, streams: readonly StreamId[]): Map<StreamId, Place> {
  const statement = db.prepare('SELECT seq, crc FROM syncline_watermark WHERE stream = ? AND partition = ?');
  const found = new Map<StreamId, Place>();
  for (const stream of streams) {
    const row = statement.get(stream, partition) as PlaceRow | undefined;
    if (row !== undefined) found.set(stream, { seq: row.seq, crc: row.crc });
  }
  return found;
}

const IS_IDLE = `s.expired_at_ms IS NULL AND NOT EXISTS (SELECT 1 FROM syncline_watermark w WHERE w.stream = s.stream AND w.moved_at_ms >= ?)`;

export function idleStreams(db: DatabaseSync, kind: StreamKind, beforeMs: number, limit: number): StreamId[] {
  const ofKind = `s.stream ${kind === 'request' ? '' : 'NOT '}BETWEEN '${REQUEST_STREAM_TAG}' AND '${REQUEST_STREAM_TAG}g'`;
  const statement = db.prepare(`SELECT s.stream FROM syncline_stream s WHERE ${ofKind} AND ${IS_IDLE} LIMIT ?`);
  const rows = statement.all(beforeMs, limit) as { stream: StreamId }[];
  return rows.map((row) => row.stream);
}

/** Runs in a transaction. */
export function endStream(db: DatabaseSync, { stream, producer }: StreamClaim, nowMs: number): 'ended' | 'owned by other' {
  db.prepare('INSERT INTO syncline_stream (stream, producer) VALUES (?, ?) ON CONFLICT DO NOTHING').run(stream, producer);
  const end = db.prepare('UPDATE syncline_stream SET expired_at_ms = coalesce(expired_at_ms, ?) WHERE stream = ? AND producer = ?');
  if (end.run(nowMs, stream, producer).changes !== 1) return 'owned by other';
  db.prepare('DELETE FROM syncline_watermark WHERE stream = ?').run(stream);
  return 'ended';
}

/** Runs in a transaction; streams that moved since they were found idle are left alone. */
export function expireStreams(db: DatabaseSync, streams: readonly StreamId[], beforeMs: number, nowMs: number): void {
  const entomb = db.prepare(`UPDATE syncline_stream AS s SET expired_at_ms = ? WHERE ${IS_IDLE} AND s.stream = ?`);
  const forget = db.prepare('DELETE FROM syncline_watermark WHERE stream = ?');
  const remove = db.prepare('DELETE FROM syncline_stream WHERE stream = ?');
  for (const stream of streams) {
    if (entomb.run(nowMs, beforeMs, stream).changes !== 1) continue;
    forget.run(stream);
    if (kindOfStream(stream) === 'request') remove.run(stream);
  }
}
