import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { networkInterfaces, tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { endWithUs } from '../../src/chaos/end-with-us.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { haproxyAvailable, startHaproxy } from '../support/haproxy.ts';
import { startHealthStub } from '../support/health-stub.ts';
import { RawSession } from '../support/raw-session.ts';
import { redisAvailable, startRedis, type RedisServer } from '../support/redis-server.ts';
import { ServerProcess } from '../support/server-process.ts';
import { ROOT } from '../support/source-files.ts';
import { systemdAvailable } from '../support/systemd.ts';
import { toolAvailable } from '../support/tool.ts';

const DEPLOY = `${ROOT}deploy/`;
let folder: string;
/** Whatever a test started, ended in the opposite order. */
const running: { close(): unknown }[] = [];

function keep<T extends { close(): unknown }>(one: T): T {
  running.push(one);
  return one;
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'syncline-deploy-'));
});
afterEach(async () => {
  for (const one of running.splice(0).toReversed()) await one.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Copies a file of deploy into the folder of the test, with what is different here. */
function adapted(path: string, changes: readonly (readonly [from: string | RegExp, to: string])[]): string {
  let text = readFileSync(`${DEPLOY}${path}`, 'utf8');
  for (const [from, to] of changes) {
    if (!(typeof from === 'string' ? text.includes(from) : from.test(text))) throw new Error(`${path} does not hold ${from}`);
    text = text.replaceAll(from, to);
  }
  const copy = join(folder, path.replaceAll('/', '-'));
  writeFileSync(copy, text);
  return copy;
}

function makeSecrets(): (name: string) => string {
  execFileSync('sh', [`${DEPLOY}make-secrets.sh`, join(folder, 'secrets')]);
  return (name) => readFileSync(join(folder, 'secrets', name), 'utf8').trim();
}

describe('make-secrets.sh', () => {
  test('makes secrets that nobody else can list, and keeps those that are there', () => {
    const secret = makeSecrets();
    expect(statSync(join(folder, 'secrets')).mode & 0o777).toBe(0o700);
    const names = readdirSync(join(folder, 'secrets'));
    const all = names.map(secret);
    expect(new Set(all).size).toBe(names.length);
    expect(secret('token')).toMatch(/^default\.[0-9a-f]{64}$/);
    expect(secret('queue-url')).toBe(
      `redis+sentinel://:${secret('redis-password')}@sentinel-1:26379,sentinel-2:26379,sentinel-3:26379/syncline`,
    );
    makeSecrets();
    expect(readdirSync(join(folder, 'secrets')).map(secret)).toEqual(all);
  });
});

describe.skipIf(!redisAvailable())('deploy/redis (skipped without redis-server)', () => {
  let secret: (name: string) => string;

  /** A server with one of the files, and the further arguments that are different here. */
  async function start(name: 'primary' | 'replica', ...args: string[]): Promise<RedisServer> {
    const dir = join(folder, name);
    mkdirSync(dir);
    const port = await freePort();
    const here: [string, string][] = [['/etc/redis/', `${folder}/`]];
    if (name === 'primary') here.push(['dir /data', `dir ${dir}`]);
    const file = adapted(`redis/${name}.conf`, here);
    if (name === 'primary') copyFileSync(file, join(folder, 'primary.conf'));
    const different = ['--port', String(port), '--bind', '127.0.0.1', '--dir', dir, ...args];
    return keep(await startRedis({ port, dir, password: secret('redis-password'), args: ['--include', file, ...different] }));
  }

  async function startSentinel(number: number, primary: RedisServer): Promise<number> {
    const port = await freePort();
    const dir = join(folder, `sentinel-${number}`);
    mkdirSync(dir);
    const file = adapted('redis/sentinel.conf', [
      ['/etc/redis/', `${folder}/`],
      ['redis-1 6379', `127.0.0.1 ${primary.port}`],
      ['dir /data', `dir ${dir}`],
      ['port 26379', `port ${port}`],
      ['bind * -::*', 'bind 127.0.0.1'],
    ]);
    const own = join(dir, 'sentinel.conf');
    copyFileSync(file, own);
    const child = spawn('redis-server', [own, '--sentinel'], { stdio: 'ignore' });
    endWithUs(child);
    keep({ close: () => end(child) });
    return port;
  }

  const ask = (port: number, password: string, ...command: string[]): string =>
    execFileSync('redis-cli', ['-p', String(port), '--no-auth-warning', ...command], {
      encoding: 'utf8',
      env: { ...process.env, REDISCLI_AUTH: password },
    }).trim();

  beforeEach(() => {
    secret = makeSecrets();
    cpSync(join(folder, 'secrets', 'redis-auth.conf'), join(folder, 'auth.conf'));
    cpSync(join(folder, 'secrets', 'sentinel-auth.conf'), join(folder, 'sentinel-auth.conf'));
  });

  test('primary and replica start and keep what is written, and either goes on without the other', async () => {
    const primary = await start('primary');
    const password = secret('redis-password');
    const set = (port = primary.port) => ask(port, password, 'SET', 'x', '1');
    expect(set()).toBe('OK');
    const replica = await start('replica', '--replicaof', '127.0.0.1', String(primary.port));
    await eventually(() => expect(ask(replica.port, password, 'GET', 'x')).toBe('1'));
    for (const [option, value] of Object.entries({
      'maxmemory-policy': 'noeviction',
      appendonly: 'yes',
      appendfsync: 'everysec',
      'repl-backlog-size': String(128 * 1024 * 1024),
      'client-output-buffer-limit': 'slave 536870912 268435456 60',
    })) {
      for (const { port } of [primary, replica]) expect(ask(port, password, 'CONFIG', 'GET', option), option).toContain(value);
    }
    await primary.kill();
    expect(ask(replica.port, password, 'REPLICAOF', 'NO', 'ONE')).toBe('OK');
    expect(set(replica.port)).toBe('OK');
  });

  test('a node is ready on it', async () => {
    const primary = await start('primary');
    const url = `redis://:${secret('redis-password')}@127.0.0.1:${primary.port}`;
    const server = keep(await ServerProcess.create({ SYNCLINE_QUEUE: url }));
    await server.start();
    await eventually(async () => expect(await server.ready()).toBe(true));
    expect((await server.status()).queue).toMatchObject({ kind: 'redis', admission: 'open' });
  });

  test('three Sentinels agree, and give the role to the replica when the primary dies', async () => {
    const primary = await start('primary');
    const replica = await start('replica', '--replicaof', '127.0.0.1', String(primary.port));
    const password = secret('sentinel-password');
    const ports = [await startSentinel(1, primary), await startSentinel(2, primary), await startSentinel(3, primary)];
    const address = () => ask(ports[0] as number, password, 'SENTINEL', 'get-master-addr-by-name', 'syncline').split('\n');
    await eventually(() => {
      expect(ask(ports[0] as number, password, 'SENTINEL', 'ckquorum', 'syncline')).toContain('OK 3 usable Sentinels');
      expect(ask(ports[0] as number, password, 'SENTINEL', 'replicas', 'syncline')).toContain(String(replica.port));
    }, 30_000);
    expect(address()).toEqual(['127.0.0.1', String(primary.port)]);
    await primary.kill();
    await eventually(() => expect(address()).toEqual(['127.0.0.1', String(replica.port)]), 60_000);
  }, 120_000);
});

describe('the health check of the image', () => {
  test('passes while the server answers, and fails when it is gone', async () => {
    const [, command = ''] = /HEALTHCHECK .*\n +CMD (\[.*\])/.exec(readFileSync(`${DEPLOY}Dockerfile`, 'utf8')) ?? [];
    const [program, ...args] = JSON.parse(command) as string[];
    expect(program).toBe('node');
    const server = keep(await ServerProcess.create());
    const check = () => spawnSync(process.execPath, args, { env: { SYNCLINE_ADMIN_PORT: String(server.adminPort) } }).status;
    expect(check()).toBe(1);
    await server.start();
    expect(check()).toBe(0);
  });
});

const stream = toolAvailable('nginx', '-v');

describe.skipIf(!stream)('deploy/nginx (skipped without nginx)', () => {
  test('is valid, and a node behind it sees the address of the client', async () => {
    const [port, webPort, nodeWebPort] = [await freePort(), await freePort(), await freePort()];
    const proxied = { SYNCLINE_TCP_PROXY_FROM: '127.0.0.1', SYNCLINE_WEB_PROXY_FROM: '127.0.0.1' };
    const server = keep(await ServerProcess.create({ ...proxied, SYNCLINE_WEB_PORT: String(nodeWebPort) }));
    await server.start();
    const config = adapted('nginx/nginx.conf', [
      ['listen 9501', `listen 127.0.0.1:${port}`],
      ['listen 9502', `listen 127.0.0.1:${webPort}`],
      ['10.0.0.1:9502', `127.0.0.1:${nodeWebPort}`],
      ['10.0.0.2:9502', `127.0.0.1:${await freePort()}`],
      ['10.0.0.1:9501', `127.0.0.1:${server.tcpPort}`],
      ['10.0.0.2:9501', `127.0.0.1:${await freePort()}`],
      ['/run/nginx.pid', `${folder}/nginx.pid`],
      ['/var/log/nginx/', `${folder}/`],
    ]);
    const args = ['-e', join(folder, 'error.log'), '-c', config];
    const checked = spawnSync('nginx', ['-t', ...args], { encoding: 'utf8' });
    expect(checked.stderr).toContain('test is successful');
    expect(checked.status).toBe(0);
    const child = spawn('nginx', [...args, '-g', 'daemon off;'], { stdio: 'ignore' });
    endWithUs(child);
    keep({ close: () => end(child, 'SIGTERM') });
    await eventually(async () => {
      const session = new RawSession(port, '127.0.0.7', '7'.repeat(32));
      keep(session);
      await eventually(() => expect(session.isOpen).toBe(true), 1_000);
    });
    expect((await server.status()).sessions.addresses).toEqual({ '127.0.0.7': 1 });
    expect((await fetch(`http://127.0.0.1:${webPort}/api/v1`)).status).toBe(200);
    expect(server.output).not.toContain('bad_proxy_header');
  });
});

describe.skipIf(!toolAvailable('keepalived', '--version'))('deploy/keepalived (skipped without keepalived)', () => {
  const device = Object.entries(networkInterfaces()).find(([, addresses]) => addresses?.every(({ internal }) => !internal))?.[0];

  test.skipIf(device === undefined)('keepalived.conf is valid (skipped on a machine without a network)', () => {
    const script = join(folder, 'check-balancer.sh');
    copyFileSync(`${DEPLOY}keepalived/check-balancer.sh`, script);
    const config = adapted('keepalived/keepalived.conf', [
      ['interface eth0', `interface ${device}`],
      ['/usr/local/bin/check-balancer.sh', script],
      // With any other user keepalived 2.2 ends its own configuration test with SIGTERM.
      ['script_user nobody', `script_user ${userInfo().username}`],
    ]);
    const { status, stdout, stderr } = spawnSync('keepalived', ['--config-test', '--use-file', config], { encoding: 'utf8' });
    expect(`${stdout}${stderr}`).toBe('');
    expect(status).toBe(0);
  });
});

describe.skipIf(!haproxyAvailable() || !toolAvailable('curl', '--version'))('check-balancer.sh (skipped without haproxy and curl)', () => {
  test('passes while HAProxy has a node to connect to', async () => {
    const health = keep(await startHealthStub(true));
    const tcp = keep(await ServerProcess.create());
    const haproxy = keep(
      await startHaproxy({ tcp: tcp.tcpPort, health: health.port }, { tcp: await freePort(), health: await freePort() }),
    );
    const check = () => spawnSync(`${DEPLOY}keepalived/check-balancer.sh`, [`127.0.0.1:${haproxy.statsPort}`]).status;
    await eventually(() => expect(check()).toBe(0));
    health.isPrimary = false;
    await eventually(() => expect(check()).not.toBe(0));
    await haproxy.kill();
    expect(check()).not.toBe(0);
  });
});

describe.skipIf(!systemdAvailable())('deploy/systemd (skipped where there is no systemd)', () => {
  const unit = `${DEPLOY}systemd/syncline.service`;

  test('the unit is valid', () => {
    const { status, stdout, stderr } = spawnSync('systemd-analyze', ['verify', unit], { encoding: 'utf8' });
    // It also complains of other units of the machine.
    expect(`${stdout}${stderr}`.split('\n').filter((line) => line.includes('syncline'))).toEqual([]);
    expect(status).toBe(0);
  });

  // In tenths, of 96 for a service without any restriction: it is 12 with systemd 252, and newer ones look at more.
  const MOST_EXPOSURE = 15;

  test('the unit leaves little to whoever breaks in', () => {
    const options = ['security', '--offline=true', `--threshold=${MOST_EXPOSURE}`, '--no-pager'];
    const { status, stdout } = spawnSync('systemd-analyze', [...options, unit], { encoding: 'utf8' });
    expect(stdout).toContain('Overall exposure level');
    expect(status).toBe(0);
  });
});

async function end(child: ChildProcess, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => void child.once('exit', resolve));
  child.kill(signal);
  await gone;
}
