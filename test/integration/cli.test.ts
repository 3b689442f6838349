import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { heldToPermissions, runSyncline } from '../support/cli-process.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { ServerProcess } from '../support/server-process.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'syncline-cli-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function write(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

describe('with a running server', () => {
  const TOKEN = 'default.for-this-test';
  let server: ServerProcess;
  let env: Record<string, string>;
  beforeAll(async () => {
    server = await ServerProcess.create({ SYNCLINE_TOKEN: TOKEN, SYNCLINE_TCP_HOST: '127.0.0.1' });
    await server.start();
    env = {
      SYNCLINE_DATA: server.data,
      SYNCLINE_TCP_PORT: String(server.tcpPort),
      SYNCLINE_ADMIN_PORT: String(server.adminPort),
      SYNCLINE_TOKEN: TOKEN,
    };
  });
  afterAll(() => server.close());

  function rows(sql: string): unknown[] {
    const db = new DatabaseSync(join(server.data, 'data.db'), { readOnly: true });
    try {
      return db
        .prepare(sql)
        .all()
        .map((row) => ({ ...row }));
    } finally {
      db.close();
    }
  }

  test('send puts the rows of an NDJSON file into the sink and says how many', async () => {
    const file = write(
      'city.ndjson',
      Array.from({ length: 20_000 }, (_, id) => `${JSON.stringify({ id, name: `city ${id}` })}\n`).join(''),
    );
    const { code, out, err } = await runSyncline(['send', file, '--table', 'city', '--key', 'id'], { env });
    expect([code, err]).toEqual([0, '']);
    expect(out).toMatch(/^20,000 rows in .* rows\/s: 20,000 applied, 0 rejected\n$/);
    expect(rows('SELECT count(*) AS n, sum(id) AS ids, max(name) AS last FROM city')).toEqual([
      { n: 20_000, ids: 199_990_000, last: 'city 9999' },
    ]);
  });

  test('send reads CSV, a JSON array and standard input alike', async () => {
    const csv = write('a.csv', 'id,name,note\n1,"a, ""b""\nc",\n2,ü,""\n');
    expect((await runSyncline(['send', csv, '-t', 'csv', '-k', 'id', '--types', 'id:int'], { env })).code).toBe(0);
    expect(rows('SELECT id, name, note FROM csv ORDER BY id')).toEqual([
      { id: 1, name: 'a, "b"\nc', note: null },
      { id: 2, name: 'ü', note: '' },
    ]);

    const json = write(
      'a.json',
      JSON.stringify(
        [
          { id: 1, n: 1 },
          { id: 2, n: 2 },
        ],
        null,
        2,
      ),
    );
    expect((await runSyncline(['send', json, '-t', 'json', '-k', 'id'], { env })).code).toBe(0);
    const input =
      '{"table":"json","op":"delete","key":["id"],"row":{"id":1}}\n{"table":"json","key":["id"],"row":{"id":3,"n":9007199254740993}}\n';
    expect((await runSyncline(['send', '-'], { env, input })).code).toBe(0);
    expect(rows('SELECT id, CAST(n AS TEXT) AS n FROM json ORDER BY id')).toEqual([
      { id: 2, n: '2' },
      { id: 3, n: '9007199254740993' },
    ]);
  });

  test('rejected rows are counted by code with examples, become dead letters, and can be retried or dropped', async () => {
    const input = ['{"id":1,"name":"new"}', '{"id":0,"name":"twice"}', 'junk', '{"id":99,"name":"also new"}'].join('\n');
    await runSyncline(['send', '-', '-t', 'person', '-k', 'id'], { env, input: '{"id":0,"name":"first"}' });
    const { code, out } = await runSyncline(['send', '-', '-t', 'person', '-k', 'id', '--op', 'insert'], { env, input });
    expect(code).toBe(1);
    expect(out).toMatch(/^4 rows in .*: 2 applied, 2 rejected\n/);
    expect(out).toContain('1 × duplicate_key\n    person: a row with this key exists: insert person {"id":0,"name":"twice"}\n');
    expect(out).toContain('1 × not sent\n    line 3 is not valid JSON\n');

    const list = await runSyncline(['dead-letters', 'list', '--json', '--table', 'person'], { env });
    const letters = list.out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(letters).toMatchObject([
      { table: 'person', op: 'insert', key: '[0]', code: 'duplicate_key', state: 'open', changes: [{ row: { id: 0, name: 'twice' } }] },
    ]);
    const id = String(letters[0].id);
    expect((await runSyncline(['dead-letters', 'show', id], { env })).out).toContain('"name": "twice"');

    const again = await runSyncline(['dead-letters', 'retry', id], { env });
    expect([again.code, again.out]).toEqual([1, '0 applied, 1 not\n']);
    expect(again.err).toContain('[duplicate_key]');
    expect((await runSyncline(['send', '-', '-t', 'person', '-k', 'id', '--op', 'delete'], { env, input: '{"id":0}' })).code).toBe(0);
    expect(await runSyncline(['dead-letters', 'retry', '--all'], { env })).toMatchObject({ code: 0, out: '1 applied, 0 not\n' });
    expect(rows('SELECT id, name FROM person ORDER BY id')).toEqual([
      { id: 0, name: 'twice' },
      { id: 1, name: 'new' },
      { id: 99, name: 'also new' },
    ]);
    expect(await runSyncline(['dead-letters', 'drop', id], { env })).toMatchObject({ code: 1, out: '0 dropped, 1 were not open\n' });
    expect((await runSyncline(['dead-letters', 'list'], { env })).out).toMatch(
      /^no dead letters that are open in sink main \(sqlite:.*\)\n$/,
    );
    expect((await runSyncline(['dead-letters', 'list', '--state', 'all', '--table', 'person'], { env })).out).toMatch(
      new RegExp(`^ +id +state +when .*\\n +${id} +retried `),
    );
  });

  test('status shows it', async () => {
    const { code, out } = await runSyncline(['status'], { env });
    expect(code).toBe(0);
    expect(out).toMatch(/^node .*\nready +yes\nqueue +sqlite, open, /);
  });

  test('a wrong token is told as such', async () => {
    const { code, err } = await runSyncline(['send', '-', '-t', 't'], {
      env: { ...env, SYNCLINE_TOKEN: 'default.wrong' },
      input: '{"id":1}',
    });
    expect(code).toBe(3);
    expect(err).toContain('auth_failed');
    expect(err).not.toContain('default.wrong');
  });

  test('a token in a file counts before one in the environment', async () => {
    const file = join(server.data, 'token');
    writeFileSync(file, `${TOKEN}\n`, { mode: 0o600 });
    const { code, out } = await runSyncline(['send', '-', '-t', 'by_file', '-k', 'id', '--token-file', file], {
      env: { ...env, SYNCLINE_TOKEN: 'default.wrong' },
      input: '{"id":1}',
    });
    expect([code, out]).toEqual([0, expect.stringContaining('1 applied')]);
  });

  test('SIGINT ends send, after what was sent is applied', async () => {
    const sent = runSyncline(['send', '-', '-t', 'endless', '-k', 'id'], {
      env,
      running: (child) => {
        child.stdin?.write(Array.from({ length: 100 }, (_, id) => `{"id":${id}}\n`).join(''));
        const poll = setInterval(() => {
          if (!tables().includes('endless')) return;
          clearInterval(poll);
          child.kill('SIGINT');
        }, 20);
      },
    });
    const { code, out } = await sent;
    expect(code).toBe(130);
    expect(out).toMatch(/^100 rows in .*: 100 applied, 0 rejected\n/);
    expect(rows('SELECT count(*) AS n FROM endless')).toEqual([{ n: 100 }]);
  });

  function tables(): unknown[] {
    return rows("SELECT name FROM sqlite_schema WHERE type = 'table'").map((row) => (row as { name: string }).name);
  }
});

