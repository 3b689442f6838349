import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { auditFaults, staleKeys } from '../support/audit.ts';
import { countDatabaseEffects, createAuditedDatabase, readAuditedDatabase } from '../support/audited-database.ts';
import { eventually } from '../support/eventually.ts';
import { mariadbAvailable, startMariadb } from '../support/mariadb-server.ts';
import { KEYS, ProducerProcess } from '../support/producer-process.ts';
import { redisAvailable, startRedis } from '../support/redis-server.ts';
import { ServerProcess } from '../support/server-process.ts';

const available = redisAvailable() && mariadbAvailable();
if (!available && process.env['CI'] === 'true') throw new Error('redis-server and mariadb-server-core must be installed');

const LOOPS = { server: 20, client: 20, redis: 5, flush: 3, mariadb: 5 };

/** One system under load for all loops: a fault must also be survived after all those before it. */
describe.skipIf(!available)('a client with a spool streams through Redis into MariaDB', () => {
  let redis: Awaited<ReturnType<typeof startRedis>>;
  let mariadb: Awaited<ReturnType<typeof startMariadb>>;
  let server: ServerProcess;
  let producer: ProducerProcess;

  beforeAll(async () => {
    redis = await startRedis({ args: ['--appendonly', 'yes', '--appendfsync', 'everysec'] });
    mariadb = await startMariadb();
    await createAuditedDatabase(mariadb);
    server = await ServerProcess.create({
      SYNCLINE_QUEUE: redis.url,
      SYNCLINE_SINK: mariadb.url('shop'),
      SYNCLINE_APPLY_LEASE_MS: '1000',
    });
    await server.start();
    producer = new ProducerProcess(server.url);
    producer.start();
    await producer.sending();
    await advance();
  });

  afterAll(async () => {
    await producer?.close();
    await server?.close();
    await redis?.close();
    await mariadb?.close();
  });

  const effects = () => countDatabaseEffects(mariadb);

  /** Waits until rows are applied again: no fault is injected into a system that stands still. */
  async function advance(): Promise<void> {
    const before = await effects().catch(() => 0);
    await eventually(async () => {
      if (!producer.running) throw new Error(`the producer ended: ${producer.output}`);
      const now = await effects();
      if (now < before + 200) throw new Error(`${now - before} rows were applied; the server said ${server.output.slice(-1500)}`);
    }, 25_000);
  }

  test(`the server is killed ${LOOPS.server} times`, { timeout: 240_000 }, async () => {
    for (let i = 0; i < LOOPS.server; i++) {
      await server.stop('SIGKILL');
      await server.start();
      await advance();
    }
  });

  test(`the client is killed ${LOOPS.client} times`, { timeout: 240_000 }, async () => {
    for (let i = 0; i < LOOPS.client; i++) {
      await producer.stop('SIGKILL');
      producer.start();
      await producer.sending();
      await advance();
    }
  });

  test(`Redis is killed ${LOOPS.redis} times and restarts with its file`, { timeout: 120_000 }, async () => {
    for (let i = 0; i < LOOPS.redis; i++) {
      await redis.kill('SIGKILL');
      await redis.restart();
      await advance();
    }
  });

  test(`Redis is wiped ${LOOPS.flush} times`, { timeout: 120_000 }, async () => {
    for (let i = 0; i < LOOPS.flush; i++) {
      await redis.command('FLUSHALL');
      await advance();
    }
  });

  test(`MariaDB is killed ${LOOPS.mariadb} times`, { timeout: 180_000 }, async () => {
    for (let i = 0; i < LOOPS.mariadb; i++) {
      await mariadb.kill('SIGKILL');
      await mariadb.restart();
      await advance();
    }
  });

  test('afterwards every row is there exactly once and in order', { timeout: 120_000 }, async () => {
    expect(await producer.stop('SIGTERM'), producer.output).toBe(0);
    const { audit, items, plain, strayLetters } = await readAuditedDatabase(mariadb);
    const faults = auditFaults(producer.history(), audit, items, KEYS);
    // All of a large number would hide the first.
    expect(faults.slice(0, 20), `${faults.length} faults`).toEqual([]);
    expect(producer.history().spooled.size).toBeGreaterThan(LOOPS.client);
    // The table without triggers keeps the last row of each key only; of those that the client had made sure of, none is older.
    expect(staleKeys(producer.history(), plain, KEYS)).toEqual([]);
    expect(plain.every(({ n, padBytes }) => padBytes === n % 200)).toBe(true);
    expect(strayLetters).toBe(0);
  });
});
