import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FaultProxy } from '../../src/chaos/fault-proxy.ts';
import { systemClock } from '../../src/core/clock.ts';
import { openSink } from '../../src/sinks/registry.ts';
import { createAuditedDatabase, readAuditedDatabase } from '../support/audited-database.ts';
import { createHttpWorld, TOKEN, type HttpWorld } from '../support/http-world.ts';
import { mariadbAvailable, startMariadb, type MariadbServer } from '../support/mariadb-server.ts';

const REQUESTS = 400;
const ROWS_EACH = 50;
const SENDERS = 4;

describe.skipIf(!mariadbAvailable())(
  '20,000 rows with Idempotency-Keys, where every tenth answer is cut off (skipped without MariaDB)',
  () => {
    let mariadb: MariadbServer;
    let world: HttpWorld;
    let proxy: FaultProxy;
    beforeAll(async () => {
      mariadb = await startMariadb();
      await createAuditedDatabase(mariadb);
      world = await createHttpWorld({
        openSink: () => openSink({ name: 'main', url: mariadb.url('shop'), schema: 'strict', clock: systemClock }),
      });
      proxy = await FaultProxy.start(world.server.port);
    }, 60_000);
    afterAll(async () => {
      await proxy.close();
      await world[Symbol.asyncDispose]();
      await mariadb.close();
    });

    /** As a site would send it: again with the same key until it is answered. Returns how often it was sent. */
    async function send(request: number): Promise<number> {
      const rows = Array.from({ length: ROWS_EACH }, (_, i) => ({ id: request * ROWS_EACH + i, gen: 1, n: i }));
      const body = JSON.stringify(rows.map((row) => ({ table: 'item', op: 'insert', row })));
      const headers = { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json', 'idempotency-key': `request-${request}` };
      for (let attempt = 1; ; attempt++) {
        const ack = request % 3 === 0 ? 'stored' : 'applied';
        const answer = await fetch(`http://127.0.0.1:${proxy.port}/api/v1/changes?ack=${ack}`, { method: 'POST', body, headers }).catch(
          () => undefined,
        );
        if (answer?.ok === true) {
          const result = (await answer.json()) as { changes: number; rejected?: number };
          expect([result.changes, result.rejected ?? 0]).toEqual([ROWS_EACH, 0]);
          return attempt;
        }
        await answer?.text();
        await delay(20);
      }
    }

    test('arrive exactly once', async () => {
      let next = 0;
      let again = 0;
      let cuts = 0;
      const sender = async () => {
        while (next < REQUESTS) {
          const request = next++;
          if (request % 10 === 0) void proxy.cut('up', { answerTo: `request-${request}\r\n` }).then(() => cuts++);
          if (request === REQUESTS / 2) world.queue.wipe();
          const attempts = await send(request);
          again += attempts - 1;
        }
      };
      await Promise.all(Array.from({ length: SENDERS }, sender));
      expect(cuts).toBe(REQUESTS / 10);
      expect(again).toBeGreaterThanOrEqual(cuts);
      await expect.poll(async () => (await readAuditedDatabase(mariadb)).items.length, { timeout: 20_000 }).toBe(REQUESTS * ROWS_EACH);
      const { audit, strayLetters } = await readAuditedDatabase(mariadb);
      expect([audit.length, new Set(audit.map(({ id }) => id)).size, strayLetters]).toEqual([
        REQUESTS * ROWS_EACH,
        REQUESTS * ROWS_EACH,
        0,
      ]);
    }, 120_000);
  },
);
