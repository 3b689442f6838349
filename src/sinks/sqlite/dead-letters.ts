import type { DatabaseSync } from 'node:sqlite';
import type { Op } from '../../core/change.ts';
import type { ErrorCode } from '../../core/errors.ts';
import type { SeqByPartition, StreamId } from '../../core/stream.ts';
import type { DeadLetterState, StoredDeadLetter } from '../sink.ts';
import type { RejectedChange } from '../rejections.ts';

const COLUMNS = `id, stream, partition, seq, change_index AS "index", producer, table_name AS "table", op, row_key AS key, code, message,
  payload, stored_at_us AS storedAtUs, state, created_at_ms AS createdAtMs`;

interface LetterRow {
  readonly id: number;
  readonly stream: string;
  readonly partition: number;
  readonly seq: number;
  readonly index: number;
  readonly producer: string;
  readonly table: string;
  readonly op: Op | '';
  readonly key: string;
  readonly code: ErrorCode;
  readonly message: string;
  readonly payload: Uint8Array;
  readonly storedAtUs: number;
  readonly state: DeadLetterState;
  readonly createdAtMs: number;
}

export function listLetters(
  db: DatabaseSync,
  filter: { readonly state?: DeadLetterState; readonly table?: string; readonly limit: number },
): StoredDeadLetter[] {
  const where = [...(filter.state === undefined ? [] : ['state = ?']), ...(filter.table === undefined ? [] : ['table_name = ?'])];
  const values = [filter.state, filter.table].filter((value) => value !== undefined);
  const sql = `SELECT ${COLUMNS} FROM syncline_dead_letter ${where.length > 0 ? `WHERE ${where.join(' AND ')}` : ''} ORDER BY id DESC LIMIT ?`;
  const rows = db.prepare(sql).all(...values, filter.limit) as unknown as LetterRow[];
  return rows.map((row) => ({ ...row }));
}

export function getLetter(db: DatabaseSync, id: number): StoredDeadLetter | undefined {
  const row = db.prepare(`SELECT ${COLUMNS} FROM syncline_dead_letter WHERE id = ?`).get(id) as LetterRow | undefined;
  return row === undefined ? undefined : { ...row };
}

/** How many are open. */
export function countLetters(db: DatabaseSync): number {
  return (db.prepare("SELECT count(*) AS n FROM syncline_dead_letter WHERE state = 'open'").get() as { n: number }).n;
}

/** Runs in a transaction; returns whether the letter was open. */
export function markLetter(db: DatabaseSync, id: number, state: DeadLetterState): boolean {
  return db.prepare("UPDATE syncline_dead_letter SET state = ? WHERE id = ? AND state = 'open'").run(state, id).changes === 1;
}

/** In order of partition and seq. */
export function readRejected(
  db: DatabaseSync,
  stream: StreamId,
  above: SeqByPartition,
  upTo: SeqByPartition,
  limit = Infinity,
): RejectedChange[] {
  const statement = db.prepare(`
    SELECT partition, seq, change_index AS "index", code, message FROM syncline_dead_letter
    WHERE stream = ? AND partition = ? AND seq > ? AND seq <= ? ORDER BY seq, id LIMIT ?`);
  const letters: RejectedChange[] = [];
  for (const partition of [...upTo.keys()].sort((a, b) => a - b)) {
    const most = limit === Infinity ? -1 : limit - letters.length;
    const place = [above.get(partition) ?? 0, upTo.get(partition) as number] as const;
    for (const row of statement.all(stream, partition, ...place, most)) letters.push(row as unknown as RejectedChange);
  }
  return letters;
}
