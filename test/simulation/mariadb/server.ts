import type { SeededRandom } from '../../support/seeded-random.ts';
import type { Host } from '../world/host.ts';
import type { Network } from '../world/network.ts';
import type { Wire } from '../world/wire.ts';
import { ServerConnection, type CommitCut, type Pace } from './connection.ts';
import { Engine, type Effect, type NamedRow, type Snapshot } from './engine.ts';
import { deadlock, lockWaitTimeout, noSuchThread } from './sql-error.ts';

export interface SimMariadbOptions {
  readonly host: Host;
  readonly network: Network;
  readonly random: SeededRandom;
  /** Under which clients dial it. */
  readonly service: string;
  /** The one database that it has. */
  readonly database: string;
  readonly pace?: Partial<Pace>;
  readonly maxConnections?: number;
}

const DEFAULT_PACE: Pace = {
  minStatementMs: 0.05,
  maxStatementMs: 0.5,
  minFlushMs: 0.1,
  maxFlushMs: 1,
  pauseChance: 0.05,
  scanChance: 0.25,
  minPurgeMs: 5,
  maxPurgeMs: 1_000,
};

const MAX_WAKE_MS = 0.1;
const MAX_PAUSE_MS = 0.2;
const MAX_KILL_MS = 10;
/** Now and then a disk takes much longer. */
const SLOW_FLUSH_CHANCE = 0.05;
const SLOW_FLUSH_FACTOR = 30;

/**
 * A MariaDB server on a simulated machine. A commit that was answered stays, whatever happens to the process; `host` may also be
 * crashed, paused and resumed directly.
 */
export class SimMariadb {
  readonly host: Host;
  readonly service: string;
  readonly database: string;
  readonly #engine: Engine;
  readonly #network: Network;
  readonly #random: SeededRandom;
  readonly #pace: Pace;
  readonly #maxConnections: number;
  readonly #connections = new Set<ServerConnection>();
  #cut: CommitCut | undefined;

  constructor(options: SimMariadbOptions) {
    this.host = options.host;
    this.service = options.service;
    this.database = options.database;
    this.#network = options.network;
    this.#random = options.random;
    this.#pace = { ...DEFAULT_PACE, ...options.pace };
    const { minPurgeMs, maxPurgeMs } = this.#pace;
    this.#engine = new Engine(options.database, {
      // None half of the time, so that what is clear stays clear.
      weightUncertainty: () => Math.max(0, this.#random.below(8) - 4),
      readsTable: () => this.#random.chance(this.#pace.scanChance),
      pauseMs: () => (this.#random.chance(this.#pace.pauseChance) ? this.#random.fraction() * MAX_PAUSE_MS : 0),
      killMs: () => this.#random.fraction() * MAX_KILL_MS,
      flushMs: () => {
        const { minFlushMs, maxFlushMs } = this.#pace;
        const factor = this.#random.chance(SLOW_FLUSH_CHANCE) ? SLOW_FLUSH_FACTOR : 1;
        return factor * (minFlushMs + this.#random.fraction() * (maxFlushMs - minFlushMs));
      },
      wakeMs: () => this.#random.fraction() * MAX_WAKE_MS,
      purgeMs: () => (minPurgeMs === Infinity ? undefined : minPurgeMs + this.#random.fraction() * (maxPurgeMs - minPurgeMs)),
    });
    this.#maxConnections = options.maxConnections ?? 151;
  }

  /** Starts the process, which then accepts connections. */
  boot(): void {
    const clock = this.host.boot();
    this.#engine.start(clock);
    this.host.onCrash.add(() => {
      this.#connections.clear();
      this.#engine.stop();
    });
    this.#network.listen(this.host, this.service, (wire, from) => this.#accept(wire, from));
  }

  /** Ends the process without warning. Open transactions are gone. */
  kill(): void {
    this.host.crash();
  }

  /** Creates a table from a CREATE TABLE statement, whether the process runs or not. */
  define(sql: string): void {
    this.#engine.define(sql);
  }

  /** The durable rows of a table, in the order of its key: whole numbers as numbers (bigint beyond 2^53), bytes as Buffer, time as text. */
  read(table: string): NamedRow[] {
    return this.#engine.read(table);
  }

  /** Every change of a row that ever became durable, in the order of commits; only grows, also when a backup is restored. */
  get effects(): readonly Effect[] {
    return this.#engine.log.effects;
  }

  /** The number of the last commit that changed anything. */
  get commitCount(): number {
    return this.#engine.commitCount;
  }

  /** Connections that have logged in, by the id that KILL takes. */
  get sessionIds(): readonly number[] {
    return [...this.#engine.sessions.keys()];
  }

  /** How many connections from a host have been sent so many statements at least. */
  connectionCount(from: string, statements: number): number {
    return [...this.#connections].filter((connection) => connection.from === from && connection.statementCount >= statements).length;
  }

  setReadOnly(state: 'on' | 'off'): void {
    this.#engine.isReadOnly = state === 'on';
  }

  /** With a full disk nothing can be inserted or updated: error 1114. */
  setFull(state: 'on' | 'off'): void {
    this.#engine.isFull = state === 'on';
  }

  snapshot(): Snapshot {
    return this.#engine.snapshot();
  }

  /** Puts an older state in place of what there is, as a backup does. All connections break. */
  restore(snapshot: Snapshot): void {
    for (const connection of this.#connections) connection.break();
    for (const session of [...this.#engine.sessions.values()]) session.end();
    this.#engine.restore(snapshot);
  }

  /** The next COMMIT breaks its connection: before it takes effect, after it but without an answer, or as the answer is sent. */
  cutAtCommit(moment: CommitCut): void {
    this.#cut = moment;
  }

  /**
   * Makes one statement that takes locks fail as busy: the first from now when `skip` is 0. A deadlock undoes its
   * transaction, a lock that was waited for in vain the statement only.
   */
  failStatement(reason: 'deadlock' | 'lock wait', skip: number = 0): void {
    this.#engine.failures.push({ skip, error: reason === 'deadlock' ? deadlock() : lockWaitTimeout() });
  }

  /** Breaks a connection at once, also one that waits for a lock: as KILL does when the news of it is lost on the way. */
  killSession(id: number): void {
    const session = this.#engine.sessions.get(id);
    if (session === undefined) throw noSuchThread(id);
    session.end();
    session.onKilled('break');
  }

  #accept(wire: Wire, from: string): void {
    const connection = new ServerConnection({
      wire,
      from,
      engine: this.#engine,
      random: this.#random,
      pace: this.#pace,
      isCrowded: this.#connections.size >= this.#maxConnections,
      takeCut: () => {
        const cut = this.#cut;
        this.#cut = undefined;
        return cut;
      },
      onEnd: () => void this.#connections.delete(connection),
    });
    this.#connections.add(connection);
    connection.start();
  }
}
