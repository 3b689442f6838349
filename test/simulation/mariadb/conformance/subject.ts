import { setTimeout as delay } from 'node:timers/promises';
import type { Driver } from '../../../../src/sinks/mysql/connection.ts';
import { parseAddress } from '../../../../src/sinks/mysql/address.ts';
import { dialMysql } from '../../../../src/sinks/mysql/driver.ts';
import { sessionSetup } from '../../../../src/sinks/mysql/session.ts';
import type { MariadbServer } from '../../../support/mariadb-server.ts';
import { query, SimHarness } from '../sim-harness.ts';

/** A database that scripts run against, simulated or real. Made anew for each script. */
export interface Subject {
  /** A connection with the session of the sink. */
  connect(): Promise<Driver>;
  /** Resolves when every statement without an answer waits for a lock; `unanswered` counts them. */
  quiet(unanswered: () => number): Promise<void>;
  /** Resolves when the connection is gone that KILL was told of. */
  ended(connectionId: number): Promise<void>;
  /** Resolves when `isDone`, however long locks are waited for. */
  until(isDone: () => boolean): Promise<void>;
  close(): Promise<void>;
}

/** The session of the sink, with the patience that a busy machine needs. */
function setupOf(driver: Driver): readonly string[] {
  return [
    sessionSetup(driver.serverVersion, 600_000),
    'SET SESSION innodb_lock_wait_timeout=300,lock_wait_timeout=300,wait_timeout=600,idle_transaction_timeout=0',
  ];
}

/** So many that an id is no number that something else gives. */
const EARLIER_CONNECTIONS = 5;

export async function simulatedSubject(tables: readonly string[], seed: number): Promise<Subject> {
  const world = new SimHarness(tables, seed, { minPurgeMs: Infinity, pauseChance: 0.3 });
  for (let i = 0; i < EARLIER_CONNECTIONS; i++) await world.connect();
  return {
    async connect() {
      const driver = await world.connect();
      for (const sql of setupOf(driver)) await world.settled(query(driver, sql));
      return driver;
    },
    // Much longer than a statement takes, much shorter than a lock is waited for.
    quiet: () => world.pass(50),
    ended: () => world.pass(50),
    async until(isDone) {
      while (!isDone()) await world.pass(100);
    },
    close: async () => {},
  };
}

/** How many wait for the lock of a name. */
const NAMED_WAITS = "SELECT COUNT(*) FROM information_schema.processlist WHERE STATE='User lock'";

let databases = 0;

export async function realSubject(server: MariadbServer, tables: readonly string[]): Promise<Subject> {
  const database = `conformance_${++databases}`;
  await server.query(`CREATE DATABASE ${database} CHARACTER SET utf8mb4`);
  await server.query(['SELECT 1', ...tables], database);
  const address = parseAddress(server.url(database));
  const observer = await dialMysql(address, undefined);
  // Nothing that it may still see is purged: when purges happen is the one thing that no script decides.
  await query(observer, 'START TRANSACTION WITH CONSISTENT SNAPSHOT');
  const drivers: Driver[] = [observer];
  return {
    async connect() {
      const driver = await dialMysql(address, undefined);
      drivers.push(driver);
      for (const sql of setupOf(driver)) await query(driver, sql);
      return driver;
    },
    async quiet(unanswered) {
      // Twice, because a wait is on record for a moment before it is seen to close a circle.
      for (let still = 0; unanswered() > 0 && still < 2;) {
        await delay(1);
        const before = unanswered();
        const [row] = (await query(observer, 'SHOW ENGINE INNODB STATUS')) as string[][];
        // What comes before it tells of the latest deadlock.
        const [, transactions = ''] = row?.[2]?.split('\nTRANSACTIONS\n') ?? [];
        const [[named] = []] = (await query(observer, NAMED_WAITS)) as (string | number)[][];
        const waits = (transactions.match(/^LOCK WAIT /gm)?.length ?? 0) + Number(named);
        still = waits === before && unanswered() === before ? still + 1 : 0;
      }
    },
    async ended(connectionId) {
      const find = `SELECT ID FROM information_schema.processlist WHERE ID=${connectionId}`;
      while (((await query(observer, find)) as unknown[]).length > 0) await delay(1);
    },
    async until(isDone) {
      while (!isDone()) await delay(10);
    },
    async close() {
      for (const driver of drivers) driver.destroy();
      await server.query(`DROP DATABASE ${database}`);
    },
  };
}
