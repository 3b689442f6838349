import { describe, expect, test } from 'vitest';
import type { Row } from '../../../src/core/change.ts';
import type { Driver } from '../../../src/sinks/mysql/connection.ts';
import type { Sink } from '../../../src/sinks/sink.ts';
import { advance, CLAIM, group, SETTINGS, STREAM } from '../../integration/mysql-harness.ts';
import { query, SimHarness } from './sim-harness.ts';
import { beginIn } from '../../support/one-partition.ts';

const ITEM = 'CREATE TABLE item (id INT PRIMARY KEY, name VARCHAR(50), amount INT)';

async function prepared(seed = 1) {
  const world = new SimHarness([ITEM], seed);
  const sink = world.openSink();
  await world.settled(sink.prepare(SETTINGS));
  const insert = (id: number, name = 'x') => [group(sink, 'item', 'insert', 1, ['id', 'name'], [[id, name] as Row])];
  const write = async (id: number, name?: string) => {
    const transaction = await world.settled(beginIn(sink, 0, CLAIM));
    await world.settled(transaction.write(insert(id, name)));
    await world.settled(advance(transaction));
  };
  const ids = () => world.mariadb.read('item').map(({ id }) => id);
  return { world, sink, insert, write, ids };
}

const seqOf = async (world: SimHarness, sink: Sink) => (await world.settled(sink.readStream(STREAM))).watermarks.get(0)?.seq;

/** Starts a statement and does not wait for it. */
function started(driver: Driver, sql: string) {
  const state: { result?: unknown; errno?: number } = {};
  query(driver, sql).then(
    (result) => (state.result = result),
    (error: { errno?: number }) => (state.errno = error.errno ?? -1),
  );
  return state;
}

test('the production sink prepares, writes and reads, and every committed change is on record', async () => {
  const { world, sink, write } = await prepared();
  await write(1, 'one');
  const transaction = await world.settled(beginIn(sink, 0, CLAIM));
  await world.settled(
    transaction.write([group(sink, 'item', 'update', 1, ['id', 'amount'], [[1, 5]]), group(sink, 'item', 'delete', 1, ['id'], [[1]])]),
  );
  await world.settled(transaction.rollback());
  expect(world.mariadb.read('item')).toEqual([{ id: 1, name: 'one', amount: null }]);
  expect(world.mariadb.effects.filter(({ table }) => table === 'item')).toEqual([
    {
      commit: expect.any(Number),
      table: 'item',
      op: 'insert',
      key: [1],
      before: undefined,
      row: { id: 1, name: 'one', amount: null },
      changed: true,
    },
  ]);
  expect(world.mariadb.effects.at(-1)).toMatchObject({ table: 'syncline_watermark', op: 'update', row: { seq: 1 } });
});

test('a process that was killed and comes back holds exactly what was committed', async () => {
  const { world, sink, insert, write, ids } = await prepared();
  await write(1);
  const transaction = await world.settled(beginIn(sink, 0, CLAIM));
  await world.settled(transaction.write(insert(2)));
  world.mariadb.kill();
  await expect(world.settled(advance(transaction))).rejects.toMatchObject({ kind: 'transient' });
  await world.settled(transaction.rollback());
  await expect(world.settled(beginIn(sink, 0, CLAIM))).rejects.toMatchObject({ code: 'sink_unavailable' });
  world.mariadb.boot();
  expect(await seqOf(world, sink)).toBe(1);
  expect(ids()).toEqual([1]);
  await write(2);
  expect([await seqOf(world, sink), ids()]).toEqual([2, [1, 2]]);
});

test.each(['before', 'after', 'answer'] as const)(
  'a connection that breaks %s COMMIT leaves the outcome unknown, and the watermark tells it',
  async (moment) => {
    const { world, sink, insert, ids } = await prepared();
    const transaction = await world.settled(beginIn(sink, 0, CLAIM));
    await world.settled(transaction.write(insert(1)));
    world.mariadb.cutAtCommit(moment);
    const outcome = world.settled(advance(transaction));
    if (moment === 'answer') await outcome.catch(() => {});
    else await expect(outcome).rejects.toMatchObject({ code: 'commit_unknown' });
    expect(await seqOf(world, sink)).toBe(moment === 'before' ? 0 : 1);
    await world.settled(sink.harden!());
    expect(ids()).toEqual(moment === 'before' ? [] : [1]);
  },
);

