import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect as connectTcp, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Authority, type Certificate } from '../../test/support/certificate.ts';
import { eventually } from '../../test/support/eventually.ts';
import { proxyHeader } from '../../test/support/proxy-header.ts';
import { SeededRandom } from '../../test/support/seeded-random.ts';
import { VirtualClock } from '../../test/support/virtual-clock.ts';
import type { SyncError } from '../core/errors.ts';
import type { Connection } from '../core/network.ts';
import type { TlsMaterial } from '../core/tls-material.ts';
import { FrameDecoder } from '../protocol/frame-decoder.ts';
import { FRAME } from '../protocol/frame.ts';
import { decodeError } from '../protocol/messages.ts';
import type { Listener } from './listener.ts';
import { createTcpListener } from './tcp.ts';
import { TlsTerminator } from './tls-terminator.ts';

/** What came through a connection that was accepted. */
interface Arrival {
  readonly connection: Connection;
  received: string;
  isClosed: boolean;
}

const clock = new VirtualClock();
let folder: string;
let [ours, theirs]: Authority[] = [];
let server: Certificate;
let terminator: TlsTerminator;
let listener: Listener;
let arrivals: Arrival[];
let refusals: { readonly address: string; readonly error: SyncError }[];
let sockets: Socket[];

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'syncline-tcp-tls-'));
  ours = new Authority(folder, 'ours');
  theirs = new Authority(folder, 'theirs');
  server = ours.issue('server');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeEach(() => {
  [arrivals, refusals, sockets] = [[], [], []];
});
afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  await listener.close();
  await eventually(() => expect(clock.timerCount).toBe(0));
});

const read = (path: string) => readFileSync(path, 'utf8');
const ca = () => read((ours as Authority).cert);

function material(fields: Partial<TlsMaterial> = {}, { cert, key }: Certificate = server): TlsMaterial {
  return { cert: read(cert), key: read(key), clientCertificates: 'off', minVersion: 'TLSv1.2', ...fields };
}

async function listen(fields: Partial<TlsMaterial> = {}, proxyFrom: readonly string[] = []): Promise<void> {
  terminator = new TlsTerminator(material(fields), clock);
  const refused = (address: string, error: SyncError) => void refusals.push({ address, error });
  const options = { host: '127.0.0.1', port: 0, proxy: { from: proxyFrom, clock, refused }, tls: { terminator, clock, refused } };
  listener = createTcpListener(options, (connection) => {
    const arrival: Arrival = { connection, received: '', isClosed: false };
    arrivals.push(arrival);
    connection.open({
      data: (chunk) => void (arrival.received += Buffer.from(chunk).toString()),
      drain: () => {},
      close: () => void (arrival.isClosed = true),
    });
  });
  await listener.start();
}

async function dial(): Promise<Socket> {
  const socket = connectTcp(listener.address.port, '127.0.0.1');
  socket.on('error', () => {});
  sockets.push(socket);
  await once(socket, 'connect');
  return socket;
}

/** Over a socket that is connected, where one is given. */
async function dialTls(options: ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = connectTls({ port: listener.address.port, host: '127.0.0.1', ca: ca(), ...options });
  sockets.push(socket);
  await once(socket, 'secureConnect');
  socket.on('error', () => {});
  return socket;
}

/** The code of the ERROR with which a connection ends. */
async function lastWords(socket: Socket): Promise<string> {
  const decoder = new FrameDecoder(1 << 16);
  for await (const chunk of socket) decoder.push(chunk as Buffer);
  const frame = decoder.next();
  if (frame?.type !== FRAME.error) return 'nothing';
  const { code, message } = decodeError(frame.payload);
  return `${code}: ${message}`;
}

function closed(socket: Socket): Promise<unknown> {
  return new Promise((resolve) => void socket.once('close', resolve));
}

const refusedFor = (error: object) => eventually(() => expect(refusals).toMatchObject([{ address: '127.0.0.1', error }]));

/** Shows that bytes go through in both directions. */
async function expectAtWork(socket: Socket, arrival: Arrival): Promise<void> {
  const before = arrival.received;
  socket.write('ping');
  await eventually(() => expect(arrival.received).toBe(`${before}ping`));
  arrival.connection.write(Buffer.from('pong'));
  expect(String((await once(socket, 'data'))[0])).toBe('pong');
}

