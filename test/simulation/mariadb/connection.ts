import type { Timer } from '../../../src/core/clock.ts';
import type { SqlRow } from '../../../src/sinks/mysql/connection.ts';
import type { SeededRandom } from '../../support/seeded-random.ts';
import type { Wire } from '../world/wire.ts';
import type { Engine } from './engine.ts';
import type { Reply, Request } from './messages.ts';
import type { Answer, Session } from './session.ts';
import { SqlError } from './sql-error.ts';
import type { SqlValue, ValueType } from './values.ts';
import { SERVER_VERSION } from './variables.ts';

/** How long things take. */
export interface Pace {
  readonly minStatementMs: number;
  readonly maxStatementMs: number;
  /** How long a commit that others see is not durable yet, and has no answer. */
  readonly minFlushMs: number;
  readonly maxFlushMs: number;
  /** How often a statement lets others run between two of its rows. */
  readonly pauseChance: number;
  /** How often a statement with several keys and without a hint reads the whole table. */
  readonly scanChance: number;
  /** How long deleted records stay in their indexes, where they are locked like others; Infinity is for ever. */
  readonly minPurgeMs: number;
  readonly maxPurgeMs: number;
}

/** When a connection breaks at its COMMIT. */
export type CommitCut = 'before' | 'after' | 'answer';

export interface ConnectionParts {
  readonly wire: Wire;
  /** The host at the other end. */
  readonly from: string;
  readonly engine: Engine;
  readonly random: SeededRandom;
  readonly pace: Pace;
  /** Whether there are too many already. */
  readonly isCrowded: boolean;
  /** What is to happen to a COMMIT that comes now. */
  takeCut(): CommitCut | undefined;
  onEnd(): void;
}

/** How long a client may take to log in. */
const LOGIN_TIMEOUT_MS = 10_000;
/** Characters of a statement that the server reads in a millisecond. */
const CHARACTERS_PER_MS = 200_000;

/**
 * The server's end of a connection. A client that goes away is noticed between two statements only, and one that falls
 * silent when the timeouts of its session have passed.
 */
export class ServerConnection {
  readonly #parts: ConnectionParts;
  #session: Session | undefined;
  #isBusy = false;
  #isGone = false;
  #lastMs = 0;
  /** Statements that have arrived. */
  statementCount = 0;
  #idle: { readonly dueMs: number; readonly timer: Timer } | undefined;

  constructor(parts: ConnectionParts) {
    this.#parts = parts;
  }

  get from(): string {
    return this.#parts.from;
  }

