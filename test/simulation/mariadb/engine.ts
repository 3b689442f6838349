import type { Clock } from '../../../src/core/clock.ts';
import { catalogueTable } from './catalogue.ts';
import { columnOf, defineTable } from './define.ts';
import { deadlockVictim, type LockOwner } from './locks.ts';
import type { ResultSet } from './query.ts';
import type { AddColumn, CreateTable, QueryStatement } from './sql/ast.ts';
import { parseStatement } from './sql/statements.ts';
import { SqlError, deadlock, noSuchTable } from './sql-error.ts';
import { compareKeys } from './keys.ts';
import { processList } from './process-list.ts';
import { RedoLog } from './redo-log.ts';
import { Session } from './session.ts';
import type { VirtualTable } from './statement-context.ts';
import type { Table } from './table.ts';
import { purge, type Ghost, type RowEffect, type Transaction } from './transaction.ts';
import { UserLocks } from './user-locks.ts';
import type { Row, SqlValue } from './values.ts';

/** A row with the names of its columns. */
export type NamedRow = Readonly<Record<string, SqlValue>>;

/** One committed change of a row, as a trigger that writes an audit table would have seen it. */
export interface Effect {
  /** Which commit it was part of: 1, 2, 3, …, without those that a crash undid; a restored backup does not turn it back. */
  readonly commit: number;
  readonly table: string;
  readonly op: 'insert' | 'update' | 'delete';
  /** The values of the primary key, of the row that was deleted or of what it became. */
  readonly key: Row;
  readonly before: NamedRow | undefined;
  /** Undefined when it was deleted. */
  readonly row: NamedRow | undefined;
  /** False for an UPDATE that set a row to what it was. */
  readonly changed: boolean;
}

/** What a backup holds. */
export interface Snapshot {
  readonly commit: number;
  readonly tables: ReadonlyMap<
    string,
    {
      readonly statement: CreateTable;
      readonly added: readonly AddColumn[];
      readonly rows: readonly Row[];
      readonly nextAutoIncrement: number;
    }
  >;
}

/** What the threads of the server leave to chance. */
export interface EngineChances {
  /** Until who was waiting goes on. */
  wakeMs(): number;
  /** Until a connection that KILL was told of is gone, with its transaction and its locks. */
  killMs(): number;
  /** Between two rows of a statement, in which others may run; 0 when it goes on. */
  pauseMs(): number;
  /** Whether a statement with several keys and without a hint reads the whole table. */
  readsTable(): boolean;
  /** Until a commit that others see is durable. */
  flushMs(): number;
  /** Until a deleted record is removed from its indexes; undefined is for ever. */
  purgeMs(): number | undefined;
  /** By how much the weight of a transaction may be more than its locks and changes, when one is chosen as a deadlock's victim. */
  weightUncertainty(): number;
}

interface Defined {
  readonly table: Table;
  readonly statement: CreateTable;
  readonly added: AddColumn[];
}

/**
 * One database of InnoDB tables at READ COMMITTED, in the memory of the test. Everything happens in the callbacks of the
 * caller or of the clock, so a seed decides all.
 *
 * Where it knowingly differs from MariaDB 10.11:
 * - Left to chance is what there follows from statistics, pages and threads: whether a statement with several keys and no
 *   hint reads the whole table (with one key, or with a hint, it uses the index), by how little one transaction of a
 *   deadlock is lighter than another, who of several that wake at once is first, and when deleted records are purged.
 * - A range of the primary key's first columns is locked row by row, without the one record beyond it.
 * - Indexes that are neither unique nor a foreign key's have no locks, and no statement uses them.
 * - A read without locks sees one moment also when it reads several tables.
 * - Deadlocks between rows and table definitions are found; in MariaDB they last until the wait times out.
 * - KILL QUERY ends a wait and nothing else. Who waits for the lock of a name is not looked after: a client that is gone is noticed
 *   when the wait ends.
 * - There is one user, who may kill whom he likes.
 * - The row that an ON DELETE CASCADE deletes is on record among the effects, although MariaDB runs no trigger for it.
 * What it does not know (other types, collations of more than ASCII, autocommit=0, IGNORE of other than duplicates, SQL
 * that the sink never sends) is an exception that ends the simulation.
 */
