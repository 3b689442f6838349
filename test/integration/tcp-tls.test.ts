import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { connect, type Client, type ConnectOptions } from '../../src/client/client.ts';
import { Authority, type Certificate, createCertificate } from '../support/certificate.ts';
import { runSyncline, type CliOptions } from '../support/cli-process.ts';
import { eventually } from '../support/eventually.ts';
import { redisAvailable, startRedis } from '../support/redis-server.ts';
import { ServerProcess } from '../support/server-process.ts';

const running: { close(): Promise<unknown> }[] = [];
let folder: string;
let [ours, theirs]: Authority[] = [];
let door: Certificate;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'syncline-tls-'));
  ours = new Authority(folder, 'ours');
  theirs = new Authority(folder, 'theirs');
  door = ours.issue('door', { days: 90 });
});
afterEach(async () => {
  for (const one of running.splice(0).toReversed()) await one.close();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What a client cannot get over it tries again, until this is over; then it says what it was. */
const BRIEF = { connectTimeoutMs: 2_500 };

const read = (path: string) => readFileSync(path, 'utf8');
const trust = () => ({ ca: read((ours as Authority).cert) });

async function start({ cert, key }: Certificate = door, env: Record<string, string> = {}): Promise<ServerProcess> {
  const server = await ServerProcess.create({ SYNCLINE_TLS_CERT: cert, SYNCLINE_TLS_KEY: key, ...env });
  running.push(server);
  await server.start();
  return server;
}

const urlOf = (server: ServerProcess, host = 'localhost') => `tcps://${host}:${server.tcpPort}`;

async function open(server: ServerProcess, options: ConnectOptions = {}): Promise<Client> {
  const client = await connect({ url: urlOf(server), tls: trust(), ...options });
  running.push({ close: () => client.close({ flush: false }) });
  return client;
}

/** What the client says when it does not get in. */
async function refusal(server: ServerProcess, options: ConnectOptions = {}): Promise<string> {
  const attempt = open(server, { connectTimeoutMs: 60_000, ...options });
  return attempt.then(
    () => 'it got in',
    ({ code, message }: { code: string; message: string }) => `${code}: ${message}`,
  );
}

async function metric(server: ServerProcess, name: string): Promise<number> {
  const text = await (await fetch(`${server.adminUrl}/metrics`)).text();
  const line = text.split('\n').find((one) => one.startsWith(`${name} `) || one.startsWith(`${name}{`));
  return Number(line?.split(' ').at(-1));
}

test('rows arrive over TLS, by name and by address, and the server tells of its certificate', async () => {
  const server = await start();
  for (const host of ['localhost', '127.0.0.1']) {
    const client = await open(server, { url: urlOf(server, host) });
    const table = client.table('item', { key: ['id'] });
    for (let id = 0; id < 500; id++) await table.upsert({ id, text: 'x'.repeat(id) });
    expect(await client.flush()).toMatchObject({ applied: 500 });
    await client.close();
  }
  const { certificate } = await server.status();
  expect(certificate?.names).toEqual(['DNS:localhost', 'IP:127.0.0.1']);
  expect(await metric(server, 'syncline_tls_certificate_expiry_timestamp_seconds')).toBe((certificate?.expiresAtMs ?? 0) / 1000);
  expect(server.output).not.toContain('"level":"warn"');
});

describe('the client refuses a server', () => {
  test.each<[string, () => Certificate, RegExp]>([
    [
      'whose certificate has expired',
      () => (ours as Authority).issue('expired', { days: -1 }),
      /certificate has expired; who runs the server must renew it/,
    ],
    [
      'whose certificate another authority has signed',
      () => (theirs as Authority).issue('foreign'),
      /unable to verify the first certificate; .*pass the certificate of the authority .* as tls\.ca/,
    ],
    ['whose certificate has signed itself', () => createCertificate(folder, 'self'), /self-signed certificate; .*pass the certificate/],
    [
      'whose certificate is for another name',
      () => (ours as Authority).issue('elsewhere', { names: 'DNS:sync.example' }),
      /DNS:sync\.example; connect by a name that its certificate holds/,
    ],
  ])('%s, and says so', async (_, certificate, message) => {
    const server = await start(certificate());
    const said = await refusal(server, BRIEF);
    expect(said).toMatch(/^server_unavailable: /);
    expect(said).toMatch(message);
  });

  test('that speaks no TLS, and says so', async () => {
    const server = await start(door, { SYNCLINE_TCP_TLS: 'false' });
    expect(await refusal(server, BRIEF)).toMatch(/does not speak TLS there; a url with tcp:\/\/ connects without/);
    expect(await refusal(server, { url: server.url })).toBe('it got in');
  });
});

test('a client without TLS is told at once what to do, and counted', async () => {
  const server = await start();
  expect(await refusal(server, { url: server.url })).toMatch(/^tls_required: .* connect to tcps:/);
  expect(await metric(server, 'syncline_connections_refused_total{reason="tls_required"}')).toBe(1);
  expect(server.output).toContain('connections are refused before they are those of a client');
});

test('a client must show a certificate where one is required, and is told at once when it does not', async () => {
  const server = await start(door, { SYNCLINE_TLS_CLIENT_CA: (ours as Authority).cert });
  expect(await refusal(server)).toMatch(/^certificate_refused: this server asks every client for a certificate/);
  const shown = ({ cert, key }: Certificate) => ({ tls: { ...trust(), cert: read(cert), key: read(key) } });
  const stranger = (theirs as Authority).issue('stranger');
  expect(await refusal(server, shown(stranger))).toMatch(/^certificate_refused: .*not accepted: UNABLE_TO_VERIFY_LEAF_SIGNATURE/);
  expect(await refusal(server, shown((ours as Authority).issue('client')))).toBe('it got in');
  expect(await metric(server, 'syncline_connections_refused_total{reason="certificate_refused"}')).toBe(2);
});

describe('syncline', () => {
  const send = (args: readonly string[], options: CliOptions) =>
    runSyncline(['send', '-', '--table', 'item', '--key', 'id', '--quiet', ...args], { input: '{"id": 1}', ...options });

  test('send knows the server of its own configuration, whatever its name, and no other at its place', async () => {
    const named = (ours as Authority).issue('named', { names: 'DNS:sync.example', days: 90 });
    const server = await start(named);
    const env = (cert: string, key: string) => ({
      SYNCLINE_TLS_CERT: cert,
      SYNCLINE_TLS_KEY: key,
      SYNCLINE_TCP_PORT: String(server.tcpPort),
    });
    expect(await send([], { cwd: server.data, env: env(named.cert, named.key) })).toMatchObject({ code: 0, err: '' });
    // Of the same authority.
    const other = await send([], { cwd: server.data, env: env(door.cert, door.key) });
    expect([other.code, other.err]).toEqual([3, expect.stringContaining('unable to')]);
  });

  test('send takes whom to trust and what to show from files', async () => {
    const server = await start(door, { SYNCLINE_TLS_CLIENT_CA: (ours as Authority).cert });
    const { cert, key } = (ours as Authority).issue('sender', { usage: 'clientAuth' });
    const url = ['--url', urlOf(server)];
    const trusting = [...url, '--tls-ca', (ours as Authority).cert];
    expect(await send([...trusting, '--tls-cert', cert, '--tls-key', key], {})).toMatchObject({ code: 0, err: '' });
    expect((await send(trusting, {})).err).toContain('certificate_refused');
    expect((await send(['--url', server.url, '--tls-ca', cert], {})).err).toContain('--tls-ca is for tcps://');
  });

  test('status and check-config show the certificate', async () => {
    const server = await start(door, { SYNCLINE_TLS_CLIENT_CA: (ours as Authority).cert, SYNCLINE_TLS_CLIENT_CERTIFICATES: 'optional' });
    const status = await runSyncline(['status', '--url', server.adminUrl]);
    expect(status.out).toMatch(/^certificate +DNS:localhost, IP:127\.0\.0\.1, expires in (89|90) d$/m);
    const env = { SYNCLINE_TLS_CERT: door.cert, SYNCLINE_TLS_KEY: door.key, SYNCLINE_TLS_CLIENT_CA: door.ca };
    const { out } = await runSyncline(['check-config'], { cwd: server.data, env });
    expect(out).toMatch(
      /tcp +127\.0\.0\.1:9501, TLS as DNS:localhost, IP:127\.0\.0\.1 until \d{4}-\d\d-\d\d, certificates of clients required/,
    );
  });
});

test('a certificate that ends soon, or has ended, is spoken of at the start', async () => {
  const soon = await start((ours as Authority).issue('soon', { days: 20 }));
  await eventually(() => expect(soon.output).toContain('the TLS certificate expires in 19 days'));
  const over = await start((ours as Authority).issue('over', { days: -1 }));
  await eventually(() => expect(over.output).toContain('the TLS certificate has expired'));
});

describe('at SIGHUP', () => {
  let live: { readonly cert: string; readonly key: string };

  /** Puts a certificate where the server reads its own. */
  function put({ cert, key }: { readonly cert: string; readonly key: string }): void {
    copyFileSync(cert, live.cert);
    copyFileSync(key, live.key);
  }

  async function reload(server: ServerProcess): Promise<string> {
    const before = server.output.length;
    server.signal('SIGHUP');
    return eventually(() => {
      const said = server.output.slice(before).split('\n');
      const line = said.find((one) => /configuration (was not )?loaded again/.test(one));
      if (line === undefined) throw new Error('nothing was said of a reload');
      return line;
    }, 30_000);
  }

  /** Who new connections meet. */
  const subject = (server: ServerProcess): Promise<string | undefined> =>
    new Promise((resolve, reject) => {
      const socket = connectTls({ host: '127.0.0.1', port: server.tcpPort, rejectUnauthorized: false }, () => {
        resolve(socket.getPeerX509Certificate()?.subject);
        socket.destroy();
      });
      socket.on('error', reject);
    });

  async function startLive(): Promise<ServerProcess> {
    const own = mkdtempSync(join(folder, 'live-'));
    live = { cert: join(own, 'cert.pem'), key: join(own, 'key.pem') };
    put(door);
    return start({ ...live, ca: '' });
  }

  test('another certificate counts for new connections, and those that are open go on', async () => {
    const server = await startLive();
    const client = await open(server);
    const table = client.table('item', { key: ['id'] });
    await table.upsert({ id: 1 });
    await client.flush();
    put((ours as Authority).issue('renewed', { days: 60 }));
    expect(await reload(server)).toContain('"changed":["listen.tls.cert","listen.tls.key"]');
    expect(await subject(server)).toBe('CN=renewed');
    await table.upsert({ id: 2 });
    expect(await client.flush()).toMatchObject({ applied: 1 });
    expect(server.output.split('stream opened').length).toBe(2);
    await open(server);
    expect(((await server.status()).certificate?.expiresAtMs ?? 0) - Date.now()).toBeLessThan(61 * 86_400_000);
  });

  test.skipIf(!redisAvailable())('one that comes with a password that is wrong waits for the right one', async () => {
    const redis = await startRedis();
    running.push(redis);
    const server = await ServerProcess.create();
    running.push(server);
    const configure = (certificate: Certificate, user: string) => {
      const { cert, key } = certificate;
      const options = { queue: { url: redis.url.replace('//', `//${user}`) }, listen: { tls: { cert, key } } };
      writeFileSync(join(server.data, 'syncline.yaml'), JSON.stringify(options));
    };
    configure(door, '');
    await server.start();
    const next = (ours as Authority).issue('next');
    configure(next, 'nobody:wrong@');
    expect(await reload(server)).toContain('roll_failed');
    expect(await subject(server)).toBe('CN=door');
    configure(next, '');
    await reload(server);
    expect(await subject(server)).toBe('CN=next');
  });

  test('one that cannot be used leaves the one before it, and log and status say why', async () => {
    const server = await startLive();
    const [broken, other, expired] = [
      join(folder, 'broken.pem'),
      (ours as Authority).issue('other'),
      (ours as Authority).issue('stale', { days: -1 }),
    ];
    writeFileSync(broken, 'half a cert');
    for (const [wrong, why] of [
      [{ cert: broken, key: door.key }, 'without a certificate in PEM'],
      [{ cert: other.cert, key: door.key }, 'not the key of the first certificate'],
      [expired, 'the certificate expired on'],
    ] as const) {
      put(wrong);
      const line = await reload(server);
      expect(line).toContain('everything is as it was');
      expect(line).toContain(why);
      expect((await server.status()).config.failure).toContain(why);
      expect(await subject(server)).toBe('CN=door');
      expect(await refusal(server)).toBe('it got in');
    }
    put(other);
    await reload(server);
    expect(await subject(server)).toBe('CN=other');
    expect((await server.status()).config.failure).toBeUndefined();
  });
});