  start(): void {
    const { wire, isCrowded } = this.#parts;
    wire.open({
      message: (message) => this.#receive(message as Request),
      closed: () => this.#peerIsGone(),
    });
    this.#after(LOGIN_TIMEOUT_MS, () => {
      if (this.#session !== undefined || this.#isGone) return;
      this.#end();
      wire.close();
    });
    this.#after(this.#statementMs(0), () => {
      if (!isCrowded) return this.#send({ kind: 'greeting', serverVersion: SERVER_VERSION });
      this.#refuse(new SqlError(1040, '08004', 'Too many connections'));
    });
  }

  /** Ends it at once, as a reset. */
  break(): void {
    this.#end();
    this.#parts.wire.reset();
  }

  #receive(request: Request): void {
    if (this.#isBusy) throw new Error('a client sent two requests at once');
    // What comes after the KILL is not run any more.
    if (this.#session?.isKilled === true) return;
    this.#isBusy = true;
    if (request.kind === 'query') this.statementCount++;
    const isCommit = request.kind === 'query' && request.sql === 'COMMIT';
    this.#after(this.#statementMs(request.kind === 'query' ? request.sql.length : 0), () => {
      const cut = isCommit ? this.#parts.takeCut() : undefined;
      if (cut === 'before') return this.break();
      if (request.kind === 'query') return this.#query(request.sql, cut);
      if (request.kind === 'login') return this.#login(request.database);
      this.#reply({ kind: 'ok' });
    });
  }

  #login(database: string): void {
    const { engine } = this.#parts;
    if (database !== engine.database) return this.#refuse(new SqlError(1049, '42000', `Unknown database '${database}'`));
    this.#session = engine.connect();
    this.#session.onKilled = (how) => {
      if (how === 'break') return this.break();
      this.#end();
      this.#parts.wire.close();
    };
    this.#reply({ kind: 'ok' });
  }

  #query(sql: string, cut: CommitCut | undefined): void {
    const { engine } = this.#parts;
    const session = this.#session;
    if (session === undefined) throw new Error('a statement comes before the login');
    const maxBytes = Number(session.variables.get('max_allowed_packet'));
    if (sql.length * 3 > maxBytes && Buffer.byteLength(sql) > maxBytes) {
      return this.#refuse(new SqlError(1153, '08S01', "Got a packet bigger than 'max_allowed_packet' bytes"));
    }
    session.run(sql, (answer) => {
      if (cut === 'after') return this.break();
      engine.log.whenDurable(session.lastCommit, () => {
        if (!engine.sessions.has(session.id)) return;
        this.#reply(replyOf(answer));
        if (cut === 'answer') this.break();
      });
    });
  }

  #reply(reply: Reply): void {
    this.#isBusy = false;
    if (this.#isGone) return this.#end();
    this.#send(reply);
    this.#lastMs = this.#parts.engine.clock.monotonicMs();
    this.#watchSilence();
  }

  #refuse(error: SqlError): void {
    this.#send(replyOf({ kind: 'error', error }));
    this.#end();
    this.#parts.wire.close();
  }

  #send(reply: Reply): void {
    this.#parts.wire.send(reply, 1);
  }

  #peerIsGone(): void {
    this.#isGone = true;
    if (!this.#isBusy) this.#end();
  }

  #end(): void {
    this.#isGone = true;
    this.#idle?.timer.cancel();
    this.#idle = undefined;
    this.#session?.end();
    this.#parts.onEnd();
  }

  /** Has a timer that fires no later than the session may be silent. */
  #watchSilence(): void {
    const dueMs = this.#lastMs + this.#silenceMs();
    if (this.#idle !== undefined && this.#idle.dueMs <= dueMs) return;
    this.#idle?.timer.cancel();
    const { clock } = this.#parts.engine;
    const timer = clock.setTimer(dueMs - clock.monotonicMs(), () => {
      this.#idle = undefined;
      // The reply begins to watch again.
      if (this.#isGone || this.#isBusy) return;
      // More than a rounding error to go.
      if (this.#lastMs + this.#silenceMs() - clock.monotonicMs() > 1) return this.#watchSilence();
      this.#end();
      this.#parts.wire.close();
    });
    this.#idle = { dueMs, timer };
  }

  #silenceMs(): number {
    const variables = this.#session?.variables;
    if (variables === undefined) return Infinity;
    const wait = variables.seconds('wait_timeout');
    const transaction = variables.seconds('idle_transaction_timeout');
    return 1000 * (this.#session?.isInTransaction === true && transaction > 0 ? Math.min(wait, transaction) : wait);
  }

  #after(delayMs: number, run: () => void): void {
    const { engine } = this.#parts;
    engine.clock.setTimer(delayMs, () => {
      // Ended in between, by KILL or a restored backup.
      if (this.#session !== undefined && !engine.sessions.has(this.#session.id)) return;
      run();
    });
  }

  #statementMs(characters: number): number {
    const { random, pace } = this.#parts;
    return pace.minStatementMs + random.fraction() * (pace.maxStatementMs - pace.minStatementMs) + characters / CHARACTERS_PER_MS;
  }
}

function replyOf(answer: Answer): Reply {
  switch (answer.kind) {
    case 'rows': {
      const types = answer.columns.map(({ type }) => type);
      return { kind: 'rows', rows: answer.rows.map((row) => row.map((value, i) => sent(value, types[i] as ValueType))) };
    }
    case 'done':
      return { kind: 'done', affectedRows: answer.affectedRows, insertId: answer.insertId, warnings: answer.warnings };
    case 'error': {
      const { errno, sqlState, message } = answer.error;
      return { kind: 'error', errno, sqlState, message };
    }
  }
}

/** A value as the driver gives it: what may not fit into a number is text. */
function sent(value: SqlValue, type: ValueType): SqlRow[number] {
  if (typeof value === 'bigint') return String(value);
  return typeof value === 'number' && (type.kind === 'decimal' || type.wide === true) ? String(value) : value;
}
