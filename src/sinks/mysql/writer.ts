// Hot path
import type { Row } from '../../core/change.ts';
import { SyncError } from '../../core/errors.ts';
import type { Connection, Outcome } from './connection.ts';
import type { Subject } from './errors.ts';
import { Statements } from './statements.ts';
import type { MysqlShape } from './table.ts';

/** Bounds of one statement. Characters, of which each is at most three bytes. */
const MAX_STATEMENT_ROWS = 1000;
const MAX_STATEMENT_CHARACTERS = 512 * 1024;
/** Keys of several columns in one list: beyond some hundred the server prefers to read the whole index. */
const MAX_COMPOSITE_KEYS = 250;
/** Rows of one UPDATE … CASE: the server compares each row with all of them. */
const MAX_CASE_ROWS = 64;
/** Where a mixture of rows that exist and rows that do not is no longer cut in halves. */
const MIN_HALVED_ROWS = 8;
/** Header and command byte of a statement's packet. */
const PACKET_OVERHEAD_BYTES = 64;

/** Warnings that say nothing about the row: deprecation, and statements that a binary log in another format would dislike. */
const HARMLESS_WARNINGS: ReadonlySet<number> = new Set([1287, 1592, 1681, 1724, 3170, 3719]);

/**
 * Writes rows on one connection. While the server works on a statement the next one is built; errors of a statement
 * surface at the next call or at {@link settle}.
 */
export class Writer {
  readonly #connection: Connection;
  readonly #statements = new WeakMap<MysqlShape, Statements>();
  readonly #maxCharacters: number;
  #inFlight: Promise<void> | undefined;

  constructor(connection: Connection) {
    this.#connection = connection;
    // At three bytes each they are half of what the server takes in one packet.
    this.#maxCharacters = Math.min(MAX_STATEMENT_CHARACTERS, Math.floor(connection.facts.maxPacketBytes / 6));
  }

  /**
   * Writes rows in order, or so that the outcome is the same.
   * @throws {SyncError} permanent or blocked when any row fails; what was written before it stays in the transaction.
   */
  async write(shape: MysqlShape, rows: readonly Row[]): Promise<void> {
    const statements = this.#statementsOf(shape);
    const { plan } = statements;
    if (shape.op === 'insert') return this.#chunks(shape, rows, statements, (tuples) => statements.insert(tuples));
    if (shape.op === 'delete') {
      if (!plan.groupsDeletes) return this.#singly(shape, rows);
      return this.#chunks(shape, rows, statements, (keys) => statements.delete(keys));
    }
    if (shape.op === 'upsert' && plan.viaInsert && plan.soleUnique) {
      return this.#chunks(shape, rows, statements, (tuples) => statements.insertOrUpdate(tuples));
    }
    for (const distinct of runsOfDistinctKeys(shape, rows)) {
      for (let at = 0; at < distinct.length; at += MAX_STATEMENT_ROWS) {
        const part = distinct.slice(at, at + MAX_STATEMENT_ROWS);
        if (shape.op === 'update') await this.#update(shape, part, statements);
        else await this.#upsertGuarded(shape, part, statements);
      }
    }
  }

