import { type Op, Timestamp } from '../core/change.ts';
import type { PartitionBy } from '../core/partition.ts';
import type { Intake } from './intake.ts';
import { type InputRow, type PreparedChange, RowPlan } from './row-plan.ts';
import type { ServerFacts } from './server-facts.ts';

export interface TableOptions {
  /** The key columns, in the order of the key. Default: what the server knows of the table. */
  readonly key?: readonly string[];
  /** Must say what the server's configuration says; an error tells when it does not. Default: the server's. */
  readonly partitionBy?: PartitionBy;
}

/** The value of a key of one column. */
export type KeyValue = string | number | bigint | boolean | Uint8Array | Date | Timestamp;

/** A change that {@link Table.change} described and that {@link import('./sync-client.ts').Client.batch} writes. */
export interface Change {
  readonly table: TableSource;
  readonly op: Op;
  readonly row: InputRow | KeyValue;
}

/** Describes changes for a batch; nothing is sent. */
export interface ChangeMaker<R extends object> {
  upsert(row: R): Change;
  insert(row: R): Change;
  update(row: Partial<R>): Change;
  delete(keyOrRow: KeyValue | Partial<R>): Change;
}

/**
 * Writes rows of one table. Every promise resolves when the change is in the client's buffer, which is at once unless
 * the buffer is full, and rejects with a `TypeError` that names the column when the row cannot be sent.
 */
export class Table<R extends object = InputRow> {
  readonly name: string;
  readonly #source: TableSource;
  readonly #intake: Intake;
  /** The same four operations as descriptions, for `client.batch`. */
  readonly change: ChangeMaker<R>;

  constructor(source: TableSource, intake: Intake) {
    this.name = source.name;
    this.#source = source;
    this.#intake = intake;
    this.change = {
      upsert: (row) => ({ table: source, op: 'upsert', row: row as InputRow }),
      insert: (row) => ({ table: source, op: 'insert', row: row as InputRow }),
      update: (row) => ({ table: source, op: 'update', row }),
      delete: (row) => ({ table: source, op: 'delete', row }),
    };
  }

  /** Writes the row, whether or not one with its key exists. */
  upsert(row: R): Promise<void> {
    return this.#intake.write(this.#source, 'upsert', row as InputRow);
  }

  /** Writes a row that does not exist yet; a row with its key makes it a rejected change. */
  insert(row: R): Promise<void> {
    return this.#intake.write(this.#source, 'insert', row as InputRow);
  }

  /** Sets the given columns of the row with this key; no such row makes it a rejected change. */
  update(row: Partial<R>): Promise<void> {
    return this.#intake.write(this.#source, 'update', row);
  }

  /** Deletes by key: the value itself where the key is one column, or an object with the key columns. */
  delete(keyOrRow: KeyValue | Partial<R>): Promise<void> {
    return this.#intake.write(this.#source, 'delete', keyOrRow);
  }
}

/** What is known of a table, and the plan made of it; shared by all {@link Table} objects of one name and key. */
export class TableSource {
  readonly name: string;
  readonly #options: TableOptions;
  #facts: ServerFacts | undefined;
  #plan: RowPlan | undefined;
  #key: readonly string[] = [];

  /** @throws {TypeError} for a name or a key that cannot be. */
  constructor(name: string, options: TableOptions) {
    if (typeof name !== 'string' || name === '') throw new TypeError('a table needs a name');
    const { key } = options;
    if (key !== undefined && (!Array.isArray(key) || key.length === 0 || new Set(key).size !== key.length)) {
      throw new TypeError(`the key of table "${name}" must be a list of different columns, such as ["id"]`);
    }
    this.name = name;
    this.#options = options;
  }

  /** @throws {TypeError} that names table and column, for a row that cannot be sent. */
  prepare(facts: ServerFacts, op: Op, row: InputRow | KeyValue): PreparedChange {
    if (this.#plan === undefined || this.#facts !== facts) this.#resolve(facts);
    return this.#plan!.prepare(op, isRow(row) ? row : this.#keyRow(op, row));
  }

  #resolve(facts: ServerFacts): void {
    const known = facts.tables.get(this.name);
    const key = this.#options.key ?? known?.key;
    if (key === undefined || key.length === 0) {
      throw new TypeError(`table "${this.name}" is not known to the server; name its key columns, as in { "key": ["id"] }`);
    }
    const mine = this.#options.partitionBy;
    const theirs = known?.partitionBy;
    if (mine !== undefined && !samePartitioning(mine, theirs)) {
      throw new TypeError(
        `table "${this.name}" is partitioned by ${describe(theirs)} on the server and by ${describe(mine)} here; set tables.${this.name}.partitionBy in the server's configuration, or leave it out here`,
      );
    }
    this.#key = key;
    this.#plan = new RowPlan(this.name, key, theirs, facts.partitions);
    this.#facts = facts;
  }

  #keyRow(op: Op, value: KeyValue): InputRow {
    if (op !== 'delete' || value === null || value === undefined) {
      throw new TypeError(`${op} of table "${this.name}" needs a row: an object with a value for each column`);
    }
    if (this.#key.length !== 1) {
      throw new TypeError(
        `the key of table "${this.name}" has ${this.#key.length} columns (${this.#key.join(', ')}): delete needs an object with all of them`,
      );
    }
    return { [this.#key[0]!]: value };
  }
}

/** Anything but the values that a key can have. */
function isRow(row: unknown): row is InputRow {
  if (typeof row !== 'object' || row === null || Array.isArray(row)) return false;
  return !(row instanceof Uint8Array) && !(row instanceof Date) && !(row instanceof Timestamp);
}

function samePartitioning(a: PartitionBy, b: PartitionBy | undefined): boolean {
  return (
    b !== undefined &&
    a.group === b.group &&
    a.columns.length === b.columns.length &&
    a.columns.every((column, i) => column === b.columns[i])
  );
}

function describe(by: PartitionBy | undefined): string {
  return by === undefined ? 'its key' : `${by.group}(${by.columns.join(', ')})`;
}
