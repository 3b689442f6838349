import { describe } from 'vitest';
import { createTable, MYSQL_TYPES } from '../../contract/contract-tables.ts';
import { describeSink, type SinkHarness } from '../../contract/sink.contract.ts';
import { query, SimHarness } from './sim-harness.ts';

describe('the MySQL sink on the simulated MariaDB', () => {
  let seed = 0;
  const fences = 'locks by name are not simulated within CASE';
  describeSink({ name: 'simulated mysql', create: async () => createHarness(++seed), concurrent: true, fences, histories: 40 });
});

/** A database whose time passes by itself, for tests that know nothing of it. */
function createHarness(seed: number): SinkHarness {
  const world = new SimHarness([], seed);
  // The suite compares with the time of the machine.
  world.client.wallOffsetMs = Date.now() - world.clock.wallMs();
  const state = { isClosed: false };
  const pump = (async () => {
    while (!state.isClosed) await world.pass(1);
  })();
  return {
    open: async (schema) => world.openSink({ schema }),
    define: async (tables) => {
      for (const table of tables) world.mariadb.define(createTable(table, MYSQL_TYPES, ' ENGINE=InnoDB'));
    },
    async addColumn(table, column, type) {
      const driver = await world.dial(world.address, undefined);
      await query(driver, `ALTER TABLE ${table} ADD COLUMN ${column} ${MYSQL_TYPES[type]}`);
      driver.destroy();
    },
    rows: async (table) => world.mariadb.read(table).map((row) => ({ ...row })),
    async close() {
      state.isClosed = true;
      await pump;
    },
  };
}
