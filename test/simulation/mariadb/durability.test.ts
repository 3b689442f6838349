import { expect, test } from 'vitest';
import type { Driver } from '../../../src/sinks/mysql/connection.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { StatementWriter, TABLES } from './conformance/generated.ts';
import type { Effect, NamedRow } from './engine.ts';
import { query, SimHarness } from './sim-harness.ts';

const NAMES = ['item', 'person', 'parent', 'child'];

/** What the recorded changes make of empty tables; fails where a change does not fit what is there. */
function replayed(effects: readonly Effect[], table: string): NamedRow[] {
  const rows = new Map<number, NamedRow>();
  for (const { op, key, before, row, ...effect } of effects.filter((each) => each.table === table)) {
    const id = Number(before?.['id'] ?? key[0]);
    expect(rows.get(id), `commit ${effect.commit}: ${op} of ${table} ${id}`).toEqual(before);
    rows.delete(id);
    if (row !== undefined) rows.set(Number(row['id']), row);
  }
  return [...rows.values()].sort((a, b) => Number(a['id']) - Number(b['id']));
}

function after(world: SimHarness, ms: number): Promise<void> {
  return new Promise((resolve) => void world.clock.setTimer(ms, resolve));
}

/** A client that sends random statements until it is told to stop, on a new connection whenever the old one is lost. */
async function work(world: SimHarness, random: SeededRandom, state: { isDone: boolean; answers: number }): Promise<void> {
  const writer = new StatementWriter(random);
  while (!state.isDone) {
    let driver: Driver;
    try {
      driver = await world.dial(world.address, undefined);
    } catch {
      await after(world, 50);
      continue;
    }
    try {
      await query(driver, 'SET SESSION innodb_lock_wait_timeout=2,idle_transaction_timeout=3,wait_timeout=5');
      while (!state.isDone) {
        const sql = random.pick([
          'START TRANSACTION',
          'COMMIT',
          'COMMIT',
          'ROLLBACK',
          writer.any(),
          writer.any(),
          writer.any(),
          writer.any(),
        ]);
        await query(driver, sql).catch((error: { sqlState?: string }) => {
          if (error.sqlState === undefined) throw error as Error;
        });
        state.answers++;
        await after(world, random.below(20));
      }
    } catch {
      // The connection is lost; the next one goes on.
    }
    driver.destroy();
  }
}

test.each(Array.from({ length: 20 }, (_, i) => i + 1))(
  'seed %i: tables are what was committed, and nobody holds locks for the dead',
  async (seed) => {
    const world = new SimHarness(TABLES, seed);
    const random = new SeededRandom(seed);
    const { mariadb, network } = world;
    const state = { isDone: false, answers: 0 };
    const workers = Array.from({ length: 4 }, () => work(world, new SeededRandom(random.below(2 ** 32)), state));
    const faults = [
      () => {
        mariadb.kill();
        world.timeline.at(random.below(300), () => mariadb.boot());
        return 1000;
      },
      () => {
        mariadb.host.pause();
        world.timeline.at(random.below(4000), () => mariadb.host.resume());
        return 5000;
      },
      () => {
        network.cut('node', 'db');
        world.timeline.at(random.below(8000), () => network.mendAll());
        return 9000;
      },
      () => network.resetBetween('node', 'db'),
      () => mariadb.cutAtCommit(random.pick(['before', 'after', 'answer'] as const)),
      () => mariadb.failStatement(random.pick(['deadlock', 'lock wait'] as const), random.below(5)),
      () => mariadb.killSession(random.pick(mariadb.sessionIds)),
    ];
    for (let i = 0; i < 40; i++) {
      await world.pass(random.below(200));
      if (mariadb.sessionIds.length > 0) await world.pass(random.pick(faults)() ?? 0);
    }
    state.isDone = true;
    await world.settled(Promise.all(workers));
    expect(state.answers).toBeGreaterThan(500);
    expect(mariadb.commitCount).toBeGreaterThan(100);
    for (const name of NAMES) expect(mariadb.read(name)).toEqual(replayed(mariadb.effects, name));
    await world.pass(10_000);
    expect(mariadb.sessionIds).toEqual([]);
    const driver = await world.connect();
    // Failures that nobody has met yet.
    for (let i = 0; i < 20; i++) await world.settled(query(driver, 'DELETE FROM item WHERE id=99').catch(() => {}));
    const startMs = world.timeline.nowMs;
    for (const name of NAMES) await world.settled(query(driver, `UPDATE ${name} SET n=1 WHERE id IN (1,2,3,4,5,6)`));
    await world.settled(query(driver, "INSERT INTO person (id,email) VALUES (99,'abc'),(98,'zz'),(97,NULL)"));
    expect(world.timeline.nowMs - startMs).toBeLessThan(100);
  },
);