describe('a connection over TLS', () => {
  test('brings bytes in both directions, in any size, and ends', async () => {
    await listen();
    const socket = await dialTls();
    await eventually(() =>
      expect(arrivals).toMatchObject([{ connection: { remoteAddress: '127.0.0.1', peer: { certificateNames: [] } } }]),
    );
    await expectAtWork(socket, arrivals[0]!);
    const large = Buffer.alloc(3_000_000, 'x');
    arrivals[0]!.connection.write(large);
    let received = 0;
    while (received < large.length) received += (await once(socket, 'data'))[0].length as number;
    arrivals[0]!.connection.end();
    socket.resume();
    await closed(socket);
    await eventually(() => expect(arrivals).toMatchObject([{ isClosed: true }]));
    expect(refusals).toEqual([]);
  });

  test('from a balancer brings its header before the handshake, also in one packet with it', async () => {
    await listen({}, ['127.0.0.1']);
    const raw = await dial();
    raw.write(proxyHeader({ source: '203.0.113.7' }));
    const socket = await dialTls({ socket: raw, host: 'localhost' });
    await eventually(() => expect(arrivals).toMatchObject([{ connection: { remoteAddress: '203.0.113.7' } }]));
    await expectAtWork(socket, arrivals[0]!);

    const slow = await dial();
    const [header, hello] = [proxyHeader({ source: '203.0.113.8' }), await firstFlight()];
    slow.write(Buffer.concat([header, hello.subarray(0, 30)]));
    slow.write(hello.subarray(30));
    // The server's answer: a record of a handshake.
    expect((await once(slow, 'data'))[0][0]).toBe(0x16);
  });

  test('cannot be made with TLS 1.1, nor with 1.2 where 1.3 is asked for', async () => {
    await listen();
    const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
    await expect(dialTls(old)).rejects.toThrow(/protocol version/);
    await refusedFor({ code: 'tls_failed', message: 'the TLS handshake failed: unsupported protocol' });
    expect((await dialTls({ maxVersion: 'TLSv1.2' })).getProtocol()).toBe('TLSv1.2');
    terminator.prepare(material({ minVersion: 'TLSv1.3' }))();
    await expect(dialTls({ maxVersion: 'TLSv1.2' })).rejects.toThrow(/protocol version/);
  });

  test('is not negotiated anew in the middle', async () => {
    await listen();
    const socket = await dialTls({ maxVersion: 'TLSv1.2' });
    await eventually(() => expect(arrivals.length).toBe(1));
    const answer = new Promise<Error | null>((resolve) => {
      socket.renegotiate({ rejectUnauthorized: false }, resolve);
      socket.on('error', resolve);
    });
    expect(String(await answer)).toContain('no renegotiation');
  });
});