test('a lock that is waited for in vain undoes the statement only, after as long as the session says', async () => {
  const { world, write } = await prepared();
  await write(1);
  const [a, b] = [await world.connect(), await world.connect()];
  await world.settled(query(a, "SET SESSION tx_isolation='READ-COMMITTED'"));
  await world.settled(query(b, "SET SESSION tx_isolation='READ-COMMITTED',innodb_lock_wait_timeout=5"));
  await world.settled(query(a, 'START TRANSACTION'));
  await world.settled(query(a, 'UPDATE item SET amount=1 WHERE id=1'));
  await world.settled(query(b, 'START TRANSACTION'));
  await world.settled(query(b, "INSERT INTO item (id,name) VALUES (2,'b')"));
  const waiting = started(b, 'UPDATE item SET amount=2 WHERE id IN (1,2)');
  await world.pass(4_900);
  expect(waiting).toEqual({});
  await world.pass(200);
  expect(waiting.errno).toBe(1205);
  await world.settled(query(b, 'COMMIT'));
  expect(world.mariadb.read('item')).toEqual([
    { id: 1, name: 'x', amount: null },
    { id: 2, name: 'b', amount: null },
  ]);
});

test('of two that deadlock one is rolled back whole, and the other goes on', async () => {
  const { world, write, ids } = await prepared();
  await write(1);
  await write(2);
  const [a, b] = [await world.connect(), await world.connect()];
  for (const driver of [a, b]) await world.settled(query(driver, 'START TRANSACTION'));
  // By far the heavier of the two, so that chance has no say.
  await world.settled(query(a, 'INSERT INTO item (id) VALUES (3),(5),(6),(7),(8)'));
  await world.settled(query(a, 'UPDATE item SET amount=1 WHERE id=1'));
  await world.settled(query(b, 'UPDATE item SET amount=2 WHERE id=2'));
  const first = started(a, 'UPDATE item SET amount=1 WHERE id=2');
  await world.pass(10);
  expect(first).toEqual({});
  const second = started(b, 'UPDATE item SET amount=2 WHERE id=1');
  await world.pass(10);
  expect([first.result, second.errno]).toEqual([expect.objectContaining({ affectedRows: 1 }), 1213]);
  // The transaction is over: what comes now commits by itself.
  await world.settled(query(b, 'INSERT INTO item (id) VALUES (4)'));
  expect(ids()).toEqual([1, 2, 4]);
});

