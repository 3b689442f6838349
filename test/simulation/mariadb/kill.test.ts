import { expect, test } from 'vitest';
import type { Driver } from '../../../src/sinks/mysql/connection.ts';
import { query, SimHarness } from './sim-harness.ts';

const ITEM = 'CREATE TABLE item (id INT PRIMARY KEY, n INT)';

/** A holder with a lock by name and an open transaction that has written, and somebody who looks on. */
async function makeWorld(seed = 1) {
  const world = new SimHarness([ITEM], seed);
  const [holder, other] = [await world.connect(), await world.connect()];
  const ask = async (driver: Driver, sql: string) => world.settled(query(driver, sql));
  for (const driver of [holder, other]) await ask(driver, "SET SESSION tx_isolation='READ-COMMITTED',idle_transaction_timeout=10");
  await ask(holder, "SELECT GET_LOCK('holder',0)");
  await ask(holder, 'START TRANSACTION');
  await ask(holder, 'INSERT INTO item (id,n) VALUES (1,1)');
  const owner = async () => ((await ask(other, "SELECT IS_USED_LOCK('holder')")) as (number | null)[][])[0]![0];
  const ids = () => world.mariadb.read('item').map(({ id }) => id);
  return { world, holder, other, ask, owner, ids };
}

test('who knows the name of a lock ends the connection that holds it, with its transaction', async () => {
  const { world, holder, other, ask, owner, ids } = await makeWorld();
  let lost = '';
  holder.onLost((error) => (lost = (error as { code: string }).code));
  await ask(other, `KILL ${await owner()}`);
  await world.pass(50);
  expect([lost, await owner(), ids()]).toEqual(['PROTOCOL_CONNECTION_LOST', null, []]);
  await ask(other, 'INSERT INTO item (id,n) VALUES (1,2)');
  await expect(ask(holder, 'COMMIT')).rejects.toThrow('closed state');
  expect(world.mariadb.read('item')).toEqual([{ id: 1, n: 2 }]);
});

test('KILL is answered before its connection is gone, and what that does in between may still be committed', async () => {
  const outcomes = new Set<string>();
  for (let seed = 1; seed <= 40; seed++) {
    const { world, holder, other, owner, ids } = await makeWorld(seed);
    const id = await owner();
    const killed = query(other, `KILL ${id}`);
    await world.pass(seed % 3);
    const commit = query(holder, 'COMMIT').then(
      () => 'committed',
      () => 'lost',
    );
    await world.settled(killed);
    const isThere = (await owner()) !== null;
    await world.pass(50);
    expect(await owner()).toBe(null);
    // Between COMMIT and its answer nobody learns what came of it.
    if ((await commit) === 'committed') expect(ids()).toEqual([1]);
    outcomes.add(`${isThere ? 'there' : 'gone'}, ${await commit}`);
  }
  expect(outcomes).toEqual(new Set(['gone, lost', 'gone, committed', 'there, lost', 'there, committed']));
});

test('a connection counts for its host from the statements that it was sent, until it has ended', async () => {
  const { world, other, ask, owner } = await makeWorld();
  await world.connect();
  const counts = () => [0, 1, 4, 5].map((statements) => world.mariadb.connectionCount('node', statements));
  expect(counts()).toEqual([3, 2, 1, 0]);
  await ask(other, `KILL ${await owner()}`);
  await world.pass(50);
  expect([counts(), world.mariadb.connectionCount('other', 0)]).toEqual([[2, 1, 0, 0], 0]);
});

test('a lock by name goes with the process that took it, and where that is cut off with its silence', async () => {
  const dead = await makeWorld();
  dead.world.network.cut('node', 'db');
  await dead.world.pass(9_000);
  expect(dead.world.mariadb.sessionIds).toHaveLength(2);
  dead.world.network.mend('node', 'db');
  expect(await dead.owner()).not.toBe(null);
  await dead.world.pass(2_000);
  expect([await dead.owner(), dead.ids()]).toEqual([null, []]);
  const gone = await makeWorld();
  gone.holder.destroy();
  await gone.world.pass(10);
  expect(await gone.owner()).toBe(null);
});

test('a lock that would have to be taken in the middle of an expression ends the simulation', async () => {
  const { world, other } = await makeWorld();
  query(other, "SELECT IF(1,GET_LOCK('a',0),0)").catch(() => {});
  await expect(world.pass(10)).rejects.toThrow('GET_LOCK');
});