describe('a connection that becomes none', () => {
  test('because the client speaks no TLS is told so, and counted', async () => {
    await listen();
    const socket = await dial();
    socket.write(Buffer.from('0000001401', 'hex'));
    expect(await lastWords(socket)).toContain('tls_required: this port speaks TLS');
    await refusedFor({ code: 'tls_required' });
  });

  test('because the client does not trust the certificate is counted with what the client says', async () => {
    await listen();
    const at = ['-connect', `127.0.0.1:${listener.address.port}`];
    const client = spawn('openssl', ['s_client', ...at, '-CAfile', (theirs as Authority).cert, '-verify_return_error'], {
      stdio: 'ignore',
    });
    await once(client, 'exit');
    await refusedFor({ code: 'tls_failed', message: expect.stringContaining('unknown ca') as string });
  });

  test('because it is no handshake, or ends within one, is counted and disturbs nobody', async () => {
    await listen();
    const neighbour = await dialTls();
    await eventually(() => expect(arrivals.length).toBe(1));
    const garbage = await dial();
    const ended = closed(garbage);
    garbage.resume().write(Buffer.concat([Buffer.of(0x16), Buffer.alloc(64, 0xff)]));
    await ended;
    const half = await dial();
    half.end((await firstFlight()).subarray(0, 100));
    const reset = await dial();
    reset.write((await firstFlight()).subarray(0, 100));
    await eventually(() => expect(clock.timerCount).toBe(1));
    reset.resetAndDestroy();
    await eventually(() => expect(refusals.map(({ error }) => error.code)).toEqual(['tls_failed', 'tls_failed', 'tls_failed']));
    await expectAtWork(neighbour, arrivals[0]!);
  });

  test('because its handshake is damaged, somewhere, disturbs nobody', async () => {
    await listen();
    const neighbour = await dialTls();
    await eventually(() => expect(arrivals.length).toBe(1));
    const [flight, random] = [await firstFlight(), new SeededRandom(11)];
    for (let round = 0; round < 300; round++) {
      const damaged = Buffer.from(flight.subarray(0, 1 + random.below(flight.length)));
      for (let change = random.below(4); change > 0; change--) damaged[random.below(damaged.length)] = random.below(256);
      const socket = await dial();
      const gone = closed(socket);
      socket.resume().end(damaged);
      await gone;
    }
    await eventually(() => expect(refusals.length).toBe(300));
    expect(new Set(refusals.map(({ error }) => error.code))).toEqual(new Set(['tls_failed', 'tls_required']));
    await expectAtWork(neighbour, arrivals[0]!);
  });

  test('because it never ends its handshake, or never begins one, is cut off', async () => {
    await listen();
    const [silent, half] = [await dial(), await dial()];
    const gone = Promise.all([closed(silent), closed(half)]);
    silent.resume();
    half.resume().write((await firstFlight()).subarray(0, 100));
    await eventually(() => expect(clock.timerCount).toBe(2));
    await clock.advance(4_999);
    expect([silent.destroyed, half.destroyed]).toEqual([false, false]);
    await clock.advance(1);
    await gone;
    expect(refusals.map(({ error }) => error.message)).toEqual(
      Array(2).fill('the TLS handshake failed: it was not finished within 5000 ms'),
    );
  });

  test('because it only looks whether somebody listens makes no noise', async () => {
    await listen();
    const socket = await dial();
    const gone = closed(socket);
    socket.resume().end();
    await gone;
    await eventually(() => expect(clock.timerCount).toBe(0));
    expect([arrivals, refusals]).toEqual([[], []]);
  });

  test('because its address has too many of them leaves room for others', async () => {
    await listen({}, ['127.0.0.1']);
    const from = async (source: string) => {
      const socket = await dial();
      socket.resume().write(proxyHeader({ source }));
      socket.write(Buffer.of(0x16));
      return socket;
    };
    for (let i = 0; i < 64; i++) await from('203.0.113.7');
    await eventually(() => expect(clock.timerCount).toBe(64));
    await closed(await from('203.0.113.7'));
    expect(refusals).toMatchObject([{ address: '203.0.113.7', error: { code: 'too_many_connections' } }]);
    const raw = await dial();
    raw.write(proxyHeader({ source: '203.0.113.8' }));
    await dialTls({ socket: raw, host: 'localhost' });
    await eventually(() => expect(arrivals.length).toBe(1));
  });

  test('because the door closes is not spoken of', async () => {
    await listen();
    const socket = await dial();
    socket.resume().write((await firstFlight()).subarray(0, 100));
    await eventually(() => expect(clock.timerCount).toBe(1));
    await Promise.all([closed(socket), listener.stop()]);
    await eventually(() => expect(clock.timerCount).toBe(0));
    expect([arrivals, refusals]).toEqual([[], []]);
  });
});