describe('a commit', () => {
  const slow = { minFlushMs: 500, maxFlushMs: 500 };
  const prepare = async () => {
    const world = new SimHarness(['CREATE TABLE item (id INT PRIMARY KEY, amount INT)'], 1, slow);
    const [writer, reader] = [await world.connect(), await world.connect()];
    const seen = () => world.settled(query(reader, 'SELECT id,amount FROM item'));
    const ids = () => world.mariadb.read('item').map(({ id }) => id);
    return { world, writer, reader, seen, ids };
  };
  const crash = async (world: SimHarness) => {
    world.mariadb.kill();
    world.mariadb.boot();
    return world.connect();
  };

  test('is seen by others before it is durable, and a crash in between undoes it', async () => {
    const { world, writer, seen, ids } = await prepare();
    await world.settled(query(writer, 'INSERT INTO item VALUES (1,1),(2,2)'));
    const answer = started(writer, 'INSERT INTO item VALUES (3,3)');
    await world.pass(5);
    expect([await seen(), ids(), answer]).toEqual([
      [
        [1, 1],
        [2, 2],
        [3, 3],
      ],
      [1, 2],
      {},
    ]);
    const later = await crash(world);
    expect(await world.settled(query(later, 'SELECT id FROM item'))).toEqual([[1], [2]]);
    expect(world.mariadb.effects.map(({ row }) => row?.['id'])).toEqual([1, 2]);
  });

  test('that the sink has read is durable once it is hardened, or once its transaction has ended', async () => {
    for (const wait of ['harden', 'commit', undefined] as const) {
      const world = new SimHarness([ITEM], 1, slow);
      const [sink, other] = [world.openSink(), world.openSink()];
      await world.settled(sink.prepare(SETTINGS));
      await world.settled(advance(await world.settled(beginIn(sink, 0, CLAIM))));
      advance(await world.settled(beginIn(sink, 0, CLAIM))).catch(() => {});
      await world.pass(100);
      if (wait === 'commit') await world.settled((await world.settled(beginIn(other, 0, CLAIM))).commit(new Map(), []));
      else expect(await seqOf(world, other)).toBe(2);
      if (wait === 'harden') await world.settled(other.harden!());
      await crash(world);
      expect(await seqOf(world, other)).toBe(wait === undefined ? 1 : 2);
    }
  });

  test('of every kind is undone', async () => {
    const { world, writer, reader, seen } = await prepare();
    await world.settled(query(writer, 'INSERT INTO item VALUES (1,1),(2,2),(3,3)'));
    started(writer, 'DELETE FROM item WHERE id=1');
    await world.pass(2);
    const other = await world.connect();
    started(other, 'UPDATE item SET amount=9 WHERE id=2');
    await world.pass(2);
    started(reader, 'INSERT INTO item VALUES (1,7)');
    await world.pass(2);
    const later = await crash(world);
    expect(await world.settled(query(later, 'SELECT id,amount FROM item'))).toEqual([
      [1, 1],
      [2, 2],
      [3, 3],
    ]);
    await expect(seen()).rejects.toThrow('closed');
  });

  test('makes all before it durable', async () => {
    const { world, writer, reader } = await prepare();
    started(writer, 'INSERT INTO item VALUES (1,1)');
    await world.pass(2);
    await world.settled(query(reader, 'INSERT INTO item VALUES (2,2)'));
    const later = await crash(world);
    expect(await world.settled(query(later, 'SELECT id FROM item'))).toEqual([[1], [2]]);
  });
});

test('forced failures hit the statement that was chosen', async () => {
  const { world, sink, insert, write, ids } = await prepared();
  await write(1);
  world.mariadb.failStatement('deadlock', 1);
  const transaction = await world.settled(beginIn(sink, 0, CLAIM));
  await expect(world.settled(transaction.write(insert(2)))).rejects.toMatchObject({ code: 'sink_busy' });
  await world.settled(transaction.rollback());
  world.mariadb.failStatement('lock wait');
  await expect(world.settled(beginIn(sink, 0, CLAIM))).rejects.toMatchObject({ code: 'sink_busy' });
  await write(2);
  expect(ids()).toEqual([1, 2]);
});

test('a database that turns read-only or full is transient, and a transaction that had written cannot commit on a read-only one', async () => {
  const { world, sink, insert, write, ids } = await prepared();
  await write(1);
  for (const [set, code] of [
    [(state: 'on' | 'off') => world.mariadb.setReadOnly(state), 'sink_readonly'],
    [(state: 'on' | 'off') => world.mariadb.setFull(state), 'sink_full'],
  ] as const) {
    const transaction = await world.settled(beginIn(sink, 0, CLAIM));
    set('on');
    await expect(world.settled(transaction.write(insert(2)))).rejects.toMatchObject({ code });
    await world.settled(transaction.rollback());
    set('off');
  }
  const late = await world.settled(beginIn(sink, 0, CLAIM));
  await world.settled(late.write(insert(2)));
  world.mariadb.setReadOnly('on');
  await expect(world.settled(late.commit(new Map(), []))).rejects.toMatchObject({ code: 'commit_unknown' });
  expect(await world.settled(sink.prepare(SETTINGS))).toEqual([expect.stringContaining('read-only')]);
  world.mariadb.setReadOnly('off');
  await write(2);
  expect(ids()).toEqual([1, 2]);
});

