import { execFile, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FaultProxy } from '../../src/chaos/fault-proxy.ts';
import { connect } from '../../src/client/client.ts';
import { createAuditedDatabase, readAuditedDatabase } from '../support/audited-database.ts';
import { freePort } from '../support/free-port.ts';
import { mariadbAvailable, startMariadb, type MariadbServer } from '../support/mariadb-server.ts';
import { redisAvailable, startRedis, type RedisServer } from '../support/redis-server.ts';
import { ServerProcess } from '../support/server-process.ts';

/** By each way; as many as you like: SYNCLINE_DELIVERY_ROWS=100000. */
const ROWS = Number(process.env['SYNCLINE_DELIVERY_ROWS'] ?? 5_000);
const ROWS_EACH = 100;
const REQUESTS = ROWS / ROWS_EACH;
/** Of whose answers nothing arrives. */
const CUT_EVERY = 10;
const CURLS = 4;
const TOKEN = 'default.deliveries';
const SYNCLINE_PHP = fileURLToPath(new URL('../../examples/syncline.php', import.meta.url));
const run = promisify(execFile);

describe.skipIf(!redisAvailable() || !mariadbAvailable() || !installed('php', ['-m'], 'curl') || !installed('curl', ['--version'], 'http'))(
  `${ROWS} rows arrive exactly once, although every tenth answer is cut off (skipped without Redis, MariaDB, php-curl and curl)`,
  () => {
    let redis: RedisServer;
    let mariadb: MariadbServer;
    let server: ServerProcess;
    let web: FaultProxy;
    let tcp: FaultProxy;

    beforeAll(async () => {
      [redis, mariadb] = [await startRedis({ args: ['--appendonly', 'yes'] }), await startMariadb()];
      await createAuditedDatabase(mariadb);
      const webPort = await freePort();
      const env = { SYNCLINE_QUEUE: redis.url, SYNCLINE_SINK: mariadb.url('shop'), SYNCLINE_TOKEN: TOKEN };
      server = await ServerProcess.create({ ...env, SYNCLINE_WEB_PORT: String(webPort) });
      await server.start();
      [web, tcp] = [await FaultProxy.start(webPort), await FaultProxy.start(server.tcpPort)];
    });
    afterAll(async () => {
      await Promise.all([web.close(), tcp.close()]);
      await server.stop();
      await Promise.all([redis.close(), mariadb.close()]);
    });

    /** Cuts off what is answered to every tenth request of `name`; returns how many of them were. */
    function cutAnswers(name: string): () => number {
      let cuts = 0;
      for (let i = 0; i < REQUESTS; i += CUT_EVERY) void web.cut('up', { answerTo: `${name}-${i}-of-deliveries\r\n` }).then(() => cuts++);
      return () => cuts;
    }

    /** Every row took effect once, and none is missing. */
    async function expectRows(gen: number): Promise<void> {
      const count = async () => (await readAuditedDatabase(mariadb)).items.filter((row) => row.gen === gen).length;
      await expect.poll(count, { timeout: 30_000, interval: 500 }).toBe(ROWS);
      const { audit, strayLetters } = await readAuditedDatabase(mariadb);
      const effects = audit.filter((row) => row.gen === gen);
      expect([effects.length, new Set(effects.map(({ id }) => id)).size, strayLetters]).toEqual([ROWS, ROWS, 0]);
    }

    /** The id of a row is unique over all ways. */
    const idOf = (gen: number, n: number) => gen * 10_000_000 + n;

    test('sent by examples/syncline.php', { timeout: 900_000 }, async () => {
      const cuts = cutAnswers('php');
      const code = `require '${SYNCLINE_PHP}';
        $syncline = new Syncline('http://127.0.0.1:${web.port}', '${TOKEN}');
        for ($request = 0; $request < ${REQUESTS}; $request++) {
          $changes = [];
          for ($n = $request * ${ROWS_EACH}; $n < ($request + 1) * ${ROWS_EACH}; $n++)
            $changes[] = ['table' => 'item', 'op' => 'insert', 'row' => ['id' => ${idOf(1, 0)} + $n, 'gen' => 1, 'n' => $n]];
          $answer = $syncline->send($changes, $request % 3 === 0 ? 'applied' : 'stored', "php-$request-of-deliveries");
          if ($answer['changes'] !== ${ROWS_EACH} || ($answer['rejected'] ?? 0) !== 0) throw new Exception(json_encode($answer));
        }`;
      await run('php', ['-r', code]);
      expect(cuts()).toBe(REQUESTS / CUT_EVERY);
      await expectRows(1);
    });

    test('sent by curl', { timeout: 900_000 }, async () => {
      const cuts = cutAnswers('curl');
      let next = 0;
      const send = async (request: number) => {
        const rows = Array.from({ length: ROWS_EACH }, (_, i) => request * ROWS_EACH + i);
        const lines = rows.map((n) => JSON.stringify({ table: 'item', op: 'insert', row: { id: idOf(2, n), gen: 2, n } }));
        const headers = [
          'Content-Type: application/x-ndjson',
          `Authorization: Bearer ${TOKEN}`,
          `Idempotency-Key: curl-${request}-of-deliveries`,
        ];
        const { stdout } = await run('curl', [
          ...['--silent', '--show-error', '--fail-with-body', '--retry', '5', '--retry-all-errors', '--retry-delay', '1'],
          ...headers.flatMap((header) => ['--header', header]),
          ...['--data-binary', lines.join('\n'), `http://127.0.0.1:${web.port}/api/v1/changes?ack=applied`],
        ]);
        expect(JSON.parse(stdout)).toMatchObject({ applied: ROWS_EACH, rejected: 0 });
      };
      const one = async () => {
        while (next < REQUESTS) await send(next++);
      };
      await Promise.all(Array.from({ length: CURLS }, one));
      expect(cuts()).toBe(REQUESTS / CUT_EVERY);
      await expectRows(2);
    });

    test('sent by the SDK', { timeout: 900_000 }, async () => {
      const client = await connect({ url: `tcp://127.0.0.1:${tcp.port}`, token: TOKEN });
      let losses = 0;
      client.on('disconnected', () => losses++);
      const items = client.table('item', { key: ['id'] });
      for (let n = 0; n < ROWS; n++) {
        await items.insert({ id: idOf(3, n), gen: 3, n });
        if (n % (ROWS_EACH * CUT_EVERY) !== 0) continue;
        await client.flush({ until: 'stored' });
        tcp.reset();
      }
      expect((await client.flush()).rejected).toBe(0);
      await client.close();
      expect(losses).toBeGreaterThan(REQUESTS / CUT_EVERY / 2);
      await expectRows(3);
    });
  },
);

/** Whether a program is there and says `word`; under CI its absence is an error. */
function installed(program: string, args: readonly string[], word: string): boolean {
  const { status, stdout } = spawnSync(program, args, { encoding: 'utf8' });
  const isThere = status === 0 && stdout.includes(word);
  if (!isThere && process.env['CI'] === 'true') throw new Error(`${program} with ${word} must be installed where CI=true`);
  return isThere;
}
