import type { Timer } from '../../../src/core/clock.ts';
import { TEXT, isTrue } from './compiled.ts';
import type { Engine } from './engine.ts';
import { compile, type Scope } from './expression.ts';
import type { LockWait } from './locks.ts';
import { runQuery, tablesOf, type ResultSet } from './query.ts';
import { BETWEEN_ROWS, type Pause, type Work } from './rows.ts';
import type { AddColumn, CreateTable, QueryStatement, Statement } from './sql/ast.ts';
import { parseStatement } from './sql/statements.ts';
import { UnsupportedSql } from './sql/tokens.ts';
import {
  SqlError,
  connectionKilled,
  deadlock,
  interrupted,
  lockWaitTimeout,
  noSavepoint,
  noSuchThread,
  readOnly,
  statementTimeout,
} from './sql-error.ts';
import { StatementContext, type Surroundings } from './statement-context.ts';
import type { Table } from './table.ts';
import { Transaction } from './transaction.ts';
import { callLockFunctions } from './user-lock-functions.ts';
import type { TimedUserLockWait } from './user-locks.ts';
import type { SqlValue } from './values.ts';
import { globalVariables, SERVER_VERSION, SessionVariables } from './variables.ts';
import { runDelete, runInsert, runUpdate, type Written } from './write.ts';

/** What the server sends back for a statement. */
export type Answer =
  | ({ readonly kind: 'rows' } & ResultSet)
  | ({ readonly kind: 'done'; readonly warnings: number } & Written)
  | { readonly kind: 'error'; readonly error: SqlError };

const NOTHING: Written = { affectedRows: 0, insertId: 0 };

/** One connection as the engine sees it: one statement at a time, and the transaction that is open, if any. */
export class Session {
  readonly id: number;
  readonly variables = new SessionVariables();
  readonly #engine: Engine;
  /** Between START TRANSACTION and its end. */
  #transaction: Transaction | undefined;
  #warnings: SqlError[] = [];
  #isEnded = false;
  /** Of the statement that runs. */
  #abort: (() => void) | undefined;
  /** Ends the wait of the statement that runs, if it waits. */
  #interrupt: ((error: SqlError) => void) | undefined;
  #isKilled = false;
  /** Number of the last commit that this session made. */
  lastCommit = 0;
  /** Called when somebody else ended it: its connection is closed, or breaks. */
  onKilled: (how: 'close' | 'break') => void = () => {};

  constructor(id: number, engine: Engine) {
    this.id = id;
    this.#engine = engine;
  }

  get isInTransaction(): boolean {
    return this.#transaction !== undefined;
  }

  /** Whether KILL was told of it; it ends soon. */
  get isKilled(): boolean {
    return this.#isKilled;
  }

  get isRunning(): boolean {
    return this.#abort !== undefined;
  }

  /** Runs a statement, and calls `done` with the answer: at once, or when the locks that it waits for are there. */
  run(sql: string, done: (answer: Answer) => void): void {
    if (this.isRunning) throw new Error('a session was given two statements at once');
    const statement = parseStatement(sql);
    const transaction = this.#transaction ?? new Transaction();
    const limitMs = this.variables.seconds('max_statement_time') * 1000;
    const { clock } = this.#engine;
    const deadlineMs = limitMs > 0 ? clock.monotonicMs() + limitMs : Infinity;
    const work = this.#execute(statement, transaction);
    const step = (advance: () => IteratorResult<Pause, Answer>): void => {
      let result: IteratorResult<Pause, Answer>;
      let pauseMs = 0;
      try {
        do {
          result = advance();
          advance = () => work.next();
          pauseMs = result.value === BETWEEN_ROWS ? this.#engine.pauseMs() : 0;
        } while (result.value === BETWEEN_ROWS && pauseMs === 0);
      } catch (error) {
        if (error instanceof UnsupportedSql) throw error;
        throw new Error(`a statement failed in the simulated database: ${sql.slice(0, 500)}`, { cause: error });
      }
      if (result.done === true) {
        this.#abort = undefined;
        this.#engine.findDeadlocks();
        return done(result.value);
      }
      const resume = (error?: SqlError) => step(() => (error === undefined ? work.next() : work.throw(error)));
      if (result.value === BETWEEN_ROWS) this.#resumeLater(pauseMs, transaction, resume);
      else if ('kind' in result.value) this.#waitForName(result.value, transaction, deadlineMs, resume);
      else this.#wait(result.value, transaction, deadlineMs, resume);
      this.#engine.findDeadlocks();
    };
    this.#abort = () => {};
    step(() => work.next());
  }