describe('certificates of clients', () => {
  const asked = (clientCertificates: 'optional' | 'required') => ({ clientCa: ca(), clientCertificates });
  const shown = ({ cert, key }: Certificate) => ({ cert: read(cert), key: read(key) });
  const issue = (name: string, fields = {}) => shown((ours as Authority).issue(name, fields));

  test.each(['optional', 'required'] as const)('that are valid give the names in them (%s)', async (mode) => {
    await listen(asked(mode));
    const client = issue('either', { names: 'DNS:Shop.example,URI:spiffe://example/shop', usage: 'clientAuth' });
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) await dialTls({ ...client, maxVersion });
    const peer = { certificateNames: ['DNS:shop.example', 'URI:spiffe://example/shop'] };
    await eventually(() => expect(arrivals).toMatchObject([{ connection: { peer } }, { connection: { peer } }]));
  });

  test('count by their subject alternative names alone', async () => {
    await listen(asked('required'));
    await dialTls(issue('DNS:shop.example', { names: 'RID:1.2.3.4' }));
    await eventually(() => expect(arrivals).toMatchObject([{ connection: { peer: { certificateNames: [] } } }]));
  });

  test('may be missing where they are optional, and must not where they are required', async () => {
    await listen(asked('optional'));
    await dialTls();
    await eventually(() => expect(arrivals).toMatchObject([{ connection: { peer: { certificateNames: [] } } }]));
    terminator.prepare(material(asked('required')))();
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const)
      expect(await lastWords(await dialTls({ maxVersion }))).toContain(
        'certificate_refused: this server asks every client for a certificate',
      );
    expect(refusals.map(({ error }) => error.code)).toEqual(['certificate_refused', 'certificate_refused']);
    expect(arrivals.length).toBe(1);
  });

  test.each<[string, () => ConnectionOptions, string]>([
    ['of another authority', () => shown((theirs as Authority).issue('stranger')), 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
    ['that have expired', () => issue('old', { days: -1 }), 'CERT_HAS_EXPIRED'],
    ['that are for servers only', () => issue('wrong-use', { usage: 'serverAuth' }), 'INVALID_PURPOSE'],
  ])('%s are refused, also where they are optional', async (_, certificate, reason) => {
    await listen(asked('optional'));
    const client = certificate();
    for (const mode of ['optional', 'required'] as const) {
      terminator.prepare(material(asked(mode)))();
      for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const)
        expect(await lastWords(await dialTls({ ...client, maxVersion }))).toContain(
          `certificate_refused: the certificate of the client is not accepted: ${reason}`,
        );
    }
    expect(arrivals).toEqual([]);
  });

  test('are shown at every connection: no session is resumed', async () => {
    await listen(asked('optional'));
    const client = issue('shop', { names: 'DNS:shop.example' });
    const accepted = async (options: ConnectionOptions): Promise<[TLSSocket, Arrival]> => {
      const count = arrivals.length;
      const socket = await dialTls(options);
      await eventually(() => expect(arrivals.length).toBe(count + 1));
      return [socket, arrivals[count]!];
    };
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      const [first, arrival] = await accepted({ ...client, maxVersion });
      let session = first.getSession();
      first.on('session', (later) => (session = later));
      await expectAtWork(first, arrival);
      expect(arrival.connection.peer?.certificateNames).toEqual(['DNS:shop.example']);
      const [second, other] = await accepted({ session, maxVersion });
      expect([second.isSessionReused(), other.connection.peer?.certificateNames]).toEqual([false, []]);
    }
  });

  test('are not asked for where nobody wants them', async () => {
    await listen();
    await dialTls(shown((theirs as Authority).issue('unasked')));
    await eventually(() => expect(arrivals).toMatchObject([{ connection: { peer: { certificateNames: [] } } }]));
  });
});

describe('other material', () => {
  test('counts for new connections, and those that are there stay', async () => {
    await listen();
    const before = await dialTls();
    await eventually(() => expect(arrivals.length).toBe(1));
    // Within its handshake meanwhile.
    const hello = await firstFlight();
    const during = await dial();
    during.write(hello.subarray(0, 30));
    await eventually(() => expect(clock.timerCount).toBe(1));
    terminator.prepare(material({}, (theirs as Authority).issue('other')))();
    during.write(hello.subarray(30));
    expect((await once(during, 'data'))[0][0]).toBe(0x16);
    await expectAtWork(before, arrivals[0]!);
    await expect(dialTls()).rejects.toThrow();
    const after = await dialTls({ ca: read((theirs as Authority).cert) });
    expect(after.getPeerX509Certificate()?.subject).toBe('CN=other');
    expect(before.getPeerX509Certificate()?.subject).toBe('CN=server');
  });

  test('that cannot be used changes nothing', async () => {
    await listen();
    const other = (ours as Authority).issue('mismatched');
    expect(() => terminator.prepare({ ...material(), key: read(other.key) })).toThrow(/key values mismatch/);
    await dialTls();
  });
});

/** What a client sends first. */
async function firstFlight(): Promise<Buffer> {
  const sink = createServer().listen(0, '127.0.0.1');
  await once(sink, 'listening');
  const accepted = once(sink, 'connection');
  const client = connectTls({ port: (sink.address() as { port: number }).port, host: '127.0.0.1', rejectUnauthorized: false });
  client.on('error', () => {});
  const [socket] = (await accepted) as [Socket];
  const [flight] = (await once(socket, 'data')) as [Buffer];
  client.destroy();
  sink.close();
  return flight;
}
