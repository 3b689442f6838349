import type { Clock } from '../../core/clock.ts';
import { SyncError } from '../../core/errors.ts';
import type { Address, MysqlTls } from './address.ts';
import { dialMysql } from './driver.ts';
import { endsConnection, failureOf, type Subject } from './errors.ts';
import { markConnection } from './fence.ts';
import { readFacts, sessionSetup, type ServerFacts } from './session.ts';

/** How to reach the database. */
export interface ConnectionSettings {
  readonly address: Address;
  readonly tls: MysqlTls | undefined;
  readonly clock: Clock;
  /** How long one statement may take before its connection is given up, ms. */
  readonly statementTimeoutMs: number;
  /** Whose connections these are, for whoever has to end them. */
  readonly incarnation?: string | undefined;
  /** The driver; the real one when it is left out. */
  readonly dial?: Dial | undefined;
  /** Called when one of Syncline's own tables is missing; gives what is to be added to the message. */
  readonly onMissingTable?: (() => string) | undefined;
}

/** Connects and authenticates. Rejects with the driver's error. */
export type Dial = (address: Address, tls: MysqlTls | undefined) => Promise<Driver>;

/**
 * What a connection needs of the driver, as mysql2 has it. Errors that the server sent carry `errno` and `sqlState`;
 * others mean that the connection is lost.
 */
export interface Driver {
  /** As the server gave it in the handshake. */
  readonly serverVersion: string;
  /** Gives the rows of a SELECT as arrays, or what a statement did. */
  query(sql: string, done: (error: unknown, result: unknown) => void): void;
  ping(done: (error: unknown) => void): void;
  /** Calls `lost` when the connection has ended or broken, with the reason if there is one. */
  onLost(lost: (error: unknown) => void): void;
  /** Ends the connection at once. */
  destroy(): void;
}

/** One row, its columns in the order of the SELECT. Numbers beyond 32 bits, decimals and dates are strings. */
export type SqlRow = readonly (string | number | Buffer | null)[];

export interface Outcome {
  /** Rows that an UPDATE matched or an INSERT or a DELETE touched. */
  readonly affectedRows: number;
  readonly warnings: number;
}

/**
 * One connection with a session of known settings, used by one owner at a time for one statement at a time.
 * Every statement has a deadline; when it passes, or the connection breaks, the connection is dead for good and the
 * statement rejects with `sink_unavailable`. Whether a statement that had no answer took effect is then unknown.
 */
export class Connection {
  readonly #driver: Driver;
  readonly #settings: ConnectionSettings;
  #dead = false;
  #abandon: ((error: SyncError) => void) | undefined;
  #facts: ServerFacts | undefined;
  /** When it last answered, monotonic ms. */
  lastUsedMs: number;

  private constructor(driver: Driver, settings: ConnectionSettings) {
    this.#driver = driver;
    this.#settings = settings;
    this.lastUsedMs = settings.clock.monotonicMs();
    driver.onLost((error) => this.#die(lost(error, settings)));
  }

  static async open(settings: ConnectionSettings): Promise<Connection> {
    const driver = await connect(settings);
    const connection = new Connection(driver, settings);
    try {
      await connection.run(sessionSetup(driver.serverVersion, settings.statementTimeoutMs));
      if (settings.incarnation !== undefined) await markConnection(connection, settings.incarnation);
      connection.#facts = await readFacts(connection);
      return connection;
    } catch (error) {
      connection.destroy();
      throw error;
    }
  }

  get alive(): boolean {
    return !this.#dead;
  }

  get facts(): ServerFacts {
    if (this.#facts === undefined) throw new Error('the connection is not open yet');
    return this.#facts;
  }

  /** Runs a SELECT. */
  async rows(sql: string, subject?: Subject): Promise<SqlRow[]> {
    const result = await this.#query(sql, subject);
    if (!Array.isArray(result)) throw new Error('a statement that should give rows gave none');
    return result as SqlRow[];
  }

  /** Runs a statement that gives no rows. */
  async run(sql: string, subject?: Subject): Promise<Outcome> {
    const result = (await this.#query(sql, subject)) as { affectedRows: unknown; warningStatus?: number };
    return { affectedRows: Number(result.affectedRows), warnings: result.warningStatus ?? 0 };
  }

  async ping(): Promise<void> {
    await this.#exchange((done) => this.#driver.ping((error) => done(error, undefined)));
  }

  /** Ends the connection at once; the server undoes what was not committed. */
  destroy(): void {
    this.#die(new SyncError('sink_unavailable', 'the connection to the database was closed'));
  }

  #query(sql: string, subject: Subject | undefined): Promise<unknown> {
    return this.#exchange((done) => this.#driver.query(sql, done), subject);
  }

  #exchange(send: (done: (error: unknown, result: unknown) => void) => void, subject?: Subject): Promise<unknown> {
    const { clock, statementTimeoutMs } = this.#settings;
    return new Promise((resolve, reject) => {
      if (this.#dead) return reject(lost(undefined, this.#settings));
      if (this.#abandon !== undefined) throw new Error('a connection was given two statements at once');
      const timer = clock.setTimer(statementTimeoutMs, () =>
        this.#die(new SyncError('sink_unavailable', `the database did not answer within ${statementTimeoutMs} ms`)),
      );
      const settle = (): boolean => {
        if (this.#abandon === undefined) return false;
        this.#abandon = undefined;
        timer.cancel();
        return true;
      };
      this.#abandon = (error) => {
        if (settle()) reject(error);
      };
      send((error, result) => {
        if (!settle()) return;
        this.lastUsedMs = clock.monotonicMs();
        if (!error) return resolve(result);
        const failure = isServerError(error) ? failureOf(error, subject, this.#settings.onMissingTable) : lost(error, this.#settings);
        if (!isServerError(error) || endsConnection(error)) this.#die(failure);
        reject(failure);
      });
    });
  }

  #die(error: SyncError): void {
    if (this.#dead) return;
    this.#dead = true;
    this.#driver.destroy();
    this.#abandon?.(error);
  }
}

async function connect(settings: ConnectionSettings): Promise<Driver> {
  const { dial = dialMysql, address, tls } = settings;
  try {
    return await dial(address, tls);
  } catch (error) {
    if (error instanceof SyncError) throw error;
    throw isServerError(error) ? failureOf(error) : lost(error, settings);
  }
}

interface DriverError {
  readonly errno: number;
  readonly sqlState: string;
  readonly message: string;
}

/** Errors that the server sent have a positive number and an SQLSTATE; those of the network have neither. */
function isServerError(error: unknown): error is DriverError {
  const { errno, sqlState, message } = error as Partial<DriverError>;
  return typeof errno === 'number' && errno > 0 && typeof message === 'string' && (typeof sqlState === 'string' || errno < 4200);
}

/** Neither the driver's error nor its statement travels on: they hold row contents. */
function lost(error: unknown, { address }: ConnectionSettings): SyncError {
  const { code, message } = (error ?? {}) as { code?: string; message?: string };
  const reason = code ?? message;
  const where = address.socket ?? `${address.host}:${address.port}`;
  const detail =
    code !== undefined && /^(HANDSHAKE|AUTH|ERR_|CERT|UNABLE|SELF|DEPTH)/.test(code) && message ? `${code}: ${message}` : reason;
  return new SyncError('sink_unavailable', `the connection to the database at ${where} is lost${detail ? ` (${detail})` : ''}`);
}