  /** Ends the session: what it had not committed is undone, also if a statement is running. */
  end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#engine.sessions.delete(this.id);
    const abort = this.#abort;
    this.#abort = undefined;
    abort?.();
    this.#rollback();
    this.#engine.userLocks.releaseAll(this.id);
    this.#engine.findDeadlocks();
  }

  /** KILL: the statement that waits ends, or in a moment the whole connection. */
  kill(what: 'connection' | 'query'): void {
    if (what === 'query') return this.#interrupt?.(interrupted());
    if (this.#isKilled) return;
    this.#isKilled = true;
    this.#engine.clock.setTimer(this.#engine.killDelayMs(), () => {
      if (this.#isEnded) return;
      this.end();
      this.onKilled('close');
    });
  }

  /** Waits for a lock, at most as long as the session says; `resume` gets the reason why it was in vain, if it was. */
  #wait(wait: LockWait, transaction: Transaction, deadlineMs: number, resume: (error?: SqlError) => void): void {
    const { clock } = this.#engine;
    const timers: Timer[] = [];
    const settle = (error?: SqlError) => {
      for (const timer of timers) timer.cancel();
      transaction.fail = undefined;
      this.#interrupt = undefined;
      if (error !== undefined) {
        wait.place.withdraw(transaction);
        transaction.wait = undefined;
      }
    };
    // As an event of its own: whoever made room goes on first, and of several that wait for one lock any may be faster.
    const later = (error?: SqlError) => {
      settle(error);
      this.#resumeLater(this.#engine.wakeDelayMs(), transaction, resume, error);
    };
    wait.onGranted = () => later();
    transaction.fail = later;
    this.#interrupt = later;
    this.#abort = () => {
      settle(lockWaitTimeout());
      transaction.rollback();
    };
    const victim = this.#engine.victimOf(transaction);
    if (victim !== undefined) victim.fail?.(deadlock());
    if (transaction.wait !== wait) return;
    const waitMs = this.variables.seconds(wait.place.index === undefined ? 'lock_wait_timeout' : 'innodb_lock_wait_timeout') * 1000;
    timers.push(clock.setTimer(waitMs, () => later(lockWaitTimeout())));
    if (deadlineMs < Infinity) timers.push(clock.setTimer(deadlineMs - clock.monotonicMs(), () => later(statementTimeout())));
  }

  #waitForName(
    { wait, timeoutMs }: TimedUserLockWait,
    transaction: Transaction,
    deadlineMs: number,
    resume: (error?: SqlError) => void,
  ): void {
    const { clock } = this.#engine;
    const timers: Timer[] = [];
    const settle = () => {
      for (const timer of timers) timer.cancel();
      wait.withdraw();
      this.#interrupt = undefined;
    };
    const later = (error?: SqlError) => {
      settle();
      this.#resumeLater(this.#engine.wakeDelayMs(), transaction, resume, error);
    };
    wait.onGranted = () => later();
    this.#interrupt = later;
    this.#abort = () => {
      settle();
      transaction.rollback();
    };
    timers.push(clock.setTimer(timeoutMs, () => later(lockWaitTimeout())));
    if (deadlineMs < Infinity) timers.push(clock.setTimer(deadlineMs - clock.monotonicMs(), () => later(statementTimeout())));
  }

  #resumeLater(delayMs: number, transaction: Transaction, resume: (error?: SqlError) => void, error?: SqlError): void {
    const timer = this.#engine.clock.setTimer(delayMs, () => resume(error));
    this.#abort = () => {
      timer.cancel();
      transaction.rollback();
    };
  }

  *#execute(statement: Statement, transaction: Transaction): Work<Answer> {
    if (statement.kind !== 'show warnings') this.#warnings = [];
    const start = transaction.length;
    try {
      const answer = yield* this.#dispatch(statement, transaction);
      transaction.takesDuplicates = false;
      if (this.#transaction !== transaction) this.#show(transaction);
      return answer;
    } catch (error) {
      if (!(error instanceof SqlError)) throw error;
      transaction.takesDuplicates = false;
      // A deadlock costs the transaction, every other failure only the statement.
      if (error.undoes === 'transaction' || this.#transaction !== transaction) {
        transaction.rollback();
        if (this.#transaction === transaction) this.#transaction = undefined;
      } else transaction.undoTo(start);
      return { kind: 'error', error };
    }
  }

  *#dispatch(statement: Statement, transaction: Transaction): Work<Answer> {
    if (takesLocks(statement)) this.#engine.mayFail();
    const context = new StatementContext(this.#surroundings(), transaction);
    for (const name of tablesOf(statement)) yield* useTable(this.#engine.table(name), transaction, 'S');
    switch (statement.kind) {
      case 'query':
        return { kind: 'rows', ...(yield* runQuery(yield* this.#withLocks(statement), context)) };
      case 'do':
        yield* runQuery(yield* this.#withLocks(statement.query), context);
        return this.#done();
      case 'insert':
        return this.#done(yield* this.#writing(runInsert(statement, context)));
      case 'update':
        return this.#done(yield* this.#writing(runUpdate(statement, context)));
      case 'delete':
        return this.#done(yield* this.#writing(runDelete(statement, context)));
      case 'begin':
        this.#commit();
        this.#transaction = new Transaction();
        return this.#done();
      case 'commit':
        this.#commit();
        return this.#done();
      case 'rollback':
        this.#rollback();
        return this.#done();
      case 'savepoint':
        this.#transaction?.setSavepoint(statement.name);
        return this.#done();
      case 'rollback to':
        if (this.#transaction?.rollbackTo(statement.name) !== true) throw noSavepoint(statement.name);
        return this.#done();
      case 'release':
        if (this.#transaction?.releaseSavepoint(statement.name) !== true) throw noSavepoint(statement.name);
        return this.#done();
      case 'set':
        return this.#set(statement);
      case 'show warnings':
        return {
          kind: 'rows',
          columns: ['Level', 'Code', 'Message'].map((name) => ({ name, type: name === 'Code' ? { kind: 'integer' } : TEXT })),
          rows: this.#warnings.map(({ errno, message }) => ['Warning', errno, message]),
        };
      case 'show variables':
        return this.#showVariables(statement);
      case 'create table':
        return this.#create(statement);
      case 'add column':
        return yield* this.#alter(statement, transaction);
      case 'kill': {
        const session = this.#engine.sessions.get(statement.id);
        if (session === undefined) throw noSuchThread(statement.id);
        session.kill(statement.what);
        if (session === this) throw statement.what === 'query' ? interrupted() : connectionKilled();
        return this.#done();
      }
    }
  }

  #withLocks(query: QueryStatement): Work<QueryStatement> {
    const { userLocks: locks } = this.#engine;
    return callLockFunctions(query, { sessionId: this.id, locks, scope: this.#constantScope('SELECT') });
  }

  /** For expressions that read no row. */
  #constantScope(clause: string): Scope {
    return { clause, column: () => undefined, variable: (name) => this.#variable(name), call: (name) => this.#call(name) };
  }

  #call(name: string): SqlValue | undefined {
    return name === 'VERSION' ? SERVER_VERSION : name === 'CONNECTION_ID' ? this.id : undefined;
  }

  *#writing(work: Work<Written>): Work<Written> {
    if (this.#engine.isReadOnly) throw readOnly();
    return yield* work;
  }

  /** A change of a definition ends the open transaction, and waits for those that use the table. */
  *#alter(statement: AddColumn, transaction: Transaction): Work<Answer> {
    if (this.#engine.isReadOnly) throw readOnly();
    this.#commit();
    yield* useTable(this.#engine.table(statement.table), transaction, 'X');
    this.#engine.addColumn(statement);
    return this.#done();
  }

  #create(statement: CreateTable): Answer {
    if (this.#engine.isReadOnly) throw readOnly();
    this.#commit();
    if (!this.#engine.create(statement)) this.#warnings.push(new SqlError(1050, '42S01', `Table '${statement.table}' already exists`));
    return this.#done();
  }

  #done(written: Written = NOTHING): Answer {
    return { kind: 'done', ...written, warnings: this.#warnings.length };
  }

  #commit(): void {
    const transaction = this.#transaction;
    this.#transaction = undefined;
    if (transaction === undefined) return;
    if (this.#engine.isReadOnly && transaction.hasChanges) {
      transaction.rollback();
      throw readOnly();
    }
    this.#show(transaction);
  }

  #show(transaction: Transaction): void {
    this.lastCommit = this.#engine.commit(transaction) ?? this.lastCommit;
  }

  #rollback(): void {
    this.#transaction?.rollback();
    this.#transaction = undefined;
  }

  #set({ assignments }: Extract<Statement, { kind: 'set' }>): Answer {
    for (const { scope, name, value } of assignments) {
      if (scope === 'global') throw new Error('SET GLOBAL is not simulated');
      if (value === 'default') this.variables.set(name, undefined);
      else {
        const given = compile(value, this.#constantScope('SET')).evaluate({ rows: [] });
        if (name === 'autocommit' && given !== 1) throw new Error('autocommit=0 is not simulated');
        this.variables.set(name, given);
      }
    }
    return this.#done();
  }

  #showVariables({ where }: Extract<Statement, { kind: 'show variables' }>): Answer {
    const columns = ['Variable_name', 'Value'].map((name) => ({ name, type: TEXT }));
    const rows = globalVariables(this.#engine.isReadOnly);
    if (where === undefined) return { kind: 'rows', columns, rows };
    const condition = compile(where, {
      clause: 'where clause',
      column: (_, name) => ({ source: 0, position: name.toLowerCase() === 'value' ? 1 : 0, type: TEXT }),
      variable: (name) => this.#variable(name),
    });
    return { kind: 'rows', columns, rows: rows.filter((row) => isTrue(condition.evaluate({ rows: [row] }))) };
  }

  #variable(name: string): SqlValue {
    return this.variables.get(name);
  }

  #surroundings(): Surroundings {
    const engine = this.#engine;
    return {
      database: engine.database,
      isFull: engine.isFull,
      readsTable: () => engine.readsTable(),
      table: (name) => engine.table(name),
      virtualTable: (schema, name) => engine.virtualTable(schema, name),
      catalogueAnswers: engine.catalogueAnswers,
      variable: (name) => this.#variable(name),
      call: (name) => this.#call(name),
      warn: (error) => void this.#warnings.push(error),
    };
  }
}

function takesLocks(statement: Statement): boolean {
  if (statement.kind === 'query') return statement.selects.some(({ lock }) => lock !== undefined);
  return statement.kind === 'insert' || statement.kind === 'update' || statement.kind === 'delete';
}

/** Holds a table's definition until the transaction ends: shared to use it, alone to change it. */
function* useTable(table: Table, transaction: Transaction, mode: 'S' | 'X'): Work<void> {
  transaction.hasJoined = true;
  for (;;) {
    const wait = table.definition.acquire(transaction, mode);
    if (wait === undefined) return;
    yield wait;
  }
}
