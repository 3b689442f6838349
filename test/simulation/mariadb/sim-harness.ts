import type { Clock } from '../../../src/core/clock.ts';
import { parseAddress } from '../../../src/sinks/mysql/address.ts';
import type { Dial, Driver } from '../../../src/sinks/mysql/connection.ts';
import { openMysqlSink, type MysqlOptions } from '../../../src/sinks/mysql/mysql.ts';
import type { Sink } from '../../../src/sinks/sink.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { Host } from '../world/host.ts';
import { Network } from '../world/network.ts';
import { Timeline } from '../world/timeline.ts';
import type { Pace } from './connection.ts';
import { createDial } from './dial.ts';
import { SimMariadb } from './server.ts';

const URL = 'mysql://root@mariadb/d';

/** A simulated MariaDB with one client machine, for tests of the database itself. */
export class SimHarness {
  readonly timeline = new Timeline();
  readonly network: Network;
  readonly client: Host;
  readonly clock: Clock;
  readonly mariadb: SimMariadb;
  readonly dial: Dial;
  readonly address = parseAddress(URL);

  constructor(tables: readonly string[] = [], seed: number = 1, pace: Partial<Pace> = {}) {
    const random = new SeededRandom(seed);
    this.network = new Network(this.timeline, random);
    this.client = new Host('node', this.timeline);
    this.clock = this.client.boot();
    this.mariadb = new SimMariadb({
      host: new Host('db', this.timeline),
      network: this.network,
      random,
      service: 'mariadb',
      database: 'd',
      pace,
    });
    for (const table of tables) this.mariadb.define(table);
    this.mariadb.boot();
    this.dial = createDial(this.client, this.clock, this.network, 'mariadb');
  }

  openSink(options: Partial<MysqlOptions> = {}): Sink {
    return openMysqlSink({ name: 'main', url: URL, schema: 'strict', clock: this.clock, dial: this.dial, ...options });
  }

  connect(): Promise<Driver> {
    return this.settled(this.dial(this.address, undefined));
  }

  /** Lets time pass until the promise has settled. */
  async settled<T>(promise: Promise<T>): Promise<T> {
    const state = { isDone: false };
    promise
      .finally(() => {
        state.isDone = true;
      })
      .catch(() => {});
    while (!state.isDone) await this.timeline.run(this.timeline.nowMs + 1000, () => state.isDone);
    return promise;
  }

  /** Lets `ms` pass. */
  async pass(ms: number): Promise<void> {
    await this.timeline.run(this.timeline.nowMs + ms);
  }
}

/** Runs a statement on a driver; what it gives is its rows or what it did. */
export function query(driver: Driver, sql: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    driver.query(sql, (error, result) => {
      if (error instanceof Error) reject(error);
      else resolve(result);
    });
  });
}
