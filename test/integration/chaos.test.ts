import { existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Report } from '../../src/chaos/report.ts';
import { PLANTED_BUGS } from '../simulation/planted-bugs.ts';
import { runSyncline } from '../support/cli-process.ts';
import { mariadbAvailable, startMariadb, type MariadbServer } from '../support/mariadb-server.ts';
import { redisAvailable, startRedis, type RedisServer } from '../support/redis-server.ts';
import { ServerProcess } from '../support/server-process.ts';
import { patchedEnv } from '../support/source-patches.ts';

/** A run takes its time, and this machine may have more to do. */
const RUN_MS = 240_000;
const TOKEN = 'default.for-this-test';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'syncline-chaos-test-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function chaos(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const report = join(mkdtempSync(join(folder, 'run-')), 'report.json');
  // Its temporary files in a folder that can be looked into afterwards.
  const temp = mkdtempSync(join(folder, 'temp-'));
  const result = await runSyncline(['chaos', '--report', report, ...args], { env: { TMPDIR: temp, ...env }, cwd: folder });
  const text = existsSync(report) ? readFileSync(report, 'utf8') : '';
  return { ...result, report: (text === '' ? undefined : JSON.parse(text)) as Report, leftBehind: readdirSync(temp) };
}

const onlyFaults = (...names: string[]) => names.flatMap((name) => ['--fault', name]);
const timesOf = (report: Report) => Object.fromEntries(report.faults.map(({ fault, count }) => [fault, count]));

describe('without a server', () => {
  test(
    'starts one of its own, kills it and its clients, finds nothing wrong and leaves nothing behind',
    async () => {
      const { code, out, err, report, leftBehind } = await chaos([
        ...['--count', '6', '--duration', '10m', '--every', '200ms', '--clients', '2', '--seed', '11'],
        ...onlyFaults('kill-server', 'kill-client', 'cut'),
      ]);
      expect(out).toContain('Nothing was wrong');
      expect([code, err]).toEqual([0, '']);
      expect(report).toMatchObject({ ok: true, seed: 11, server: 'embedded', triggers: true, findings: [], hookFailures: [] });
      expect(timesOf(report)).toEqual({ 'kill-server': 2, 'kill-client': 2, cut: 2 });
      expect(report.totals.sent).toBeGreaterThan(100);
      expect(report.totals.lives).toBeGreaterThan(2);
      expect(leftBehind).toEqual([]);
    },
    RUN_MS,
  );

  test(
    'ends early at Ctrl-C, with a report of what was done',
    async () => {
      let [seen, struck] = ['', false];
      const result = await runSyncline(['chaos', '--duration', '1h', '--every', '200ms', '--rate', '100', '--fault', 'reset'], {
        cwd: folder,
        running: (process) =>
          process.stdout?.on('data', (chunk: Buffer) => {
            seen += chunk.toString();
            // Once: whoever asks twice does not want to wait.
            if (struck || !seen.includes('again after')) return;
            struck = true;
            process.kill('SIGINT');
          }),
      });
      expect(result.out).toMatch(/ended early after .*\n(.*\n)+.*Nothing was wrong/);
      expect([result.code, result.err]).toEqual([130, '']);
    },
    RUN_MS,
  );
});

test(
  'a server with a planted bug loses what it has to report, and the audit finds it',
  async () => {
    const bug = PLANTED_BUGS.find(({ name }) => name === 'poison is skipped in silence');
    const patches = bug?.patches.map((patch) => ({ ...patch, name: bug.name })) ?? [];
    expect(patches).not.toEqual([]);
    const args = ['--count', '3', '--duration', '10m', '--every', '500ms', '--clients', '2', '--rate', '1500', ...onlyFaults('reset')];
    const { code, report } = await chaos(args, patchedEnv(patches));
    expect(report.findings[0]?.text).toMatch(/^strict: client 1, life 1, step 25 had to be refused and is no dead letter$/);
    expect(code).toBe(1);
  },
  RUN_MS,
);