  /**
   * Writes one row, exactly as if it were alone.
   * @throws {SyncError} of any kind; the caller's savepoint undoes what was done.
   */
  async writeOne(shape: MysqlShape, row: Row): Promise<void> {
    const statements = this.#statementsOf(shape);
    const { plan } = statements;
    switch (shape.op) {
      case 'insert':
        await this.#run(statements.insert(statements.tuple(row)), shape.subject);
        return;
      case 'delete':
        await this.#run(statements.deleteOne(row), shape.subject);
        return;
      case 'update':
        await this.#updateSingle(shape, row, statements);
        return;
      case 'upsert':
        if (plan.viaInsert && plan.soleUnique) await this.#run(statements.insertOrUpdate(statements.tuple(row)), shape.subject);
        else if (!(await this.#updateIfThere(shape, row, statements))) await this.#insertAbsent(shape, row, statements);
    }
  }

  /** Waits for the statement that is under way. */
  async settle(): Promise<void> {
    const inFlight = this.#inFlight;
    this.#inFlight = undefined;
    await inFlight;
  }

  #statementsOf(shape: MysqlShape): Statements {
    let statements = this.#statements.get(shape);
    if (statements === undefined) {
      statements = new Statements(shape, this.#connection.facts.mariadb);
      this.#statements.set(shape, statements);
    }
    return statements;
  }

  async #chunks(shape: MysqlShape, rows: readonly Row[], statements: Statements, statementOf: (list: string) => string): Promise<void> {
    const keysOnly = shape.op === 'delete';
    const maxRows = keysOnly ? maxKeys(shape) : MAX_STATEMENT_ROWS;
    let list = '';
    let count = 0;
    for (let i = 0; i < rows.length; i++) {
      const piece = keysOnly ? statements.keyTuple(rows[i] as Row) : statements.tuple(rows[i] as Row);
      if (count > 0 && (count === maxRows || list.length + piece.length > this.#maxCharacters)) {
        await this.#send(statementOf(list), shape.subject);
        list = '';
        count = 0;
      }
      list = count === 0 ? piece : `${list},${piece}`;
      count++;
    }
    if (count > 0) await this.#send(statementOf(list), shape.subject);
  }

  async #singly(shape: MysqlShape, rows: readonly Row[]): Promise<void> {
    for (const row of rows) await this.writeOne(shape, row);
  }

  /** Updates rows with distinct keys, all of which must exist. */
  async #update(shape: MysqlShape, rows: readonly Row[], statements: Statements): Promise<void> {
    const { plan } = statements;
    if (plan.viaInsert && (await this.#countExisting(shape, rows, statements)) !== rows.length) throw someMissing(shape);
    return this.#updateExisting(shape, rows, statements);
  }

  /**
   * Updates rows that are there, and locked where they pass through INSERT. (ON DUPLICATE KEY UPDATE meets the primary
   * key first: InnoDB inserts there before it looks at any other index, so no other row is ever taken for this one.)
   */
  async #updateExisting(shape: MysqlShape, rows: readonly Row[], statements: Statements): Promise<void> {
    const { plan } = statements;
    if (plan.viaInsert) return this.#chunks(shape, rows, statements, (tuples) => statements.insertOrUpdate(tuples));
    if (plan.groupsUpdates) return this.#updateByCase(shape, rows, statements);
    return this.#singly(shape, rows);
  }

  /** Sets rows with one statement for several; in an upsert they were counted, in an update the count of matches tells. */
  async #updateByCase(shape: MysqlShape, rows: readonly Row[], statements: Statements): Promise<void> {
    for (let at = 0; at < rows.length; at += MAX_CASE_ROWS) {
      const part = rows.slice(at, at + MAX_CASE_ROWS);
      const sql = statements.updateMany(part);
      if (sql.length > this.#maxCharacters && part.length > 1) {
        await this.#singly(shape, part);
      } else {
        await this.#send(sql, shape.subject, ({ affectedRows }) => {
          if (affectedRows !== part.length) throw someMissing(shape);
        });
      }
    }
  }

  /**
   * Upserts rows with distinct keys where another unique index, a trigger or a missing column forbids to leave the
   * decision to the server. The rows that exist are counted and locked first: when all or none are there, one statement
   * does, and it takes the rows in their order.
   */
  async #upsertGuarded(shape: MysqlShape, rows: readonly Row[], statements: Statements): Promise<void> {
    if (!statements.plan.countable) return this.#singly(shape, rows);
    const existing = await this.#countExisting(shape, rows, statements);
    if (existing === 0) return this.#chunks(shape, rows, statements, (tuples) => statements.insert(tuples));
    if (existing === rows.length) return this.#updateExisting(shape, rows, statements);
    if (rows.length <= MIN_HALVED_ROWS) return this.#singly(shape, rows);
    const middle = rows.length >> 1;
    await this.#upsertGuarded(shape, rows.slice(0, middle), statements);
    await this.#upsertGuarded(shape, rows.slice(middle), statements);
  }

  async #countExisting(shape: MysqlShape, rows: readonly Row[], statements: Statements): Promise<number> {
    let total = 0;
    for (let at = 0; at < rows.length;) {
      const end = Math.min(rows.length, at + maxKeys(shape));
      let keys = statements.keyTuple(rows[at++] as Row);
      while (at < end && keys.length < this.#maxCharacters) keys += `,${statements.keyTuple(rows[at++] as Row)}`;
      total += (await this.#run(statements.lockExisting(keys), shape.subject)).affectedRows;
    }
    return total;
  }

  async #updateSingle(shape: MysqlShape, row: Row, statements: Statements): Promise<void> {
    if (!(await this.#updateIfThere(shape, row, statements))) {
      throw new SyncError('row_missing', `${shape.table.name}: there is no row with this key to update`);
    }
  }

  async #updateIfThere(shape: MysqlShape, row: Row, statements: Statements): Promise<boolean> {
    const { affectedRows } = await this.#run(statements.updateOne(row), shape.subject);
    return affectedRows > 0;
  }

  /** Inserts what an UPDATE did not find a moment ago. */
  async #insertAbsent(shape: MysqlShape, row: Row, statements: Statements): Promise<void> {
    try {
      await this.#run(statements.insert(statements.tuple(row)), shape.subject);
    } catch (error) {
      // Somebody else inserted it in between; the next attempt finds it.
      if (error instanceof SyncError && error.code === 'duplicate_key') throw new SyncError('sink_busy', error.message);
      throw error;
    }
  }

  async #run(sql: string, subject: Subject): Promise<Outcome> {
    await this.settle();
    const outcome = await this.#connection.run(this.#measured(sql), subject);
    if (outcome.warnings > 0) await this.#judgeWarnings(subject);
    return outcome;
  }

  /** Starts a statement once the one before it has succeeded, and does not wait for it. */
  async #send(sql: string, subject: Subject, judge?: (outcome: Outcome) => void): Promise<void> {
    await this.settle();
    const statement = this.#measured(sql);
    this.#inFlight = this.#connection.run(statement, subject).then(async (outcome) => {
      if (outcome.warnings > 0) await this.#judgeWarnings(subject);
      judge?.(outcome);
    });
    // Whoever settles it sees the rejection; until then it is not unhandled.
    this.#inFlight.catch(() => {});
  }

  /** The server would cut the connection over a statement that is too large, which would look like a lost network. */
  #measured(sql: string): string {
    const { maxPacketBytes } = this.#connection.facts;
    if (sql.length * 3 + PACKET_OVERHEAD_BYTES > maxPacketBytes && Buffer.byteLength(sql) + PACKET_OVERHEAD_BYTES > maxPacketBytes) {
      throw new SyncError(
        'row_too_large',
        `a row needs a statement of ${Buffer.byteLength(sql)} bytes, and max_allowed_packet is ${maxPacketBytes}; bytes count twice`,
      );
    }
    return sql;
  }

  async #judgeWarnings(subject: Subject): Promise<void> {
    const warnings = await this.#connection.rows('SHOW WARNINGS');
    const telling = warnings.find(([, number]) => !HARMLESS_WARNINGS.has(Number(number)));
    if (telling !== undefined)
      throw new SyncError(
        'value_refused',
        `${subject.table}: the database accepted a row with warning ${String(telling[1])}, which may mean that it changed a value`,
      );
  }
}

/** Cuts rows where a key comes again, in their order. Keys of independent tables do not. */
function runsOfDistinctKeys(shape: MysqlShape, rows: readonly Row[]): readonly (readonly Row[])[] {
  if (shape.table.independent) return [rows];
  const runs: Row[][] = [];
  let run: Row[] = [];
  let seen = new Set<string>();
  for (const row of rows) {
    const key = shape.keyOf(row);
    if (seen.has(key)) {
      runs.push(run);
      run = [];
      seen = new Set();
    }
    run.push(row);
    seen.add(key);
  }
  runs.push(run);
  return runs;
}

function maxKeys(shape: MysqlShape): number {
  return shape.keyCount === 1 ? MAX_STATEMENT_ROWS : MAX_COMPOSITE_KEYS;
}

function someMissing(shape: MysqlShape): SyncError {
  return new SyncError('row_missing', `${shape.table.name}: a row to update does not exist`);
}