describe('without a server', () => {
  test('send gives up, when it was told to, and says how many rows are not confirmed', async () => {
    const server = await ServerProcess.create();
    try {
      await server.start();
      const { code, out, err } = await runSyncline(['send', '-', '-t', 't', '-k', 'id', '--give-up', '1', '--url', server.url], {
        running: (child) => {
          // Only once it has been taken in: before that there is nothing to give up.
          void eventually(() => expect(server.output).toContain('stream opened'))
            .then(() => server.stop('SIGKILL'))
            .then(() => child.stdin?.end('{"id":1}\n{"id":2}\n'));
        },
      });
      expect(code).toBe(1);
      expect(out).toMatch(/^2 rows in .*: 0 applied, 0 rejected, 2 not confirmed\n$/);
      expect(err).toContain('nothing was applied for 1 s; connecting again: ');
    } finally {
      await server.close();
    }
  });

  test('send says that it found none', async () => {
    const { code, err } = await runSyncline(['send', '-', '-t', 't', '-k', 'id', '--url', 'tcp://127.0.0.1:1'], { input: '{"id":1}' });
    expect(code).toBe(3);
    expect(err).toMatch(/^syncline: not connected: .*tcp:\/\/127\.0\.0\.1:1 .*server_unavailable/);
  });
});