export class Engine {
  readonly database: string;
  readonly sessions = new Map<number, Session>();
  readonly userLocks = new UserLocks();
  readonly log = new RedoLog();
  readonly catalogueAnswers = new Map<QueryStatement, ResultSet>();
  commitCount = 0;
  isReadOnly = false;
  isFull = false;
  /** Statements that are to fail: the one after `skip` others that take locks. */
  readonly failures: { skip: number; readonly error: SqlError }[] = [];
  #tables = new Map<string, Defined>();
  #nextSession = 1;
  /** Those whose wait got another reason since deadlocks were last looked for. */
  readonly #moved = new Set<LockOwner>();
  #clock: Clock | undefined;
  readonly #ghosts = new Set<Ghost>();
  readonly #chances: EngineChances;

  constructor(database: string, chances: EngineChances) {
    this.database = database;
    this.#chances = chances;
  }

  /** How long after a lock was granted its owner goes on. */
  wakeDelayMs(): number {
    return this.#chances.wakeMs();
  }

  /** How long after KILL its connection ends. */
  killDelayMs(): number {
    return this.#chances.killMs();
  }

  /** How long a statement stops between two rows; mostly not at all. */
  pauseMs(): number {
    return this.#chances.pauseMs();
  }

  /** Whether the optimizer now finds the whole of a table cheaper than several keys. */
  readsTable(): boolean {
    return this.#chances.readsTable();
  }

  /** Begins to live by a clock: that of the process that has just booted. */
  start(clock: Clock): void {
    this.#clock = clock;
  }