test('a restored backup takes back what came after it, and breaks every connection', async () => {
  const { world, sink, insert, write, ids } = await prepared();
  await write(1);
  const snapshot = world.mariadb.snapshot();
  await write(2);
  const effects = world.mariadb.effects.length;
  const transaction = await world.settled(beginIn(sink, 0, CLAIM));
  await world.settled(transaction.write(insert(3)));
  world.mariadb.restore(snapshot);
  await expect(world.settled(advance(transaction))).rejects.toMatchObject({ code: 'sink_unavailable' });
  expect([await seqOf(world, sink), ids(), world.mariadb.effects.length]).toEqual([1, [1], effects]);
  await write(4);
  expect(world.mariadb.effects.at(-1)?.commit).toBe(world.mariadb.commitCount);
});

test('sessions that are killed fail as unavailable, and leave nothing', async () => {
  const { world, sink, insert, write, ids } = await prepared();
  const transaction = await world.settled(beginIn(sink, 0, CLAIM));
  await world.settled(transaction.write(insert(1)));
  for (const id of world.mariadb.sessionIds) world.mariadb.killSession(id);
  await expect(world.settled(transaction.write(insert(2)))).rejects.toMatchObject({ code: 'sink_unavailable' });
  await world.settled(transaction.rollback());
  await write(3);
  expect(ids()).toEqual([3]);
});

test('a client that is cut off holds its locks until its transaction was idle for too long', async () => {
  const { world, sink, insert, write, ids } = await prepared();
  await write(1);
  const transaction = await world.settled(beginIn(sink, 0, CLAIM));
  await world.settled(transaction.write(insert(2)));
  world.network.cut('node', 'db');
  world.client.crash();
  await world.pass(9_900);
  expect(world.mariadb.sessionIds).toHaveLength(1);
  await world.pass(200);
  expect([world.mariadb.sessionIds, ids()]).toEqual([[], [1]]);
});

test('a client whose process dies is noticed at once', async () => {
  const { world, sink, insert, write } = await prepared();
  await write(1);
  const transaction = await world.settled(beginIn(sink, 0, CLAIM));
  await world.settled(transaction.write(insert(2)));
  world.client.crash();
  await world.pass(10);
  expect(world.mariadb.sessionIds).toEqual([]);
});

test('a server that is paused is given up by its clients, and goes on where it was', async () => {
  const { world, sink, insert, write, ids } = await prepared();
  await write(1);
  const transaction = await world.settled(beginIn(sink, 0, CLAIM));
  await world.settled(transaction.write(insert(2)));
  world.mariadb.host.pause();
  await expect(world.settled(advance(transaction))).rejects.toMatchObject({ kind: 'transient' });
  const late = world.dial(world.address, undefined).catch((error: unknown) => error);
  expect(await world.settled(late)).toMatchObject({ code: 'ETIMEDOUT' });
  world.mariadb.host.resume();
  await world.pass(100);
  expect(ids()).toEqual([1]);
  await write(2);
  expect(ids()).toEqual([1, 2]);
});

test('what the parser does not know ends the simulation', async () => {
  const world = new SimHarness([ITEM]);
  const driver = await world.connect();
  started(driver, 'SELECT * FROM item NATURAL JOIN item');
  await expect(world.pass(10)).rejects.toThrow('SELECT * FROM item NATURAL JOIN item');
});

test('a seed decides everything', async () => {
  const run = async (seed: number) => {
    const { world, write } = await prepared(seed);
    for (let id = 1; id <= 20; id++) await write(id);
    return [world.timeline.nowMs, world.timeline.eventCount, world.mariadb.effects.length];
  };
  expect(await run(7)).toEqual(await run(7));
  expect((await run(7))[0]).not.toBe((await run(8))[0]);
});