describe('start', () => {
  let busy: Server;
  let busyPort: number;
  beforeAll(async () => {
    busy = createServer();
    await new Promise<void>((resolve) => busy.listen(0, '127.0.0.1', resolve));
    busyPort = (busy.address() as { port: number }).port;
  });
  afterAll(() => busy.close());

  const start = async (env: Record<string, string>, args: readonly string[] = [], command?: readonly [string, ...string[]]) =>
    runSyncline(['start', ...args], {
      ...(command === undefined ? {} : { command }),
      cwd: folder,
      env: {
        SYNCLINE_DATA: join(folder, 'data'),
        SYNCLINE_TCP_PORT: '0',
        SYNCLINE_WEB_PORT: '0',
        SYNCLINE_ADMIN_PORT: '0',
        SYNCLINE_LOG_LEVEL: 'error',
        ...env,
      },
    });

  /** One line on standard error with code and hint, no stack, exit code 1. */
  function expectRefusal({ code, err }: { code: number | null; err: string }, ...parts: readonly string[]): void {
    expect(err).toMatch(/^syncline: .*\[\w+: .*\]\n$/);
    for (const part of parts) expect(err).toContain(part);
    expect(code).toBe(1);
  }

  test('refuses a configuration with a typo, and says where and what was meant', async () => {
    const file = write('typo.yaml', 'queue:\n  partitons: 4\n');
    expectRefusal(
      await start({}, ['--config', file]),
      'typo.yaml line 2: queue.partitons: unknown option; did you mean queue.partitions?',
      'bad_config',
    );
  });

  test('refuses a variable with a typo, and says what was meant', async () => {
    expectRefusal(
      await start({ SYNCLINE_QUEU: 'redis://127.0.0.1:6379' }),
      'SYNCLINE_QUEU: unknown variable; did you mean SYNCLINE_QUEUE (queue.url)?',
    );
  });

  test.each([
    ['SYNCLINE_TCP_PORT', 'listen.tcp.port'],
    ['SYNCLINE_ADMIN_PORT', 'listen.admin.port'],
    ['SYNCLINE_HEALTH_PORT', 'listen.admin.healthPort'],
  ])('refuses a port that is in use, and names it and its option: %s', async (variable, option) => {
    expectRefusal(
      await start({ SYNCLINE_HEALTH_HOST: '127.0.0.1', SYNCLINE_HEALTH_PORT: '0', [variable]: String(busyPort) }),
      `127.0.0.1:${busyPort} (EADDRINUSE): another process listens there; set ${option} to a free port`,
    );
  });

  const unusable = heldToPermissions() === undefined ? ['below a file'] : ['below a file', 'without permission'];
  test.each(unusable)('refuses a folder %s, names it and says what to set', async (kind) => {
    const parent = join(folder, kind.replaceAll(' ', '-'));
    if (kind === 'below a file') writeFileSync(parent, 'x');
    else mkdirSync(parent, { mode: 0o500 });
    expectRefusal(
      await start({ SYNCLINE_DATA: join(parent, 'data') }, [], heldToPermissions()),
      join(parent, 'data'),
      /below/.test(kind) ? 'ENOTDIR' : 'EACCES',
      'SYNCLINE_DATA',
    );
  });

  test('refuses a data folder that another server uses', async () => {
    const server = await ServerProcess.create();
    try {
      await server.start();
      expectRefusal(await start({ SYNCLINE_DATA: server.data }), 'queue_locked');
    } finally {
      await server.close();
    }
  });

  test('refuses another number of partitions than before', async () => {
    const data = join(folder, 'sixteen');
    mkdirSync(data);
    const first = await runSyncline(['start'], {
      env: { SYNCLINE_DATA: data, SYNCLINE_TCP_PORT: '0', SYNCLINE_WEB_PORT: '0', SYNCLINE_ADMIN_PORT: '0' },
      running: (child) => child.stdout?.on('data', (chunk: Buffer) => chunk.toString().includes('listening') && child.kill('SIGTERM')),
    });
    expect(first.code).toBe(0);
    expectRefusal(
      await start({ SYNCLINE_DATA: data, SYNCLINE_QUEUE_PARTITIONS: '8' }),
      'partitions 16 there, 8 here; use the recorded settings',
      'queue_mismatch',
    );
  });

  test('ends at SIGTERM and SIGINT with 0, and leaves nothing locked', async () => {
    const server = await ServerProcess.create();
    try {
      for (const signal of ['SIGTERM', 'SIGINT'] as const) {
        await server.start();
        expect(await server.stop(signal)).toBe(0);
      }
    } finally {
      await server.close();
    }
  });

  test('without an admin token does not show metrics and status where others can reach them', async () => {
    expectRefusal(await start({ SYNCLINE_ADMIN_HOST: '0.0.0.0' }), 'SYNCLINE_ADMIN_HOST', 'set listen.admin.token');
  });

  test('with an admin token asks for it, and status sends it', async () => {
    const server = await ServerProcess.create({ SYNCLINE_ADMIN_HOST: '0.0.0.0', SYNCLINE_ADMIN_TOKEN: 'hush' });
    try {
      await server.start();
      expect((await fetch(`http://127.0.0.1:${server.adminPort}/metrics`)).status).toBe(401);
      expect(await server.ready()).toBe(true);
      const env = { SYNCLINE_ADMIN_HOST: '0.0.0.0', SYNCLINE_ADMIN_PORT: String(server.adminPort), SYNCLINE_ADMIN_TOKEN: 'hush' };
      expect(await runSyncline(['status'], { env })).toMatchObject({ code: 0, err: '', out: expect.stringMatching(/^ready +yes$/m) });
    } finally {
      await server.close();
    }
  });

  test('without a token does not listen where others can reach it', async () => {
    expectRefusal(
      await start({ SYNCLINE_TCP_HOST: '0.0.0.0', SYNCLINE_TCP_PORT: String(await freePort()) }),
      'nobody is asked for a token',
    );
    expect(existsSync(join(folder, 'syncline-data'))).toBe(false);
  });
});
