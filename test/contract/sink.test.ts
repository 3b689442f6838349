import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { createMemorySink } from '../../src/sinks/memory.ts';
import { createMemoryStore } from '../../src/sinks/memory-store.ts';
import { openSink } from '../../src/sinks/registry.ts';
import { mariadbAvailable, startMariadb, type MariadbServer } from '../support/mariadb-server.ts';
import { createTable, MYSQL_TYPES } from './contract-tables.ts';
import { describeSink, type ContractTable, type SinkHarness } from './sink.contract.ts';

describe('the memory sink', () => {
  describeSink({ name: 'memory', create: createMemoryHarness, concurrent: true, fences: false, histories: 200 });
});

describe('the SQLite sink', () => {
  describeSink({ name: 'sqlite', create: createSqliteHarness, concurrent: false, fences: false, histories: 100 });
});

// `mariadbAvailable` throws when CI lacks it.
describe.skipIf(!mariadbAvailable())('the MySQL sink on MariaDB (skipped where mariadbd is not installed)', () => {
  let server: MariadbServer;
  const databases = new MysqlDatabases(() => server);
  beforeAll(async () => {
    server = await startMariadb();
  });
  afterAll(async () => {
    await server.close();
  });
  describeSink({ name: 'mysql', create: () => databases.createHarness(), concurrent: true, fences: true, histories: 40 });
});

async function createMemoryHarness(): Promise<SinkHarness> {
  const store = createMemoryStore();
  return {
    open: async (schema) => createMemorySink({ name: 'main', clock: systemClock, store, schema }),
    define: async (tables) => tables.forEach((table) => store.define(table)),
    addColumn: async (table, column, type) => store.addColumn(table, column, { type }),
    rows: async (table) => store.read(table).map((row) => ({ ...row })),
    close: async () => {},
  };
}

async function createSqliteHarness(): Promise<SinkHarness> {
  const folder = mkdtempSync(join(tmpdir(), 'syncline-sink-'));
  const file = join(folder, 'data.db');
  const db = new DatabaseSync(file);
  return {
    open: (schema) => openSink({ name: 'main', url: `sqlite:${file}`, schema, clock: systemClock }),
    define: async (tables) =>
      db.exec(
        `BEGIN; ${tables.map((table) => createTable(table, { int: 'INTEGER', text: 'TEXT', bytes: 'BLOB' }, '')).join('; ')}; COMMIT`,
      ),
    addColumn: async (table, column, type) => db.exec(`ALTER TABLE ${table} ADD COLUMN ${column} ${type === 'int' ? 'INTEGER' : 'TEXT'}`),
    rows: async (table) => db.prepare(`SELECT * FROM ${table}`).all(),
    close: async () => {
      db.close();
      rmSync(folder, { recursive: true });
    },
  };
}

/** A database is emptied and used again, because creating tables is what takes time, unless a test altered it. */
class MysqlDatabases {
  readonly #server: () => MariadbServer;
  readonly #tables = new Map<string, ContractTable>();
  #name = '';
  #count = 0;

  constructor(server: () => MariadbServer) {
    this.#server = server;
  }

  async createHarness(): Promise<SinkHarness> {
    const server = this.#server();
    if (this.#name === '') {
      this.#name = `contract_${++this.#count}`;
      this.#tables.clear();
      await server.query(`CREATE DATABASE ${this.#name} CHARACTER SET utf8mb4`);
    }
    const database = this.#name;
    let altered = false;
    return {
      open(schema, incarnation) {
        altered ||= schema === 'evolve';
        return openSink({ name: 'main', url: server.url(database), schema, clock: systemClock, incarnation });
      },
      define: async (tables) => {
        const missing = tables.filter(({ name }) => !this.#tables.has(name));
        for (const table of missing) this.#tables.set(table.name, table);
        await server.query(
          missing.map((table) => createTable(table, MYSQL_TYPES, ' ENGINE=InnoDB')),
          database,
        );
      },
      async addColumn(table, column, type) {
        altered = true;
        await server.query(`ALTER TABLE ${table} ADD COLUMN ${column} ${MYSQL_TYPES[type]}`, database);
      },
      rows: async (table) => {
        const rows = await server.query(`SELECT * FROM ${table}`, database);
        const columns = this.#tables.get(table)?.columns ?? {};
        // The driver gives BIGINT as text, so that no digit is lost.
        const plain = (name: string, value: unknown) =>
          columns[name]?.type !== 'text' && typeof value === 'string' && /^-?\d+$/.test(value) ? Number(value) : value;
        return rows.map((row) => Object.fromEntries(Object.entries(row).map(([name, value]) => [name, plain(name, value)]))) as Awaited<
          ReturnType<SinkHarness['rows']>
        >;
      },
      close: async () => {
        if (altered) this.#name = '';
        else await this.#empty(database);
      },
    };
  }

  async #empty(database: string): Promise<void> {
    const found = await this.#server().query(`SELECT table_name AS name FROM information_schema.tables WHERE table_schema = '${database}'`);
    await this.#server().query(['SET foreign_key_checks = 0', ...found.map(({ name }) => `DELETE FROM ${String(name)}`)], database);
  }
}
