import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../../../src/core/clock.ts';
import { BOOKKEEPING } from '../../../../src/sinks/mysql/bookkeeping.ts';
import { parseAddress } from '../../../../src/sinks/mysql/address.ts';
import { Connection } from '../../../../src/sinks/mysql/connection.ts';
import { readForeignReferences, readSchema } from '../../../../src/sinks/mysql/schema.ts';
import { mariadbAvailable, startMariadb, type MariadbServer } from '../../../support/mariadb-server.ts';
import { SimHarness } from '../sim-harness.ts';

const TABLES = [
  ...BOOKKEEPING.values(),
  'CREATE TABLE wide (id BIGINT PRIMARY KEY, a TINYINT, b SMALLINT UNSIGNED NOT NULL, c MEDIUMINT DEFAULT 5, d INT, e INT(5) UNSIGNED, f BIGINT UNSIGNED, g TINYINT(1), h DECIMAL(20,0), i DOUBLE)',
  "CREATE TABLE texts (a VARCHAR(20) COLLATE utf8mb4_bin NOT NULL, b CHAR(5) DEFAULT 'it''s', c TEXT, d MEDIUMTEXT, e LONGTEXT COLLATE utf8mb4_nopad_bin, f TINYTEXT, g ENUM('on','off') NOT NULL, h JSON, PRIMARY KEY (a,b))",
  'CREATE TABLE bytes (a BINARY(16) PRIMARY KEY, b VARBINARY(100), c BLOB, d LONGBLOB, e TINYBLOB, f MEDIUMBLOB, g DATETIME, h DATETIME(6) NOT NULL)',
  'CREATE TABLE parent (id INT PRIMARY KEY, code INT NOT NULL, spare INT, UNIQUE (code), UNIQUE KEY two (spare, code))',
  'CREATE TABLE child (id INT PRIMARY KEY AUTO_INCREMENT, parent_id INT, code INT CHECK (code > 0), FOREIGN KEY (parent_id) REFERENCES parent (id), FOREIGN KEY (code) REFERENCES parent (code) ON DELETE CASCADE, CHECK (parent_id <> code))',
  'CREATE TABLE keyless (a INT)',
  'CREATE TABLE collated (a VARCHAR(9) NOT NULL, PRIMARY KEY (a)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin',
];

// `mariadbAvailable` throws when CI lacks it.
describe.skipIf(!mariadbAvailable())('the catalogue of the simulated MariaDB (skipped where mariadbd is not installed)', () => {
  let server: MariadbServer;
  beforeAll(async () => {
    server = await startMariadb();
    await server.query(['CREATE DATABASE d CHARACTER SET utf8mb4']);
    await server.query(TABLES, 'd');
  });
  afterAll(async () => {
    await server.close();
  });

  test.each([undefined, ['child', 'parent', 'texts', 'nothing']])('reads as that of a real one (tables: %o)', async (names) => {
    const settings = { address: parseAddress(server.url('d')), tls: undefined, statementTimeoutMs: 10_000 };
    const real = await Connection.open({ ...settings, clock: systemClock });
    const world = new SimHarness(TABLES);
    const simulated = await world.settled(Connection.open({ ...settings, clock: world.clock, dial: world.dial }));
    const read = async (connection: Connection) => readSchema(connection, 'd', names, await readForeignReferences(connection, 'd'));
    const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : 1);
    const expected = (await read(real)).sort(byName);
    real.destroy();
    expect((await world.settled(read(simulated))).sort(byName)).toEqual(expected);
    expect(expected).toHaveLength(names === undefined ? TABLES.length - BOOKKEEPING.size : 3);
  });
});
