// Hot path: runs over every byte that a peer sends, without allocating.
import type { Access } from '../core/access.ts';
import { OPS } from '../core/change.ts';
import type { ChangeFault } from '../core/errors.ts';
import { readUtf8, textSource } from '../core/platform.ts';
import { MAX_CHANGES, MAX_COLUMNS, MAX_NAME_BYTES, MAX_TABLES, ROW_DEPTH } from './limits.ts';
import { NameSet } from './name-set.ts';
import { ValueScan } from './value-scan.ts';

/**
 * Why `bytes` are not exactly one value of the restricted msgpack, or undefined when they are.
 * Repeated keys in a map are found by decoding, not here.
 */
export function scanValue(bytes: Uint8Array): string | undefined {
  const values = new ValueScan();
  values.begin(bytes);
  return values.values(1, 0) && values.end() ? undefined : values.reason;
}

/**
 * Checks untrusted payloads of BATCH frames before anything is stored or decoded: that they are restricted msgpack, and
 * that they have the structure of a batch. Keep one and use it again; results hold until the next {@link scan}.
 */
export class BatchScan {
  readonly #in = new ValueScan();
  readonly #tables = new NameSet(MAX_TABLES);
  readonly #columns = new NameSet(MAX_COLUMNS);
  #changes = 0;
  #access: Access | undefined;
  /** Of the first group that is not allowed. */
  #fault: ChangeFault | undefined;
  #allowsSome = false;

  /** Whether `payload` (expanded) is a valid batch; {@link denial} then says whether `access` allows none of it. */
  scan(payload: Uint8Array, access?: Access): boolean {
    this.#changes = 0;
    this.#access = access;
    this.#fault = undefined;
    this.#allowsSome = false;
    this.#in.begin(payload);
    this.#tables.begin(payload);
    return this.#batch() && this.#in.end();
  }

  /** Why the last scan refused, for people; names no contents. */
  get reason(): string {
    return this.#in.reason;
  }

  /** Why nothing in the last scanned batch is allowed; undefined when something is. */
  get denial(): ChangeFault | undefined {
    return this.#allowsSome ? undefined : this.#fault;
  }

  /** How many changes the last scanned batch holds. */
  get changes(): number {
    return this.#changes;
  }

  /** The distinct tables of the last scanned batch, in the order in which they first appear. */
  tables(): string[] {
    return this.#tables.names();
  }

  #batch(): boolean {
    const input = this.#in;
    const fields = input.mapHeader();
    if (fields < 0) return input.refuse('the payload is not a map');
    let seen = 0;
    for (let i = 0; i < fields; i++) {
      if (!input.string(1)) return input.refuse('a batch has the keys "t", "o" and "c" only');
      const key = input.bytes[input.stringStart]!;
      const bit = key === KEY_T ? 1 : key === KEY_O ? 2 : key === KEY_C ? 4 : 0;
      if (input.stringBytes !== 1 || bit === 0) return input.refuse('a batch has the keys "t", "o" and "c" only');
      if ((seen & bit) !== 0) return input.refuse(`the batch has its key "${String.fromCharCode(key)}" twice`);
      seen |= bit;
      if (key === KEY_T) {
        if (input.count() < 0) return input.refuse('"t" is not a non-negative integer');
      } else if (key === KEY_O) {
        if (!input.values(1, 1)) return false;
      } else if (!this.#groups()) return false;
    }
    if ((seen & 4) === 0) return input.refuse('the batch has no "c"');
    return this.#changes > 0 || input.refuse('the batch has no changes');
  }

  #groups(): boolean {
    const count = this.#in.arrayHeader();
    if (count < 0) return this.#in.refuse('"c" is not an array of groups');
    for (let i = 0; i < count; i++) if (!this.#group(i)) return false;
    return true;
  }

