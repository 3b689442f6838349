import { type Batch, type ChangeGroup, type Op, OPS, type Row, type Value } from '../core/change.ts';
import { SyncError } from '../core/errors.ts';
import { allocate, utf8Length } from '../core/platform.ts';
import { MAX_COLUMNS, MAX_NAME_BYTES, ROW_DEPTH } from './limits.ts';
import { MsgpackReader } from './msgpack-reader.ts';
import { MsgpackWriter } from './msgpack.ts';
import { BatchScan } from './scan.ts';

/** What {@link BatchBuilder.finish} writes beside the changes. */
export interface BatchInfo {
  /** When the producer made it, ms since the epoch. */
  readonly timeMs?: number;
  readonly origin?: Value;
}

/**
 * Builds the payload of a BATCH change by change. Consecutive changes with the same table, operation and columns share
 * a group. Its memory grows to the largest batch and is used again.
 */
export class BatchBuilder {
  /** The groups, without the header of the array around them. */
  readonly #groups = new MsgpackWriter(INITIAL_BYTES);
  #groupCount = 0;
  #count = 0;
  /** The last group, which takes further rows of the same shape: its row count is written at `#rowCountAt`. */
  #table = '';
  #op: Op = 'upsert';
  #keyCount = 0;
  #columns: readonly string[] = [];
  #rowCount = 0;
  #rowCountAt = 0;

  /**
   * Adds one change. `row` has a value for each of `columns`, the first `keyCount` of which are the key; a `Date` among
   * them is sent as a timestamp.
   * @throws {TypeError} for what a batch cannot hold; the builder is then as it was before.
   */
  add(table: string, op: Op, keyCount: number, columns: readonly string[], row: Row): void {
    if (row.length !== columns.length) {
      throw new TypeError(`a row of table "${table}" has ${row.length} values for ${columns.length} columns`);
    }
    const before = this.#groups.length;
    if (this.#takes(table, op, keyCount, columns)) {
      this.#writeRow(table, columns, row, before);
    } else {
      checkGroup(table, op, keyCount, columns);
      const rowCountAt = this.#writeGroup(table, op, keyCount, columns);
      this.#writeRow(table, columns, row, before);
      this.#groupCount++;
      this.#table = table;
      this.#op = op;
      this.#keyCount = keyCount;
      this.#columns = columns.slice();
      this.#rowCount = 0;
      this.#rowCountAt = rowCountAt;
    }
    this.#rowCount++;
    this.#count++;
    this.#groups.patch(this.#rowCountAt, this.#rowCount >>> 8);
    this.#groups.patch(this.#rowCountAt + 1, this.#rowCount & 0xff);
  }

  /** Bytes of the payload if it is finished now without {@link BatchInfo}; 0 while there are no changes. */
  get byteLength(): number {
    return this.#count === 0 ? 0 : HEAD_BYTES + arrayHeaderBytes(this.#groupCount) + this.#groups.length;
  }

  /** Changes added so far. */
  get count(): number {
    return this.#count;
  }