describe('with a server and its SQLite sink', () => {
  let server: ServerProcess;
  let target: string[];
  beforeAll(async () => {
    server = await ServerProcess.create({ SYNCLINE_TOKEN: TOKEN, SYNCLINE_TCP_HOST: '127.0.0.1' });
    await server.start();
    target = [
      '--url',
      server.url,
      '--sink',
      `sqlite:${join(server.data, 'data.db')}`,
      '--duration',
      '10m',
      '--count',
      '2',
      '--every',
      '200ms',
    ];
  });
  afterAll(() => server.close());

  /** Runs SQL on the sink's file. */
  function sink(sql: string): unknown[] {
    const db = new DatabaseSync(join(server.data, 'data.db'));
    try {
      return db.prepare(sql).all();
    } finally {
      db.close();
    }
  }

  const tables = () => sink("SELECT name FROM sqlite_schema WHERE name LIKE 'chaos%'");

  afterEach(() => expect(tables()).toEqual([]));

  test(
    'checks it, drops its tables and closes its dead letters',
    async () => {
      const { code, report, out } = await chaos([...target, '--rate', '1500', ...onlyFaults('reset', 'cut')], { SYNCLINE_TOKEN: TOKEN });
      expect(out).toContain('Nothing was wrong');
      expect(code).toBe(0);
      expect(report.totals.refused).toBeGreaterThan(0);
      expect(
        sink("SELECT DISTINCT state FROM syncline_dead_letter WHERE table_name LIKE 'chaos%'").map((row) => ({ ...(row as object) })),
      ).toEqual([{ state: 'dropped' }]);
    },
    RUN_MS,
  );

  test.each([
    ['loses a row', 'DELETE FROM TABLE_journal WHERE n = 3', ['lost']],
    ['changes a row', 'UPDATE TABLE_journal SET n = 1000000 WHERE n = 3 AND client = 1', ['lost', 'unexplained']],
    ['gets a row from somebody else', "INSERT INTO TABLE_state VALUES (1, 1, 999, 1, '')", ['unexplained']],
    [
      'does a change twice',
      'INSERT INTO TABLE_log (client, life, id, n, op) SELECT client, life, id, n, op FROM TABLE_log LIMIT 1',
      ['duplicated'],
    ],
    [
      'applies a row that was refused',
      "INSERT INTO TABLE_strict SELECT 1, 1, 25, 'good' WHERE EXISTS (SELECT * FROM TABLE_journal WHERE client = 1 AND life = 1 AND n > 25)",
      ['refused but applied'],
    ],
  ])(
    'fails when the database %s behind its back',
    async (_, statement, kinds) => {
      // The last thing that happens: the only command, and one that runs once.
      const script = join(folder, 'tamper.mjs');
      writeFileSync(script, tamper(join(server.data, 'data.db'), statement));
      const { code, report } = await chaos([...target, '--fault', 'tamper', '--inject', `tamper=${process.execPath} ${script}`], {
        SYNCLINE_TOKEN: TOKEN,
      });
      expect(report.hookFailures).toEqual([]);
      expect(Object.entries(report.damage).flatMap(([kind, count]) => (count > 0 ? [kind] : []))).toEqual(kinds);
      expect([code, report.ok]).toEqual([1, false]);
    },
    RUN_MS,
  );

  test(
    'says which command failed, and how',
    async () => {
      const { code, report, out } = await chaos([...target, '--fault', 'break', '--inject', 'break=echo no such host >&2; exit 7'], {
        SYNCLINE_TOKEN: TOKEN,
      });
      expect(code).toBe(1);
      expect(report.hookFailures[0]).toEqual({ fault: 'break', failure: 'ended with exit code 7: no such host' });
      expect(out).toContain('FAILED: the command ended with exit code 7: no such host');
    },
    RUN_MS,
  );

  test('says that the token is not taken', async () => {
    const { code, err, out } = await chaos(target, { SYNCLINE_TOKEN: 'default.wrong' });
    expect(err).toContain(`syncline: the server at ${server.url} does not take this token`);
    expect([code, out]).toEqual([3, '']);
  });

  test('says that the database is another one than the server applies to', async () => {
    const other = join(folder, 'other.db');
    const db = new DatabaseSync(other);
    db.exec('CREATE TABLE IF NOT EXISTS x (id)');
    const args = ['--url', server.url, '--sink', `sqlite:${other}`];
    const never = await chaos(args, { SYNCLINE_TOKEN: TOKEN });
    expect(never.err).toContain(`no server of Syncline has ever applied to ${other}`);
    db.exec("CREATE TABLE syncline_meta (name, value); INSERT INTO syncline_meta VALUES ('partitions', '16')");
    db.exec('CREATE TABLE syncline_dead_letter (id INTEGER, table_name TEXT, state TEXT)');
    const { code, err } = await chaos(args, { SYNCLINE_TOKEN: TOKEN });
    expect(err).toContain(`the server at ${server.url} applied a row, and it is not in ${other}: it applies changes to another database`);
    expect([never.code, code]).toEqual([1, 1]);
    expect(db.prepare("SELECT name FROM sqlite_schema WHERE name LIKE 'chaos%'").all()).toEqual([]);
    db.close();
    // The server's own sink creates tables by itself, which the message tells.
    for (const row of tables()) sink(`DROP TABLE ${(row as { name: string }).name}`);
  });

  test('leaves a table alone that it did not make', async () => {
    sink('CREATE TABLE chaos_syncline_mine (id)');
    const { code, err } = await chaos(target, { SYNCLINE_TOKEN: TOKEN });
    expect(err).toContain('table chaos_syncline_mine, which syncline chaos did not make and would not touch; rename it');
    expect(code).toBe(1);
    expect(tables()).toHaveLength(1);
    sink('DROP TABLE chaos_syncline_mine');
  });

  test(
    'removes what a killed run left behind, and does not begin beside one that is under way',
    async () => {
      const killed = await runSyncline(['chaos', ...target, '--count', '1000'], {
        cwd: folder,
        // Who is killed leaves temporary files behind.
        env: { SYNCLINE_TOKEN: TOKEN, TMPDIR: folder },
        running: (process) => process.stdout?.on('data', (chunk: Buffer) => chunk.toString().includes('again') && process.kill('SIGKILL')),
      });
      expect(killed.code).toBe(null);
      expect(tables().length).toBeGreaterThan(0);
      const { code, out } = await chaos(target, { SYNCLINE_TOKEN: TOKEN });
      expect(out).toContain('tables that an earlier run left behind');
      expect(code).toBe(0);

      let second: Awaited<ReturnType<typeof chaos>> | undefined;
      await runSyncline(['chaos', ...target, '--count', '1000'], {
        cwd: folder,
        env: { SYNCLINE_TOKEN: TOKEN },
        running(process) {
          const seen = (chunk: Buffer) => {
            if (!chunk.toString().includes('again')) return;
            process.stdout?.off('data', seen);
            void chaos(target, { SYNCLINE_TOKEN: TOKEN }).then((result) => {
              second = result;
              process.kill('SIGINT');
            });
          };
          process.stdout?.on('data', seen);
        },
      });
      expect(second?.err).toContain('another run of syncline chaos is under way');
      expect(second?.code).toBe(1);
    },
    RUN_MS,
  );
});

