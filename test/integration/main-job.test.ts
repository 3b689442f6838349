import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connect, type Client, type Rejection } from '../../src/client/client.ts';
import { eventually } from '../support/eventually.ts';
import { mariadbAvailable, startMariadb, type MariadbServer } from '../support/mariadb-server.ts';
import { redisAvailable, startRedis, type RedisServer } from '../support/redis-server.ts';
import { ServerProcess } from '../support/server-process.ts';

const available = redisAvailable() && mariadbAvailable();

describe.skipIf(!available)('the main job, with Redis and MariaDB', () => {
  let redis: RedisServer;
  let mariadb: MariadbServer;
  let server: ServerProcess;
  let client: Client;
  let rejections: Rejection[];

  beforeAll(async () => {
    redis = await startRedis({ args: ['--appendonly', 'yes'] });
    mariadb = await startMariadb();
    await mariadb.query(TABLES);
    server = await ServerProcess.create({ SYNCLINE_QUEUE: redis.url, SYNCLINE_SINK: mariadb.url('shop') });
    await server.start();
    client = await connect({ url: server.url });
    client.on('rejected', (rejection) => rejections.push(rejection));
    rejections = [];
  });

  afterAll(async () => {
    await client?.close();
    await server?.close();
    await redis?.close();
    await mariadb?.close();
  });

  /** Sends changes, waits until they are applied, and gives the codes of what was rejected meanwhile. */
  async function send(write: () => Promise<unknown>): Promise<string[]> {
    rejections = [];
    await write();
    await client.flush();
    return rejections.map(({ code }) => code);
  }

  const count = async (where: string) => Number((await mariadb.query(`SELECT COUNT(*) AS n FROM shop.${where}`))[0]?.['n']);

  test('one bad row among 10,000 good ones: 9,999 are applied, and one dead letter names table, key and reason', async () => {
    const items = client.table('item');
    const codes = await send(async () => {
      for (let id = 1; id <= 10_000; id++) await items.insert({ id, name: id === 4711 ? 'x'.repeat(41) : `item ${id}` });
    });
    expect(codes).toEqual(['too_long']);
    expect(await count('item')).toBe(9_999);
    const letters = await mariadb.query('SELECT tbl, op, row_key, code, message, state FROM shop.syncline_dead_letter');
    expect(letters).toEqual([expect.objectContaining({ tbl: 'item', op: 'insert', row_key: '[4711]', code: 'too_long', state: 'open' })]);
    expect(letters[0]?.['message']).toMatch(/name/);
    expect(rejections[0]?.message).toBe(letters[0]?.['message']);
    expect(rejections[0]?.rows?.[0]).toMatchObject({ row: { id: 4711 } });
  });

  test('a duplicate insert, and an update of nothing', async () => {
    const items = client.table('item');
    expect(await send(() => items.insert({ id: 1, name: 'again' }))).toEqual(['duplicate_key']);
    expect(await send(() => items.update({ id: 999_999, name: 'nobody' }))).toEqual(['row_missing']);
    expect(await send(() => items.delete({ id: 999_999 }))).toEqual([]);
    expect(await count("item WHERE id = 1 AND name = 'item 1'")).toBe(1);
  });

  test('an unknown table, an unknown column, and a table without primary key', async () => {
    expect(await send(() => client.table('nowhere', { key: ['id'] }).upsert({ id: 1 }))).toEqual(['unknown_table']);
    expect(await send(() => client.table('item').upsert({ id: 1, colour: 'red' }))).toEqual(['unknown_column']);
    expect(await send(() => client.table('keyless', { key: ['a'] }).upsert({ a: 1, b: 2 }))).toEqual(['no_primary_key']);
  });

  test('names that look like SQL reach no SQL', async () => {
    for (const name of [
      'item`; DROP TABLE shop.item; --',
      'shop.item',
      'item\0',
      "' OR 1=1 --",
      'information_schema.tables',
      'syncline_watermark',
    ]) {
      expect(await send(() => client.table(name, { key: ['id'] }).upsert({ id: 1 }))).toEqual(['unknown_table']);
      expect(await send(() => client.table('item').upsert({ id: 1, [name]: 1 }))).toEqual(['unknown_column']);
    }
    const nasty = ["'); DROP TABLE item; --", '\\', "\\'", '\u0000\u001a\n\r', '%_`"', '🦄'.repeat(10)];
    for (const [i, name] of nasty.entries()) expect(await send(() => client.table('item').upsert({ id: 20_000 + i, name }))).toEqual([]);
    const rows = await mariadb.query('SELECT name FROM shop.item WHERE id >= 20000 ORDER BY id');
    expect(rows.map((row) => row['name'])).toEqual(nasty);
  });

  test('values of the wrong type, out of range, and null where it is not allowed', async () => {
    const typed = client.table('typed');
    for (const [row, code] of [
      [{ id: 1, tiny: 'abc' }, 'wrong_type'],
      [{ id: 1, tiny: 128 }, 'out_of_range'],
      [{ id: 1, tiny: 1.5 }, 'loses_precision'],
      [{ id: 1, price: '1.239' }, 'loses_precision'],
      [{ id: 1, price: '123456789.00' }, 'out_of_range'],
      [{ id: 1, day: '2026-02-30' }, 'out_of_range'],
      [{ id: 1, day: '0000-00-00' }, 'out_of_range'],
      [{ id: 1, kind: 'c' }, 'out_of_range'],
      [{ id: 1, needed: null }, 'null_not_allowed'],
      [{ id: 1, data: Buffer.from('12345') }, 'too_long'],
      [{ id: 1, document: '{broken' }, 'wrong_type'],
    ] as const) {
      const codes = await send(() => typed.upsert({ needed: 'x', ...row }));
      // Which of the two an impossible value is, is the sink's to say; that it is refused is the point.
      expect([row, codes.length === 1 ? codes[0] : codes]).toEqual([
        row,
        expect.stringMatching(new RegExp(`^(${code}|wrong_type|value_refused)$`)),
      ]);
    }
    expect(await count('typed')).toBe(0);
  });

  test('a table that was altered a moment ago', async () => {
    const items = client.table('item');
    expect(await send(() => items.upsert({ id: 1, weight: 5 }))).toEqual(['unknown_column']);
    await mariadb.query('ALTER TABLE shop.item ADD COLUMN weight INT');
    expect(await send(() => items.upsert({ id: 1, weight: 5 }))).toEqual([]);
    await mariadb.query('ALTER TABLE shop.item DROP COLUMN weight');
    expect(await send(() => items.upsert({ id: 1, weight: 6 }))).toEqual(['unknown_column']);
  });

  test('children right behind their parents, in other partitions, wait for them', async () => {
    const codes = await send(async () => {
      for (let id = 1; id <= 200; id++) await client.table('parent').insert({ id });
      for (let id = 1; id <= 200; id++) await client.table('child').insert({ id, parent: 201 - id });
    });
    expect(codes).toEqual([]);
    expect(await count('child')).toBe(200);
  });

  test('a child without a parent is a dead letter, once all others have passed it', async () => {
    expect(await send(() => client.table('child').insert({ id: 999, parent: 5000 }))).toEqual(['foreign_key']);
  });

  test('unique values move from one key to another, across partitions', async () => {
    const users = client.table('user');
    await send(async () => {
      for (let id = 1; id <= 20; id++) await users.insert({ id, email: `${id}@example.org` });
    });
    const codes = await send(async () => {
      for (let id = 1; id <= 20; id++) {
        await users.delete({ id });
        await users.insert({ id: id + 100, email: `${id}@example.org` });
      }
    });
    expect(codes).toEqual([]);
    expect(await count('user WHERE id > 100')).toBe(20);
    expect(await send(() => users.insert({ id: 500, email: '1@example.org' }))).toEqual(['duplicate_unique']);
  });

  test('a batch of rows of one partition is applied; one of several is refused before anything is sent', async () => {
    const items = client.table('item');
    const codes = await send(() =>
      client.batch([items.change.upsert({ id: 1, name: 'one' }), items.change.update({ id: 1, name: 'two' })]),
    );
    expect(codes).toEqual([]);
    expect(await count("item WHERE id = 1 AND name = 'two'")).toBe(1);
    const scattered = Array.from({ length: 20 }, (_, id) => items.change.upsert({ id, name: 'scattered' }));
    await expect(client.batch(scattered)).rejects.toThrow(/partition/);
    expect(await count("item WHERE name = 'scattered'")).toBe(0);
  });

  test('dead letters are shown in the status', async () => {
    await eventually(async () => {
      const { deadLetters } = (await server.status()) as { deadLetters: { open: number } };
      expect(deadLetters.open).toBeGreaterThan(10);
    });
  });
});

const TABLES = [
  'CREATE DATABASE shop',
  'CREATE TABLE shop.item (id INT PRIMARY KEY, name VARCHAR(40)) CHARACTER SET utf8mb4',
  'CREATE TABLE shop.keyless (a INT, b INT)',
  `CREATE TABLE shop.typed (
    id INT PRIMARY KEY, tiny TINYINT, price DECIMAL(10,2), day DATE, kind ENUM('a','b'), needed VARCHAR(5) NOT NULL, data VARBINARY(4), document JSON)`,
  'CREATE TABLE shop.parent (id INT PRIMARY KEY)',
  'CREATE TABLE shop.child (id INT PRIMARY KEY, parent INT NOT NULL, FOREIGN KEY (parent) REFERENCES shop.parent (id))',
  'CREATE TABLE shop.user (id INT PRIMARY KEY, email VARCHAR(100) UNIQUE)',
];
