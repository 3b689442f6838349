import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { openMysqlSink } from '../../src/sinks/mysql/mysql.ts';
import type { Sink } from '../../src/sinks/sink.ts';
import { eventually } from '../support/eventually.ts';
import { mariadbAvailable, startMariadb, type MariadbServer } from '../support/mariadb-server.ts';
import { beginIn, type OnePartition } from '../support/one-partition.ts';

const STREAM = 'a'.repeat(32);
const CLAIMS = [{ stream: STREAM, producer: 'shop' }];
const FROZEN = '1'.repeat(32);
const OTHER = '2'.repeat(32);
const skip = !mariadbAvailable();

describe.skipIf(skip)(`the connections of a node that stands still${skip ? ' (mariadbd is not installed)' : ''}`, () => {
  let mariadb: MariadbServer;
  const sinks: Sink[] = [];

  function open(incarnation: string | undefined, user?: string): Sink {
    const url = mariadb.url('shop');
    const sink = openMysqlSink({
      name: 'main',
      url: user === undefined ? url : url.replace('root', user),
      schema: 'strict',
      clock: systemClock,
      incarnation,
    });
    sinks.push(sink);
    return sink;
  }

  beforeAll(async () => {
    mariadb = await startMariadb();
    await mariadb.query(['CREATE DATABASE shop', 'CREATE TABLE shop.item (id INT PRIMARY KEY)']);
    await open(undefined).prepare({ partitions: 4, mapping: '' });
  });

  afterAll(async () => {
    for (const sink of sinks) await sink.close();
    await mariadb?.close();
  });

  test('are ended, so that whoever waits for its rows goes on, and what it goes on with fails', async () => {
    const frozen = open(FROZEN);
    const zombie = await beginIn(frozen, 0, CLAIMS);
    const successor = open(OTHER);
    let began: OnePartition | undefined;
    // Waits for the lock of the watermark.
    const beginning = beginIn(successor, 0, CLAIMS).then((transaction) => (began = transaction));
    await eventually(
      async () =>
        expect(await mariadb.query("SELECT trx_id FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'")).toHaveLength(1),
      5_000,
      // The server keeps what it shows there until nobody has looked for 100 ms.
      250,
    );
    expect(began).toBeUndefined();
    expect(await successor.fence!(FROZEN)).toBe(1);
    await (await beginning).commit(new Map([[STREAM, { seq: 1, crc: 1 }]]), []);
    await expect(zombie.commit(new Map([[STREAM, { seq: 7, crc: 7 }]]), [])).rejects.toMatchObject({
      code: expect.stringMatching(/^(sink_unavailable|commit_unknown)$/),
    });
    expect((await successor.readWatermarks(0, [STREAM])).get(STREAM)).toEqual({ seq: 1, crc: 1 });
  });

  test('are ended however many they are, and those of nobody else', async () => {
    const [frozen, alive, alone] = [open(FROZEN), open(OTHER), open(undefined)];
    const begin = (sink: Sink, partition: number) => beginIn(sink, partition, CLAIMS);
    const zombies = await Promise.all([begin(frozen, 1), begin(frozen, 2)]);
    const others = [await begin(alive, 3), await begin(alone, 0)];
    expect(await open('3'.repeat(32)).fence!(FROZEN)).toBe(2);
    for (const one of zombies) await expect(one.commit(new Map(), [])).rejects.toThrow();
    for (const one of others) await expect(one.commit(new Map(), [])).resolves.toBeUndefined();
    expect(await alive.fence!(FROZEN)).toBe(0);
  });

  test('of the same user are ended without any privilege; of another user not, and that is said', async () => {
    await mariadb.query([
      "CREATE USER plain@'127.0.0.1'",
      "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE ON shop.* TO plain@'127.0.0.1'",
      "CREATE USER stranger@'127.0.0.1'",
      "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE ON shop.* TO stranger@'127.0.0.1'",
    ]);
    const zombie = await beginIn(open(FROZEN, 'plain'), 1, CLAIMS);
    await expect(open(OTHER, 'stranger').fence!(FROZEN)).rejects.toMatchObject({ kind: 'transient' });
    expect(await open(OTHER, 'plain').fence!(FROZEN)).toBe(1);
    await expect(zombie.commit(new Map(), [])).rejects.toThrow();
  });
});