  /**
   * The payload, in memory of its own; the builder is empty afterwards.
   * @throws {TypeError} when there are no changes, or `info` cannot be sent; the builder is then as it was before.
   */
  finish(info: BatchInfo = {}): Uint8Array {
    if (this.#count === 0) throw new TypeError('a batch needs at least one change');
    const head = encodeHead(info, this.#groupCount);
    const payload = allocate(head.length + this.#groups.length);
    payload.set(head, 0);
    payload.set(this.#groups.view(0), head.length);
    this.#groups.length = 0;
    this.#groupCount = 0;
    this.#count = 0;
    this.#rowCount = 0;
    return payload;
  }

  /** Whether a change of this shape goes into the last group. */
  #takes(table: string, op: Op, keyCount: number, columns: readonly string[]): boolean {
    if (this.#rowCount === 0 || this.#rowCount === MAX_GROUP_ROWS) return false;
    if (this.#table !== table || this.#op !== op || this.#keyCount !== keyCount || this.#columns.length !== columns.length) return false;
    for (let i = 0; i < columns.length; i++) if (this.#columns[i] !== columns[i]) return false;
    return true;
  }

  /** Everything of a group but its rows; returns where their count belongs. */
  #writeGroup(table: string, op: Op, keyCount: number, columns: readonly string[]): number {
    const out = this.#groups;
    out.arrayHeader(5);
    out.str(table);
    out.int(OPS.indexOf(op));
    out.int(keyCount);
    out.arrayHeader(columns.length);
    for (const column of columns) out.str(column);
    // Always the 16-bit form: the count is not known yet.
    out.arrayHeader(MAX_GROUP_ROWS);
    return out.length - 2;
  }

  #writeRow(table: string, columns: readonly string[], row: Row, before: number): void {
    let index = 0;
    try {
      this.#groups.arrayHeader(row.length);
      for (; index < row.length; index++) this.#groups.value(row[index], ROW_DEPTH);
    } catch (error) {
      this.#groups.length = before;
      if (error instanceof TypeError)
        throw new TypeError(`column "${columns[index]}" of table "${table}": ${error.message}`, { cause: error });
      throw error;
    }
  }
}

/** A batch as a payload; neighbouring groups of the same shape become one. @throws {TypeError} */
export function encodeBatch(batch: Batch): Uint8Array {
  const builder = new BatchBuilder();
  for (const group of batch.groups) {
    for (const row of group.rows) builder.add(group.table, group.op, group.keyCount, group.columns, row);
  }
  return builder.finish({
    ...(batch.timeMs === undefined ? {} : { timeMs: batch.timeMs }),
    ...(batch.origin === undefined ? {} : { origin: batch.origin }),
  });
}

/**
 * Decodes an expanded payload, which is scanned first.
 * @throws {SyncError} `malformed_payload`.
 */
export function decodeBatch(payload: Uint8Array): Batch {
  if (!SCAN.scan(payload)) throw new SyncError('malformed_payload', SCAN.reason);
  const reader = new MsgpackReader(payload);
  let timeMs: number | undefined;
  let origin: Value | undefined;
  let groups: readonly ChangeGroup[] = [];
  for (let fields = reader.mapHeader(); fields > 0; fields--) {
    const key = reader.value();
    if (key === 't') timeMs = reader.value() as number;
    else if (key === 'o') origin = reader.value();
    else groups = readGroups(reader);
  }
  return { ...(timeMs === undefined ? {} : { timeMs }), ...(origin === undefined ? {} : { origin }), groups };
}

function readGroups(reader: MsgpackReader): ChangeGroup[] {
  const groups: ChangeGroup[] = [];
  for (let left = reader.arrayHeader(); left > 0; left--) {
    reader.arrayHeader();
    const table = reader.value() as string;
    const op = OPS[reader.value() as number]!;
    const keyCount = reader.value() as number;
    const columns = reader.value() as string[];
    const rows = reader.value() as Row[];
    groups.push({ table, op, keyCount, columns, rows });
  }
  return groups;
}

/** Everything of a payload before its groups. */
function encodeHead(info: BatchInfo, groupCount: number): Uint8Array {
  const { timeMs, origin } = info;
  const head = new MsgpackWriter(HEAD_BYTES + 16);
  head.mapHeader(1 + (timeMs === undefined ? 0 : 1) + (origin === undefined ? 0 : 1));
  if (timeMs !== undefined) {
    if (!Number.isSafeInteger(timeMs) || timeMs < 0) throw new TypeError(`${timeMs} is not a time in milliseconds since the epoch`);
    head.str('t');
    head.int(timeMs);
  }
  if (origin !== undefined) {
    head.str('o');
    head.value(origin, 1);
  }
  head.str('c');
  head.arrayHeader(groupCount);
  return head.take();
}

function checkGroup(table: string, op: Op, keyCount: number, columns: readonly string[]): void {
  checkName('a table', table);
  if (!OPS.includes(op)) throw new TypeError(`"${op}" is not an operation; there are ${OPS.join(', ')}`);
  if (columns.length === 0 || columns.length > MAX_COLUMNS) {
    throw new TypeError(`table "${table}" has ${columns.length} columns; 1 to ${MAX_COLUMNS} can be sent`);
  }
  for (const column of columns) checkName(`a column of table "${table}"`, column);
  if (new Set(columns).size !== columns.length) throw new TypeError(`table "${table}": a column is named twice`);
  if (!Number.isInteger(keyCount) || keyCount < 1 || keyCount > columns.length) {
    throw new TypeError(`table "${table}": a key of ${keyCount} columns does not fit its ${columns.length} columns`);
  }
  if (op === 'delete' && keyCount !== columns.length) throw new TypeError(`table "${table}": a delete names its key columns only`);
  if (op === 'update' && keyCount === columns.length) {
    throw new TypeError(`table "${table}": an update names at least one column besides its key`);
  }
}

function checkName(what: string, name: string): void {
  if (typeof name !== 'string') throw new TypeError(`${what} has a name that is not a string`);
  const byteCount = utf8Length(name);
  if (byteCount === 0 || byteCount > MAX_NAME_BYTES) {
    throw new TypeError(`${what} has a name of ${byteCount} bytes; 1 to ${MAX_NAME_BYTES} can be sent`);
  }
  if (!name.isWellFormed()) throw new TypeError(`${what} has a name with a lone surrogate`);
}

function arrayHeaderBytes(count: number): number {
  return count < 0x10 ? 1 : count < 0x1_0000 ? 3 : 5;
}

/** Of all batches: making one takes longer than looking through a small batch. */
const SCAN = new BatchScan();
const INITIAL_BYTES = 1024;
const MAX_GROUP_ROWS = 0xffff;
/** The map's header and its key "c". */
const HEAD_BYTES = 3;
