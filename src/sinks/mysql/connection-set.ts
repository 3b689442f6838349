import { SyncError } from '../../core/errors.ts';
import { Connection, type ConnectionSettings } from './connection.ts';

/** How many idle connections are kept; the slices of a thread that run at once need one each. */
const MAX_IDLE_CONNECTIONS = 8;
/**
 * How many pieces of work outside transactions have a connection at a time. A thousand clients that come back together ask
 * how far each of them is, and the database has connections for others, too.
 */
const MAX_USES = 8;
/** How many more wait in line. While a database stands still, whoever asks again and again must not pile up here. */
const MAX_WAITING_USES = 1_000;
/** An idle connection that has been silent for longer than this is pinged, ms. */
const PING_AFTER_MS = 4_000;

/**
 * The connections of one sink object. Each is in the hands of one owner or idle, and only one whose session is clean
 * (no open transaction, no statement without an answer) comes back to be idle.
 */
export class ConnectionSet {
  #settings: ConnectionSettings;
  #idle: Connection[] = [];
  readonly #taken = new Set<Connection>();
  /** Pieces of work of {@link use} under way, and those that wait their turn. */
  #uses = 0;
  readonly #waiting: (() => void)[] = [];
  #closed = false;

  constructor(settings: ConnectionSettings) {
    this.#settings = settings;
  }

  /** An idle connection, or a new one. */
  async take(): Promise<Connection> {
    const idle = this.takeIdle();
    return idle ?? (await this.takeNew());
  }

  takeIdle(): Connection | undefined {
    for (;;) {
      const connection = this.#idle.pop();
      if (connection === undefined) return undefined;
      if (!connection.alive) continue;
      this.#taken.add(connection);
      return connection;
    }
  }

  async takeNew(): Promise<Connection> {
    this.#mustBeOpen();
    const connection = await Connection.open(this.#settings);
    if (this.#closed) connection.destroy();
    this.#mustBeOpen();
    this.#taken.add(connection);
    return connection;
  }

  /** Takes back a connection with a clean session. */
  give(connection: Connection): void {
    this.#taken.delete(connection);
    if (connection.alive && !this.#closed && this.#idle.length < MAX_IDLE_CONNECTIONS) this.#idle.push(connection);
    else connection.destroy();
  }

  /** Ends a connection whose session is in doubt. */
  drop(connection: Connection): void {
    this.#taken.delete(connection);
    connection.destroy();
  }

  /**
   * Runs `work` outside any transaction of the caller, {@link MAX_USES} at a time; the rest waits in line. On an idle
   * connection that turns out to be dead it runs again on a new one, so `work` must be repeatable, and must not use
   * another connection itself.
   * @throws {SyncError} `sink_busy` when {@link MAX_WAITING_USES} wait already.
   */
  async use<T>(work: (connection: Connection) => Promise<T>): Promise<T> {
    if (this.#waiting.length >= MAX_WAITING_USES)
      throw new SyncError('sink_busy', `${MAX_WAITING_USES} questions wait for the database; it answers slowly or not at all`);
    if (this.#uses < MAX_USES) this.#uses++;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await this.#useNow(work);
    } finally {
      // Whoever is next takes the place over.
      const next = this.#waiting.shift();
      if (next !== undefined) next();
      else this.#uses--;
    }
  }

  async #useNow<T>(work: (connection: Connection) => Promise<T>): Promise<T> {
    const idle = this.takeIdle();
    if (idle !== undefined) {
      try {
        const result = await work(idle);
        this.give(idle);
        return result;
      } catch (error) {
        const lost = !idle.alive;
        this.drop(idle);
        if (!lost) throw error;
      }
    }
    const connection = await this.takeNew();
    try {
      const result = await work(connection);
      this.give(connection);
      return result;
    } catch (error) {
      this.drop(connection);
      throw error;
    }
  }

  /** Opens connections with these from now on; idle ones are closed, taken ones stay. */
  useAccess(access: Pick<ConnectionSettings, 'address' | 'tls'>): void {
    this.#settings = { ...this.#settings, ...access };
    for (const connection of this.#idle.splice(0)) connection.destroy();
  }

  async keepAlive(): Promise<void> {
    const before = this.#settings.clock.monotonicMs() - PING_AFTER_MS;
    const silent = this.#idle.filter((connection) => connection.lastUsedMs <= before);
    this.#idle = this.#idle.filter((connection) => connection.alive && !silent.includes(connection));
    await Promise.all(
      silent.map(async (connection) => {
        this.#taken.add(connection);
        try {
          await connection.ping();
          this.give(connection);
        } catch {
          // It is gone; the next owner opens another and meets the reason.
          this.drop(connection);
        }
      }),
    );
  }

  close(): void {
    this.#closed = true;
    for (const connection of [...this.#idle, ...this.#taken]) connection.destroy();
    this.#idle = [];
    this.#taken.clear();
  }

  #mustBeOpen(): void {
    if (this.#closed) throw new SyncError('sink_unavailable', 'the sink is closed');
  }
}
