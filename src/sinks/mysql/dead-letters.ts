import type { Batch, Op } from '../../core/change.ts';
import type { Clock } from '../../core/clock.ts';
import { messageOf, SyncError, type ChangeFault, type ErrorCode } from '../../core/errors.ts';
import type { SeqByPartition, StreamId } from '../../core/stream.ts';
import type { RejectedChange } from '../rejections.ts';
import { changesOf, notOpen } from '../retry.ts';
import { isFault, type DeadLetter, type DeadLetterState, type DeadLetterStore, type StoredDeadLetter } from '../sink.ts';
import type { ConnectionSet } from './connection-set.ts';
import type { Connection, SqlRow } from './connection.ts';
import { writeInSavepoint } from './savepoint.ts';
import { bytesLiteral, instantLiteral, intLiteral, streamLiteral, textLiteral } from './sql.ts';
import type { MysqlTable } from './table.ts';
import { partitionLiteral, streamOf } from './watermarks.ts';
import { Writer } from './writer.ts';

/** Bounds of what is kept for people, in characters. */
const MAX_NAME = 255;
const MAX_TEXT = 2000;
/** Bytes of one statement that stores dead letters. */
const STATEMENT_BYTES = 512 * 1024;
/** What a letter's row takes beside its payload: the texts at three bytes a character, and the rest. */
const ROW_OVERHEAD_BYTES = 3 * (2 * MAX_TEXT + 4 * MAX_NAME);

const COLUMNS = 'stream,part,seq,change_index,producer,tbl,op,row_key,code,message,payload,stored_at_us,created_at,state';

/** Stores dead letters in the open transaction. Never fails for what is in a letter: what is too large is left out, and says so. */
export async function insertDeadLetters(connection: Connection, letters: readonly DeadLetter[], wallMs: number): Promise<void> {
  const roomBytes = connection.facts.maxPacketBytes - 2 * ROW_OVERHEAD_BYTES;
  let tuples: string[] = [];
  let bytes = 0;
  const flush = async () => {
    if (tuples.length > 0) await connection.run(`INSERT INTO syncline_dead_letter (${COLUMNS}) VALUES ${tuples.join(',')}`);
    tuples = [];
    bytes = 0;
  };
  for (const letter of letters) {
    const size = letter.payload.length * 2 + ROW_OVERHEAD_BYTES;
    const fits = letter.payload.length * 2 <= roomBytes;
    if (bytes + size > Math.min(STATEMENT_BYTES, roomBytes)) await flush();
    tuples.push(tupleOf(fits ? letter : withoutPayload(letter), wallMs));
    bytes += size;
  }
  await flush();
}

function withoutPayload(letter: DeadLetter): DeadLetter {
  const note = `payload of ${letter.payload.length} bytes left out, because max_allowed_packet is too small for it`;
  return { ...letter, payload: new Uint8Array(), message: `${letter.message} (${note})` };
}

function tupleOf(letter: DeadLetter, wallMs: number): string {
  return `(${[
    streamLiteral(letter.stream),
    partitionLiteral(letter.partition),
    intLiteral(letter.seq),
    intLiteral(letter.index),
    text(letter.producer, MAX_NAME),
    text(letter.table, MAX_NAME),
    textLiteral(letter.op),
    text(letter.key, MAX_TEXT),
    textLiteral(letter.code),
    text(letter.message, MAX_TEXT),
    bytesLiteral(letter.payload),
    intLiteral(letter.storedAtUs),
    instantLiteral(wallMs),
    "'open'",
  ].join(',')})`;
}

function text(value: string, maxCharacters: number): string {
  return textLiteral((value.length > maxCharacters ? `${value.slice(0, maxCharacters - 1)}…` : value).toWellFormed());
}

/** Dead letters of a stream for its REJECTED frames, in order of partition and seq. */
export async function readRejected(
  connection: Connection,
  stream: StreamId,
  above: SeqByPartition,
  upTo: SeqByPartition,
  limit?: number,
): Promise<RejectedChange[]> {
  const ranges = [...upTo]
    .filter(([partition, seq]) => seq > (above.get(partition) ?? 0))
    .map(
      ([partition, seq]) =>
        `(part=${partitionLiteral(partition)} AND seq>${intLiteral(above.get(partition) ?? 0)} AND seq<=${intLiteral(seq)})`,
    );
  if (ranges.length === 0) return [];
  const rows = await connection.rows(
    `SELECT part,seq,code,message,change_index FROM syncline_dead_letter WHERE stream=${streamLiteral(stream)} AND (${ranges.join(' OR ')}) ORDER BY part,seq,id${limit === undefined ? '' : ` LIMIT ${intLiteral(limit)}`}`,
  );
  return rows.map(([part, seq, code, message, index]) => ({
    partition: Number(part),
    seq: Number(seq),
    code: String(code) as ErrorCode,
    message: String(message),
    index: Number(index),
  }));
}

