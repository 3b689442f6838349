import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect as connectTcp } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { connect } from '../../src/client/client.ts';
import { hashToken } from '../../src/ingest/producers.ts';
import { encodeFrame, FRAME } from '../../src/protocol/frame.ts';
import { encodeHello } from '../../src/protocol/messages.ts';
import { Canaries } from '../support/canaries.ts';
import { runSyncline } from '../support/cli-process.ts';
import { eventually } from '../support/eventually.ts';
import { mariadbAvailable, startMariadb } from '../support/mariadb-server.ts';
import { redisAvailable, startRedis } from '../support/redis-server.ts';
import { ServerProcess } from '../support/server-process.ts';

let folder: string;
let canaries: Canaries;
const running: { close(): Promise<unknown> }[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'syncline-secrets-'));
  canaries = new Canaries();
});
afterEach(async () => {
  for (const one of running.splice(0).toReversed()) await one.close();
  rmSync(folder, { recursive: true, force: true });
});

function keep<T extends { close(): Promise<unknown> }>(one: T): T {
  running.push(one);
  return one;
}

/** Runs a command and keeps what it says. */
async function run(args: readonly string[], env: Record<string, string>, cwd = folder, input?: string): Promise<number | null> {
  const { code, out, err } = await runSyncline(args, {
    env,
    cwd,
    ...(input === undefined ? {} : { input }),
    running: (child) => canaries.saw(`the arguments of ${args[0]}`, readFileSync(`/proc/${child.pid}/cmdline`, 'utf8')),
  });
  canaries.saw(`what ${args.join(' ')} says`, `${out}\n${err}`);
  return code;
}

test('the search finds a secret in every form that a program may write it in', () => {
  const secret = canaries.make('special');
  for (const text of [secret, encodeURIComponent(secret), JSON.stringify(secret), Buffer.from(secret).toString('base64')])
    canaries.saw('a text', `before ${text} after`);
  expect(canaries.leaks.length).toBe(4);
});

describe('what is wrong with a configuration is said without its secrets', () => {
  const secret = () => canaries.make('special');
  const encoded = () => encodeURIComponent(secret());

  test.each<[string, () => Record<string, unknown>]>([
    ['a token with blanks', () => ({ token: `${secret()} x` })],
    ['a token that is no text', () => ({ token: { value: secret() } })],
    ['a token in the place of its digest', () => ({ producers: [{ name: 'shop', tokens: [secret()] }] })],
    ['one that is no list', () => ({ producers: [{ name: 'shop', tokens: secret() }] })],
    ['an admin token that is no ASCII', () => ({ listen: { admin: { token: `${secret()}é` } } })],
    ['a URL where a section belongs', () => ({ queue: `redis://:${encoded()}@10.0.0.1:6379` })],
    ['a URL where a list belongs', () => ({ sinks: `mysql://app:${encoded()}@10.0.0.1/shop` })],
    ['a list of URLs', () => ({ sinks: [`mysql://app:${encoded()}@10.0.0.1/shop`] })],
    ['a URL of another system', () => ({ queue: { url: `amqp://app:${encoded()}@10.0.0.1` } })],
    ['a URL without a host', () => ({ queue: { url: `redis://:${encoded()}@` } })],
    ['a URL with a port that is none', () => ({ queue: { url: `redis://:${encoded()}@10.0.0.1:port` } })],
    ['a URL whose password is not encoded', () => ({ sinks: [{ url: `mysql://app:${secret()}@10.0.0.1/shop` }] })],
    ['a URL without a database', () => ({ sinks: [{ url: `mysql://app:${encoded()}@10.0.0.1` }] })],
    ['a URL with a % that encodes nothing', () => ({ sinks: [{ url: `mysql://app:${secret()}%zz@10.0.0.1/shop` }] })],
    ['a password at Sentinels that are not there', () => ({ queue: { url: 'sqlite:', sentinel: { password: secret() } } })],
    ['an unknown option', () => ({ tokn: secret(), sinks: [{ pasword: secret() }] })],
  ])('%s', async (_, options) => {
    writeFileSync(join(folder, 'syncline.yaml'), JSON.stringify(options()));
    const code = await run(['check-config'], {});
    // A password that is not encoded may look like another URL, which is shown as one.
    if (code === 1) expect(await run(['start'], {})).toBe(1);
    expect(canaries.leaks).toEqual([]);
  });

  test('YAML that is none', async () => {
    const plain = canaries.make();
    for (const text of [`token: *${plain}`, `token: "${plain}`, `a: b: ${plain}`, `token: &${plain} &x y`, `token: !${plain} [`]) {
      writeFileSync(join(folder, 'syncline.yaml'), text);
      expect(await run(['check-config'], {}), text).toBe(1);
    }
    expect(canaries.leaks).toEqual([]);
  });

  test.each([
    ['SYNCLINE_TOKEN', (value: string) => `${value} x`],
    ['SYNCLINE_TOKN', (value: string) => value],
    ['SYNCLINE_QUEUE', (value: string) => `postgres://:${encodeURIComponent(value)}@10.0.0.1`],
    ['SYNCLINE_SINK', (value: string) => `mysql://app:${value}@10.0.0.1`],
  ])('the variable %s', async (name, write) => {
    await run(['check-config'], { [name]: write(secret()) });
    expect(canaries.leaks).toEqual([]);
  });
});