  /** [table, op, keyCount, columns, rows] */
  #group(index: number): boolean {
    const input = this.#in;
    if (input.arrayHeader() !== 5) return input.refuse(`group ${index} is not [table, op, keyCount, columns, rows]`);
    if (!input.string(MAX_NAME_BYTES) || input.stringBytes === 0) {
      return input.refuse(`group ${index}: the table is not a name of 1 to ${MAX_NAME_BYTES} bytes`);
    }
    const { stringStart: tableStart, stringBytes: tableBytes } = input;
    if (this.#tables.add(tableStart, tableBytes) === 'full') {
      return input.refuse(`group ${index}: the batch names more than ${MAX_TABLES} tables`);
    }
    const op = input.count();
    if (op < 0 || op >= OPS.length) return input.refuse(`group ${index}: the op is none of 0 to ${OPS.length - 1}`);
    const keyCount = input.count();
    const columns = this.#columnNames(index);
    if (columns < 0) return false;
    if (keyCount < 1 || keyCount > columns) {
      return input.refuse(`group ${index}: the key count is not between 1 and the ${columns} columns`);
    }
    if (op === OP_DELETE && keyCount !== columns) {
      return input.refuse(`group ${index}: a delete names ${columns} columns and a key of ${keyCount}; it must name its key only`);
    }
    if (op === OP_UPDATE && keyCount === columns) return input.refuse(`group ${index}: an update names no column besides its key`);
    if (this.#access !== undefined && !this.#allowsSome) this.#judge(this.#access, tableStart, tableBytes, op, keyCount);
    return this.#rows(index, columns);
  }

  /** Allocates, once for each group of a producer that has rules. */
  #judge(access: Access, tableStart: number, tableBytes: number, op: number, keyCount: number): void {
    const table = readUtf8(textSource(this.#in.bytes), tableStart, tableStart + tableBytes);
    const name = OPS[op]!;
    const fault =
      typeof access.grant(table, name) === 'string'
        ? access.faultOf(table, name, keyCount, [])
        : access.faultOf(table, name, keyCount, this.#columns.names());
    if (fault === undefined) this.#allowsSome = true;
    else this.#fault ??= fault;
  }

  #columnNames(index: number): number {
    const input = this.#in;
    const count = input.arrayHeader();
    if (count < 1 || count > MAX_COLUMNS) {
      input.refuse(`group ${index}: the columns are not an array of 1 to ${MAX_COLUMNS} names`);
      return -1;
    }
    this.#columns.begin(input.bytes);
    for (let i = 0; i < count; i++) {
      if (!input.string(MAX_NAME_BYTES) || input.stringBytes === 0) {
        input.refuse(`group ${index}: column ${i} is not a name of 1 to ${MAX_NAME_BYTES} bytes`);
        return -1;
      }
      const added = this.#columns.add(input.stringStart, input.stringBytes);
      if (added !== 'added') {
        input.refuse(`group ${index}: column ${i} ${added === 'present' ? 'repeats a name' : 'has a name made to collide with others'}`);
        return -1;
      }
    }
    return count;
  }

  #rows(index: number, columns: number): boolean {
    const input = this.#in;
    const count = input.arrayHeader();
    if (count < 1) return input.refuse(`group ${index}: the rows are not an array of at least one row`);
    if (this.#changes + count > MAX_CHANGES) return input.refuse(`the batch has more than ${MAX_CHANGES} changes`);
    for (let i = 0; i < count; i++) {
      const width = input.arrayHeader();
      if (width !== columns) {
        return input.refuse(
          width < 0 ? `group ${index}: row ${i} is not an array` : `group ${index}: row ${i} has ${width} values for ${columns} columns`,
        );
      }
      if (!input.values(columns, ROW_DEPTH)) return false;
    }
    this.#changes += count;
    return true;
  }
}

const KEY_T = 0x74;
const KEY_O = 0x6f;
const KEY_C = 0x63;
const OP_UPDATE = OPS.indexOf('update');
const OP_DELETE = OPS.indexOf('delete');