/** A program that changes the tables of the run that is under way, once. */
function tamper(file: string, statement: string): string {
  return `import { existsSync, writeFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
const db = new DatabaseSync(${JSON.stringify(file)}, { timeout: 10000 });
const { name } = db.prepare("SELECT name FROM sqlite_schema WHERE name LIKE 'chaos%_journal'").get();
const prefix = name.slice(0, -'_journal'.length);
const once = import.meta.filename + '.' + prefix;
const change = db.prepare(${JSON.stringify(statement)}.replaceAll('TABLE', prefix));
// The rows that it is about may not be there yet.
while (!existsSync(once)) if (change.run().changes > 0) writeFileSync(once, '');
`;
}

describe.skipIf(!redisAvailable() || !mariadbAvailable())('with Redis and MariaDB (skipped where they are not installed)', () => {
  let redis: RedisServer;
  let mariadb: MariadbServer;
  let server: ServerProcess;
  beforeAll(async () => {
    redis = await startRedis({ args: ['--appendonly', 'yes', '--appendfsync', 'everysec'] });
    mariadb = await startMariadb();
    await mariadb.query([
      'CREATE DATABASE shop',
      "CREATE USER plain@'127.0.0.1' IDENTIFIED BY 'secret'",
      "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP ON shop.* TO plain@'127.0.0.1'",
      "CREATE USER reader@'127.0.0.1'",
      "GRANT SELECT ON shop.* TO reader@'127.0.0.1'",
    ]);
    server = await ServerProcess.create({ SYNCLINE_QUEUE: redis.url, SYNCLINE_SINK: mariadb.url('shop'), SYNCLINE_APPLY_LEASE_MS: '1000' });
    await server.start();
  });
  afterAll(async () => {
    await server.close();
    await redis.close();
    await mariadb.close();
  });

  const tables = async () => mariadb.query("SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_NAME LIKE 'chaos%'");

  test(
    'kills all three with the commands that it was given, and finds nothing wrong',
    async () => {
      const pids = { server: () => server.pid, redis: () => redis.pid, database: () => mariadb.pid };
      const supervisor = new Supervisor(server, redis, mariadb);
      const kills = Object.keys(pids).flatMap((name) => [`--kill-${name}`, `kill -9 $(cat ${join(folder, name)})`]);
      // At once: a command may read the file at any moment.
      const writePids = () => {
        for (const [name, pid] of Object.entries(pids)) {
          const file = join(folder, name);
          writeFileSync(`${file}.new`, String(pid()));
          renameSync(`${file}.new`, file);
        }
      };
      writePids();
      supervisor.start(writePids);
      try {
        const { code, report, out } = await chaos([
          ...['--url', server.url, '--sink', mariadb.url('shop'), '--duration', '10m', '--every', '200ms', '--clients', '2'],
          ...['--count', '5'],
          ...kills,
          ...onlyFaults('kill-server', 'kill-redis', 'kill-database', 'kill-client', 'reset'),
        ]);
        expect(out).toContain('Nothing was wrong');
        expect(code).toBe(0);
        expect(report).toMatchObject({ triggers: true, hookFailures: [], findings: [] });
        expect(timesOf(report)).toEqual({ 'kill-server': 1, 'kill-redis': 1, 'kill-database': 1, 'kill-client': 1, reset: 1 });
        expect(await tables()).toEqual([]);
      } finally {
        await supervisor.stop();
      }
    },
    RUN_MS,
  );

  test(
    'does without triggers where its user may not create them, and finds a row that was deleted all the same',
    async () => {
      const sink = `mysql://plain:secret@127.0.0.1:${mariadb.port}/shop`;
      const quick = ['--duration', '10m', '--every', '200ms', '--clients', '2', ...onlyFaults('reset')];
      const args = ['--url', server.url, '--sink', sink, ...quick, '--count'];
      const good = await chaos([...args, '2']);
      expect(good.report.triggers).toContain('TRIGGER command denied');
      expect(good.out).not.toContain('secret');
      expect(good.code).toBe(0);

      const deleteOne = async () => {
        const journal = (await tables()).map((row) => String(row['TABLE_NAME'])).find((name) => name.endsWith('_journal'));
        await mariadb.query(`DELETE FROM shop.${journal} WHERE client = 1 AND n = 1`);
      };
      let deleted = false;
      const bad = await runSyncline(['chaos', ...args, '1000'], {
        cwd: folder,
        running: (process) =>
          process.stdout?.on('data', (chunk: Buffer) => {
            if (deleted || !chunk.toString().includes('again')) return;
            deleted = true;
            void deleteOne().then(() => process.kill('SIGINT'));
          }),
      });
      expect(bad.out).toContain('lost: journal: client 1, life 1, step 1 is missing');
      expect(bad.code).toBe(1);
      expect(await tables()).toEqual([]);
    },
    RUN_MS,
  );

  test('says which rights are missing, and where the database is away', async () => {
    const denied = await chaos(['--url', server.url, '--sink', `mysql://reader@127.0.0.1:${mariadb.port}/shop`]);
    expect(denied.err).toContain('chaos needs CREATE, DROP, SELECT, INSERT, UPDATE and DELETE there');
    const away = await chaos(['--url', server.url, '--sink', 'mysql://reader:hush@127.0.0.1:1/shop']);
    expect(away.err).toContain('the sink mysql://reader:***@127.0.0.1:1/shop cannot be used');
    expect(denied.code).toBe(1);
    expect(away.code).toBe(3);
  });
});

/** Starts again what was killed, as a service manager does. */
class Supervisor {
  readonly #server: ServerProcess;
  readonly #redis: RedisServer;
  readonly #mariadb: MariadbServer;
  #running: Promise<void> | undefined;
  #stopping = false;

  constructor(server: ServerProcess, redis: RedisServer, mariadb: MariadbServer) {
    this.#server = server;
    this.#redis = redis;
    this.#mariadb = mariadb;
  }

  start(restarted: () => void): void {
    this.#running = this.#watch(restarted);
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#running;
  }

  async #watch(restarted: () => void): Promise<void> {
    while (!this.#stopping) {
      if (!this.#server.running) await this.#server.start();
      if (!isAlive(this.#redis.pid)) await this.#redis.restart();
      if (!isAlive(this.#mariadb.pid)) await this.#mariadb.restart();
      restarted();
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
