import type { Driver } from '../../../../src/sinks/mysql/connection.ts';
import type { Subject } from './subject.ts';

/** What is about ids of connections. */
const NAMES_IDS = /\{\d\}|CONNECTION_ID|_LOCK|processlist/;

/**
 * Statements on several sessions: `[1, 'COMMIT']`; `wait` lets all waits end, by timeout if need be. `{1}` in a statement is
 * the id of the connection of session 1, and is masked as such in what comes of it.
 */
export type Step = readonly [session: number, sql: string] | 'wait';

export interface Script {
  readonly tables: readonly string[];
  readonly steps: readonly Step[];
}

/** What one step did: answers of its session and of others that went on because of it, or that it waits. */
export type Trace = readonly string[];

/**
 * Runs a script and writes down what every session saw. A step whose session still waits is left out. In the end all
 * transactions that are open are rolled back, in the order of their sessions, and the tables are read.
 */
export async function runScript({ tables, steps }: Script, subject: Subject): Promise<Trace> {
  const sessions: Session[] = [];
  const trace: string[] = [];
  const record = () => {
    for (const [i, session] of sessions.entries()) for (const answer of session.takeAnswers()) trace.push(`  ${i}: ${answer}`);
  };
  const unanswered = () => sessions.filter((session) => session.isWaiting).length;
  const run = async (session: Session, sql: string) => {
    session.start(sql);
    const killed = /^KILL (?:CONNECTION )?(\d+)$/.exec(sql)?.[1];
    if (killed !== undefined) await subject.ended(Number(killed));
    await subject.quiet(unanswered);
    record();
  };
  const count = Math.max(...steps.map((step) => (step === 'wait' ? 0 : step[0]))) + 1;
  const ids: number[] = [];
  const hasIds = steps.some((step) => step !== 'wait' && NAMES_IDS.test(step[1]));
  for (let i = 0; i < count; i++) {
    const driver = await subject.connect();
    sessions.push(new Session(driver, ids));
    if (hasIds) await subject.until(identified(driver, ids));
  }
  for (const step of steps) {
    if (step === 'wait') {
      trace.push('wait');
      await subject.until(() => unanswered() === 0);
      record();
      continue;
    }
    const [number, sql] = step;
    const session = sessions[number] as Session;
    trace.push(`${number}: ${sql}`);
    if (session.isWaiting) trace.push(`  ${number}: still waits`);
    else
      await run(
        session,
        sql.replaceAll(/\{(\d)\}/g, (_, i: string) => String(ids[Number(i)])),
      );
    if (session.isWaiting) trace.push(`  ${number}: waits`);
  }
  trace.push('the end');
  while (unanswered() > 0) for (const session of sessions) if (!session.isWaiting) await run(session, 'ROLLBACK');
  for (const session of sessions) await run(session, 'ROLLBACK');
  for (const table of tables) {
    const name = /^CREATE TABLE (\w+)/.exec(table)?.[1] ?? '';
    const reader = sessions[0] as Session;
    await run(reader, `SELECT * FROM ${name} ORDER BY 1,2`);
  }
  return trace;
}

/** Asks for the id of a connection. */
function identified(driver: Driver, ids: number[]): () => boolean {
  const { length } = ids;
  driver.query('SELECT CONNECTION_ID()', (_, rows) => ids.push(Number((rows as number[][])[0]?.[0])));
  return () => ids.length > length;
}

class Session {
  readonly #driver: Driver;
  /** Of the connections of all sessions, if any statement is about them. */
  readonly #ids: readonly number[];
  #answers: string[] = [];
  isWaiting = false;

  constructor(driver: Driver, ids: readonly number[]) {
    this.#driver = driver;
    this.#ids = ids;
  }

  start(sql: string): void {
    this.isWaiting = true;
    this.#driver.query(sql, (error, result) => {
      this.isWaiting = false;
      this.#answers.push(error instanceof Error ? refusal(error) : outcome(this.#masked(sql, result)));
    });
  }

  /** Ids are whatever they are. */
  #masked(sql: string, result: unknown): unknown {
    if (!Array.isArray(result) || !NAMES_IDS.test(sql)) return result;
    const mask = (value: unknown) => {
      const session = this.#ids.indexOf(Number(value));
      return session < 0 ? value : `session ${session}`;
    };
    return (result as unknown[][]).map((row) => row.map(mask));
  }

  takeAnswers(): string[] {
    const answers = this.#answers;
    this.#answers = [];
    return answers;
  }
}

function refusal(error: Error): string {
  const { errno, sqlState, code, message } = error as { errno?: number; sqlState?: string; code?: string; message: string };
  if (sqlState === undefined) return `lost: ${code ?? message}`;
  // Each script has a database of its own name; and versions differ in how they name the clause of an unknown column.
  const plain = message
    .replaceAll(/conformance_\d+/g, 'd')
    .replace(/^(Unknown column '.*') in '[\w ]+'$/, '$1')
    .replace(/(?<=^Unknown thread id: )\d{1,5}$/, 'n');
  return `error ${errno} ${sqlState}: ${plain}`;
}

function outcome(result: unknown): string {
  if (Array.isArray(result)) return `rows ${JSON.stringify(result)}`;
  const { affectedRows, warningStatus, insertId } = result as { affectedRows: number; warningStatus: number; insertId: number };
  return `affected ${affectedRows}, warnings ${warningStatus}, insert id ${insertId}`;
}