const missing = redisAvailable() && mariadbAvailable() ? '' : ' (redis-server and mariadbd must be installed)';

test.skipIf(missing !== '')(
  `a server full of secrets tells none of them, whatever goes wrong${missing}`,
  { timeout: 120_000 },
  async () => {
    const [token, adminToken] = [canaries.make(), canaries.make()];
    const [shop, crm] = [canaries.make(), canaries.make()];
    const [redisPassword, mysqlPassword] = [canaries.make('special'), canaries.make('special')];
    const other = canaries.make('special');

    const redis = keep(await startRedis());
    await redis.command('ACL', 'SETUSER', 'app', 'on', `>${redisPassword}`, '~*', '&*', '+@all');
    const mariadb = keep(await startMariadb());
    await mariadb.query(['CREATE DATABASE shop', 'CREATE TABLE shop.item (id INT PRIMARY KEY, name VARCHAR(10))']);
    await mariadb.query([`CREATE USER app@'%' IDENTIFIED BY '${mysqlPassword}'`, "GRANT ALL ON shop.* TO app@'%'"]);

    const secrets = join(folder, 'secrets');
    mkdirSync(secrets);
    const queueUrl = (password: string, port = redis.port) => `redis://app:${encodeURIComponent(password)}@127.0.0.1:${port}`;
    const sinkUrl = (password: string, port = mariadb.port) => `mysql://app:${encodeURIComponent(password)}@127.0.0.1:${port}/shop`;
    const secretFile = (name: string, value: string) => writeFileSync(join(secrets, name), `${value}\n`);
    const configure = (options: object = {}) =>
      writeFileSync(
        join(folder, 'syncline.yaml'),
        JSON.stringify({
          tokenFile: join(secrets, 'token'),
          producers: [
            { name: 'shop', tokens: [hashToken(shop)] },
            { name: 'crm', tokens: [hashToken(crm)] },
          ],
          queue: { urlFile: join(secrets, 'queue') },
          sinks: [{ urlFile: join(secrets, 'sink') }],
          audit: { file: join(folder, 'audit.log') },
          ...options,
        }),
      );
    secretFile('token', token);
    secretFile('queue', queueUrl(redisPassword));
    secretFile('sink', sinkUrl(mysqlPassword));
    configure();
    const env = { SYNCLINE_ADMIN_TOKEN: adminToken, SYNCLINE_LOG_LEVEL: 'debug' };
    const reports = join(folder, 'reports');
    mkdirSync(reports);
    const server = keep(
      await ServerProcess.create(
        // What operators turn on to look into crashes.
        { ...env, NODE_OPTIONS: `--report-on-signal --report-uncaught-exception --report-directory=${reports}`, NODE_DEBUG: 'net,http' },
        { cwd: folder },
      ),
    );
    await server.start();

    // What goes well.
    const cli = { ...env, SYNCLINE_ADMIN_PORT: String(server.adminPort), SYNCLINE_TCP_PORT: String(server.tcpPort) };
    for (const secret of [token, shop, crm]) {
      const client = await connect({ url: server.url, token: secret });
      await client.table('item', { key: ['id'] }).upsert({ id: 1, name: 'a' });
      await client.table('item', { key: ['id'] }).upsert({ id: 2, name: 'too long for its column' });
      await client.flush();
      await client.close();
    }
    expect(await run(['status'], cli)).toBe(0);
    expect(await run(['status', '--json'], cli)).toBe(0);
    expect(await run(['check-config'], cli)).toBe(0);
    expect(await run(['dead-letters', 'list'], cli)).toBe(0);
    expect(await run(['dead-letters', 'show', '1'], cli)).toBe(0);
    expect(
      await run(
        ['send', '-', '-t', 'item', '--key', 'id'],
        { SYNCLINE_URL: server.url, SYNCLINE_TOKEN: shop },
        folder,
        '{"id":3,"name":"b"}',
      ),
    ).toBe(0);
    const get = async (path: string, authorization: string) => {
      const response = await fetch(`${server.adminUrl}${path}`, { headers: { authorization } });
      canaries.saw(`${path} as ${response.status}`, `${JSON.stringify([...response.headers])} ${await response.text()}`);
      return response.status;
    };
    for (const path of ['/metrics', '/api/v1/status', '/api/v1/drain', '/health/ready', '/nowhere']) {
      await get(path, `Bearer ${adminToken}`);
      // With every secret in a place where it does not belong.
      await get(path, `Basic ${Buffer.from(`admin:${adminToken}`).toString('base64')}`);
      await get(`${path}?token=${adminToken}`, `Bearer ${shop}`);
    }

    // What goes wrong at the doors.
    for (const secret of [adminToken, `${shop}x`, `shop.${crm}`]) {
      const failure = await connect({ url: server.url, token: secret }).catch((error: unknown) => error);
      expect(failure).toMatchObject({ code: 'auth_failed' });
      canaries.saw('the error of a client', String((failure as Error).stack));
    }
    const hello = (fields: object) =>
      encodeFrame({
        type: FRAME.hello,
        payload: encodeHello({ v: 1, token: shop, stream: 'f'.repeat(32), oldest: new Map(), agent: 'x', ...fields }),
      });
    const good = hello({});
    const damaged = Buffer.from(good).fill(0xff, 8, 12);
    for (const bytes of [
      damaged,
      good.subarray(0, 40),
      Buffer.concat([good, good]),
      hello({ v: 9 }),
      hello({ oldest: new Map([[999, 1]]) }),
      Buffer.from(`GET /?token=${shop} HTTP/1.1\r\n\r\n`),
    ]) {
      canaries.saw('the answer to a bad frame', await answerTo(server.tcpPort, bytes));
    }
    expect(await run(['send', '-', '-t', 'item'], { SYNCLINE_URL: server.url, SYNCLINE_TOKEN: `${shop}x` }, folder, '{"id":3}')).not.toBe(
      0,
    );
    expect(await run(['status'], { ...cli, SYNCLINE_ADMIN_TOKEN: other })).toBe(3);

    // What goes wrong behind it: reloads with errors, passwords that changed, services that are away.
    const reload = async () => {
      const before = server.output.length;
      server.signal('SIGHUP');
      await eventually(
        () => expect(server.output.slice(before)).toMatch(/configuration (was not )?loaded again|was not loaded again/),
        30_000,
      );
    };
    secretFile('sink', sinkUrl(other));
    await reload();
    secretFile('sink', `mysql://app:${other}@[nowhere/shop`);
    await reload();
    secretFile('sink', sinkUrl(mysqlPassword));
    secretFile('queue', queueUrl(other));
    await reload();
    configure({ token });
    await reload();
    configure({ queue: queueUrl(redisPassword) });
    await reload();
    secretFile('queue', queueUrl(redisPassword));
    configure();
    await reload();
    await redis.command('ACL', 'SETUSER', 'app', 'resetpass', '>changed');
    await redis.command('CLIENT', 'KILL', 'TYPE', 'normal');
    await mariadb.query([`SET PASSWORD FOR app@'%' = PASSWORD('changed')`]);
    for (const { id } of await mariadb.query(`SELECT id FROM information_schema.processlist WHERE user='app'`))
      await mariadb.query(`KILL ${Number(id)}`).catch(() => {});
    await eventually(async () => expect(await server.ready()).toBe(false), 30_000);
    await get('/api/v1/status', `Bearer ${adminToken}`);
    expect(await run(['status'], cli)).toBe(0);
    expect(await run(['dead-letters', 'list'], cli)).toBe(1);
    await redis.kill();
    await mariadb.kill('SIGKILL');
    await get('/api/v1/status', `Bearer ${adminToken}`);
    expect(await run(['dead-letters', 'list'], cli)).toBe(1);

    // What is left of it: arguments, reports, the audit log, and what it says when it starts without what it needs.
    canaries.saw('the arguments of the server', readFileSync(`/proc/${server.pid}/cmdline`, 'utf8'));
    server.signal('SIGUSR2');
    await eventually(() => expect(readdirSync(reports).length).toBe(1));
    await server.stop('SIGABRT');
    server.launch();
    await server.answers();
    await server.stop();
    for (const name of readdirSync(reports)) canaries.saw(`report ${name}`, readFileSync(join(reports, name), 'utf8'));
    canaries.saw('the audit log', readFileSync(join(folder, 'audit.log'), 'utf8'));
    canaries.saw('the log', server.output);
    expect(server.output).toContain('WRONGPASS');
    expect(canaries.searched).toBeGreaterThan(100_000);
    expect(canaries.leaks).toEqual([]);
  },
);

/** What a server says to `bytes` until it closes, as text. */
function answerTo(port: number, bytes: Uint8Array): Promise<string> {
  return new Promise((resolve) => {
    let answer = '';
    const socket = connectTcp(port, '127.0.0.1', () => socket.end(bytes));
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString('latin1')));
    socket.on('error', () => {});
    socket.on('close', () => resolve(answer));
  });
}