  /** The process is dead: what was not committed is gone, and what was not durable yet. */
  stop(): void {
    for (const session of [...this.sessions.values()]) session.end();
    for (const ghost of this.#ghosts) purge(ghost);
    this.#ghosts.clear();
    this.#clock = undefined;
    if (!this.log.isFlushed) this.restore(this.snapshot());
  }

  get clock(): Clock {
    if (this.#clock === undefined) throw new Error('the database is not running');
    return this.#clock;
  }

  connect(): Session {
    const session = new Session(this.#nextSession++, this);
    this.sessions.set(session.id, session);
    return session;
  }

  table(name: string): Table {
    const defined = this.#tables.get(name);
    if (defined === undefined) throw noSuchTable(this.database, name);
    return defined.table;
  }

  virtualTable(schema: string, name: string): VirtualTable {
    if (schema.toLowerCase() !== 'information_schema') throw new SqlError(1049, '42000', `Unknown database '${schema}'`);
    if (name.toUpperCase() === 'PROCESSLIST') return processList(this.database, [...this.sessions.values()]);
    return catalogueTable(
      name,
      this.database,
      [...this.#tables.values()].map(({ table }) => table),
    );
  }

  /** Runs a CREATE TABLE at once, without a session. */
  define(sql: string): void {
    const statement = parseStatement(sql);
    if (statement.kind !== 'create table') throw new Error(`no CREATE TABLE: ${sql}`);
    this.create(statement);
  }

  /** False when the table exists and the statement says that this is no error. */
  create(statement: CreateTable): boolean {
    if (this.#tables.has(statement.table)) {
      if (statement.ifNotExists) return false;
      throw new SqlError(1050, '42S01', `Table '${statement.table}' already exists`);
    }
    this.#define(statement, []);
    return true;
  }

  addColumn(statement: AddColumn): void {
    const defined = this.#tables.get(statement.table);
    if (defined === undefined) throw noSuchTable(this.database, statement.table);
    if (defined.table.position(statement.column.name) !== undefined) {
      throw new SqlError(1060, '42S21', `Duplicate column name '${statement.column.name}'`);
    }
    this.log.flushAll();
    defined.table.addColumn(columnOf(statement.column));
    defined.added.push(statement);
    this.catalogueAnswers.clear();
  }

  /** The durable rows of a table in the order of its key. */
  read(name: string): NamedRow[] {
    const table = this.table(name);
    return this.#durableRows(table).map((row) => named(table, row));
  }

  /** Shows others what a transaction did. Returns the number of the commit, which is durable later; undefined when it did nothing. */
  commit(transaction: Transaction): number | undefined {
    const effects = transaction.effects();
    const number = effects.length > 0 ? ++this.commitCount : undefined;
    const { ghosts, replaced } = transaction.commit();
    if (number !== undefined) {
      this.log.add({ number, effects: effects.map((effect) => effectOf(number, effect)), replaced });
      this.clock.setTimer(this.#chances.flushMs(), () => this.log.flush(number));
    }
    this.#purgeLater(ghosts);
    this.findDeadlocks();
    return number;
  }

  /** Called for each statement that takes locks. @throws {SqlError} when it is its turn to fail. */
  mayFail(): void {
    const due = this.failures.find((failure) => failure.skip-- === 0);
    if (due === undefined) return;
    this.failures.splice(this.failures.indexOf(due), 1);
    throw due.error;
  }

  /** Looks for circles of waits that have closed because somebody now waits for another. */
  findDeadlocks(): void {
    while (this.#moved.size > 0) {
      const [owner] = this.#moved as Set<Transaction>;
      this.#moved.delete(owner as Transaction);
      this.victimOf(owner as Transaction)?.fail?.(deadlock());
    }
  }

  /** Whom to roll back if the wait of `transaction` has closed a circle. */
  victimOf(transaction: Transaction): Transaction | undefined {
    return deadlockVictim(transaction, () => this.#chances.weightUncertainty()) as Transaction | undefined;
  }

  /** Purges as the background threads of InnoDB do, which other transactions may notice by the locks. */
  #purgeLater(ghosts: readonly Ghost[]): void {
    if (ghosts.length === 0) return;
    for (const ghost of ghosts) this.#ghosts.add(ghost);
    const delayMs = this.#chances.purgeMs();
    if (delayMs === undefined) return;
    this.clock.setTimer(delayMs, () => {
      const early = ghosts.filter((ghost) => this.#ghosts.delete(ghost) && !purge(ghost));
      this.#purgeLater(early);
      this.findDeadlocks();
    });
  }

  snapshot(): Snapshot {
    const tables = [...this.#tables].map(([name, { table, statement, added }]) => {
      const rows = this.#durableRows(table);
      return [name, { statement, added: [...added], rows, nextAutoIncrement: table.nextAutoIncrement }] as const;
    });
    return { commit: this.log.durable, tables: new Map(tables) };
  }

  /** In the order of the key. */
  #durableRows(table: Table): Row[] {
    const replaced = this.log.isFlushed ? [] : this.log.unflushed().filter((each) => each.table === table);
    const entries = table.sorted();
    if (replaced.length === 0) return present(entries.map(({ committed }) => committed));
    const rows = new Map(entries.map(({ text, key, committed }) => [text, { key, row: committed }]));
    for (const { text, key, before } of replaced) rows.set(text, { key, row: before });
    return present([...rows.values()].sort((a, b) => compareKeys(a.key, b.key, table.keyTypes)).map(({ row }) => row));
  }

  /** Puts a backup in place of what there is. All sessions must have ended. */
  restore(snapshot: Snapshot): void {
    if (this.sessions.size > 0) throw new Error('a backup is restored while there are sessions');
    this.#tables = new Map();
    this.catalogueAnswers.clear();
    this.#ghosts.clear();
    this.log.lose();
    for (const { statement, added, rows, nextAutoIncrement } of snapshot.tables.values()) {
      const table = this.#define(statement, added);
      for (const row of rows) load(table, row);
      table.nextAutoIncrement = nextAutoIncrement;
    }
  }

  #define(statement: CreateTable, added: readonly AddColumn[]): Table {
    const table = defineTable(statement, {
      table: (name) => this.#tables.get(name)?.table,
      onMoved: (owner) => void this.#moved.add(owner),
    });
    for (const { column } of added) table.addColumn(columnOf(column));
    this.#tables.set(table.name, { table, statement, added: [...added] });
    this.catalogueAnswers.clear();
    return table;
  }
}

function present(rows: readonly (Row | undefined)[]): Row[] {
  return rows.filter((row) => row !== undefined);
}

function effectOf(commit: number, { op, table, before, after }: RowEffect): Effect {
  const last = (after ?? before) as Row;
  return {
    commit,
    table: table.name,
    op,
    key: table.primary.positions.map((position) => last[position] as SqlValue),
    before: before === undefined ? undefined : named(table, before),
    row: after === undefined ? undefined : named(table, after),
    changed: before !== after,
  };
}

function named(table: Table, row: Row): NamedRow {
  const object: Record<string, SqlValue> = {};
  for (let i = 0; i < table.columns.length; i++) object[(table.columns[i] as { name: string }).name] = row[i] ?? null;
  return object;
}

function load(table: Table, row: Row): void {
  const key = table.hasPrimaryKey ? table.primary.keyOf(row) : [table.nextRowNumber++];
  const entry = { text: table.hasPrimaryKey ? table.primary.textOf(key) : String(key[0]), key, row, committed: row, writer: undefined };
  table.add(entry);
  for (const index of table.secondary) index.add(index.newRecord(entry, index.keyOf(row)));
}
