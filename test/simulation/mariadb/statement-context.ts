import type { Access } from './access.ts';
import type { Context } from './compiled.ts';
import { BETWEEN_ROWS, Rows, type Work } from './rows.ts';
import type { ResultSet } from './query.ts';
import type { QueryStatement } from './sql/ast.ts';
import type { SqlError } from './sql-error.ts';
import type { Entry, Table } from './table.ts';
import type { Transaction } from './transaction.ts';
import type { Row, SqlValue, ValueType } from './values.ts';

/** A table that is made up when it is read, as those of `information_schema` are. */
export interface VirtualTable {
  readonly columns: readonly { readonly name: string; readonly type: ValueType }[];
  readonly rows: readonly Row[];
}

/** What a statement knows of its session and its server. */
export interface Surroundings {
  readonly database: string;
  /** @throws {SqlError} when there is none. */
  table(name: string): Table;
  virtualTable(schema: string, name: string): VirtualTable;
  /** Answers from `information_schema`, which hold until a definition changes. */
  readonly catalogueAnswers: Map<QueryStatement, ResultSet>;
  variable(name: string): SqlValue;
  /** A function that is about the session; undefined when it is another. */
  call(name: string): SqlValue | undefined;
  warn(error: SqlError): void;
  /** Whether a statement with several keys reads the whole table instead. */
  readsTable(): boolean;
  /** Whether no row can be written, because there is no space. */
  readonly isFull: boolean;
}

/** One statement that runs: what it sees, and how it locks. */
export class StatementContext {
  readonly transaction: Transaction;
  readonly rows: Rows;
  readonly surroundings: Surroundings;

  constructor(surroundings: Surroundings, transaction: Transaction) {
    this.surroundings = surroundings;
    this.transaction = transaction;
    this.rows = new Rows(transaction, surroundings.database);
  }

  source(schema: string | undefined, name: string): Table | VirtualTable {
    const { surroundings } = this;
    if (schema === undefined || schema === surroundings.database) return surroundings.table(name);
    return surroundings.virtualTable(schema, name);
  }

  variable(name: string): SqlValue {
    return this.surroundings.variable(name);
  }

  call(name: string): SqlValue | undefined {
    return this.surroundings.call(name);
  }

  /** The version of a row that a read without locks sees. */
  visible(entry: Entry): Row | undefined {
    return entry.writer === undefined || entry.writer === this.transaction ? entry.row : entry.committed;
  }

  /**
   * Locks the rows that match, one after the other, and hands each over with its lock. Returns how many there were. A row
   * that a SELECT looks up as a constant stays locked also if it does not match.
   */
  *lockMatching(
    table: Table,
    access: Access,
    mode: 'S' | 'X',
    matches: (context: Context) => boolean,
    found: (entry: Entry) => Work<void> | undefined,
    reading: 'consistent' | 'semi-consistent' | 'constant' = 'consistent',
  ): Work<number> {
    this.transaction.touch(table, mode === 'X' ? 'write' : 'read');
    let count = 0;
    if (access.kind === 'points') {
      for (const [i, key] of access.keys.entries()) {
        if (i > 0) yield BETWEEN_ROWS;
        const { index } = access;
        const locked =
          index === table.primary
            ? yield* this.rows.lock(table, index.textOf(key), mode)
            : yield* this.rows.lockThrough(index, table, key, mode);
        if (locked === undefined) continue;
        if (matches({ rows: [locked.entry.row] })) {
          count++;
          yield* found(locked.entry) ?? [];
        } else if (locked.isNewLock && reading !== 'constant') this.rows.unlock(table, locked.entry.text, mode);
      }
      return count;
    }
    for (const { text } of table.sorted().filter((entry) => access.within(entry))) {
      yield BETWEEN_ROWS;
      if (reading === 'semi-consistent' && this.#isSkipped(table, text, matches)) continue;
      const locked = yield* this.rows.lock(table, text, mode);
      if (locked === undefined) continue;
      if (matches({ rows: [locked.entry.row] })) {
        count++;
        yield* found(locked.entry) ?? [];
      } else if (locked.isNewLock) this.rows.unlock(table, text, mode);
    }
    return count;
  }

  /** An UPDATE that reads a table does not wait for rows whose committed version it does not want. */
  #isSkipped(table: Table, text: string, matches: (context: Context) => boolean): boolean {
    const locks = table.primary.peekLocks(text);
    if (locks?.isWantedBeside(this.transaction) !== true) return false;
    const committed = table.entries.get(text)?.committed;
    return committed === undefined || !matches({ rows: [committed] });
  }
}