/** What the store needs of its sink. */
export interface DeadLetterContext {
  readonly connections: ConnectionSet;
  readonly clock: Clock;
  table(name: string): MysqlTable | undefined;
  refreshSchema(tables: readonly string[]): Promise<void>;
  evolve(batches: readonly Batch[]): Promise<void>;
}

export class MysqlDeadLetters implements DeadLetterStore {
  readonly #context: DeadLetterContext;

  constructor(context: DeadLetterContext) {
    this.#context = context;
  }

  list(filter: { readonly state?: DeadLetterState; readonly table?: string; readonly limit: number }): Promise<StoredDeadLetter[]> {
    const conditions = ['TRUE'];
    if (filter.state !== undefined) conditions.push(`state=${textLiteral(filter.state)}`);
    if (filter.table !== undefined) conditions.push(`tbl=${text(filter.table, MAX_NAME)}`);
    return this.#read(`WHERE ${conditions.join(' AND ')} ORDER BY id DESC LIMIT ${intLiteral(filter.limit)}`);
  }

  async get(id: number): Promise<StoredDeadLetter | undefined> {
    return (await this.#read(`WHERE id=${intLiteral(id)}`))[0];
  }

  async count(): Promise<number> {
    const [row] = await this.#context.connections.use((connection) =>
      connection.rows("SELECT COUNT(*) FROM syncline_dead_letter WHERE state='open'"),
    );
    return Number(row?.[0]);
  }

  async retry(id: number): Promise<ChangeFault | undefined> {
    const letter = await this.get(id);
    if (letter?.state !== 'open') return notOpen(id, letter);
    const batch = changesOf(letter);
    if ('code' in batch) return batch;
    const { connections } = this.#context;
    await this.#context.refreshSchema(batch.groups.map((group) => group.table));
    await this.#context.evolve([batch]);
    // Its own connection: what happens to it is then nobody else's business.
    const connection = await connections.takeNew();
    try {
      return await this.#retryOn(connection, id, batch);
    } finally {
      connections.drop(connection);
    }
  }

  async drop(ids: readonly number[]): Promise<number> {
    if (ids.length === 0) return 0;
    const outcome = await this.#context.connections.use((connection) =>
      connection.run(`UPDATE syncline_dead_letter SET state='dropped' WHERE state='open' AND id IN (${ids.map(intLiteral).join(',')})`),
    );
    return outcome.affectedRows;
  }

  async #retryOn(connection: Connection, id: number, batch: Batch): Promise<ChangeFault | undefined> {
    await connection.run('START TRANSACTION');
    const [row] = await connection.rows(`SELECT state FROM syncline_dead_letter WHERE id=${intLiteral(id)} FOR UPDATE`);
    if (row?.[0] !== 'open') return { code: 'value_refused', message: `dead letter ${id} is no longer open` };
    const writer = new Writer(connection);
    for (const group of batch.groups) {
      const shape = this.#context.table(group.table)?.shape(group.op, group.keyCount, group.columns);
      if (shape === undefined) return { code: 'unknown_table', message: 'the sink has no table of the name in the dead letter' };
      if (isFault(shape)) return shape;
      for (const values of group.rows) {
        const fault = shape.check(values) ?? (await writeInSavepoint(connection, writer, shape, values));
        if (fault !== undefined) return fault;
      }
    }
    await connection.run(`UPDATE syncline_dead_letter SET state='retried' WHERE id=${intLiteral(id)}`);
    try {
      await connection.run('COMMIT');
    } catch (error) {
      throw new SyncError('commit_unknown', `the outcome of COMMIT is unknown, see the state of dead letter ${id}: ${messageOf(error)}`);
    }
    return undefined;
  }

  async #read(condition: string): Promise<StoredDeadLetter[]> {
    const rows = await this.#context.connections.use((connection) =>
      connection.rows(
        `SELECT id,${COLUMNS.replace('created_at', "TIMESTAMPDIFF(MICROSECOND,'1970-01-01',created_at) DIV 1000")} FROM syncline_dead_letter ${condition}`,
      ),
    );
    return rows.map(letterOf);
  }
}

function letterOf(row: SqlRow): StoredDeadLetter {
  const [id, stream, part, seq, index, producer, table, op, key, code, message, payload, storedAtUs, createdAtMs, state] = row;
  return {
    id: Number(id),
    stream: streamOf(stream),
    partition: Number(part),
    seq: Number(seq),
    index: Number(index),
    producer: String(producer),
    table: String(table),
    op: String(op) as Op | '',
    key: String(key),
    code: String(code) as ErrorCode,
    message: String(message),
    payload: payload as Buffer,
    storedAtUs: Number(storedAtUs),
    createdAtMs: Number(createdAtMs),
    state: state as DeadLetterState,
  };
}
