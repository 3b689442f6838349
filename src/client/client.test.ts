import { once } from 'node:events';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { type AddressInfo, connect as connectTcp, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import { afterEach, describe, expect, test } from 'vitest';
import { WELCOME } from '../../test/support/fake-network.ts';
import { FrameDecoder } from '../protocol/frame-decoder.ts';
import { encodeFrame, FRAME } from '../protocol/frame.ts';
import { encodeError, encodeWelcome } from '../protocol/messages.ts';
import { type Client, connect } from './client.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** A server on a real socket that takes everybody in and applies everything, unless told otherwise. */
async function startServer(
  onHello?: (socket: Socket) => void,
): Promise<{ url: string; server: Server; sockets: Socket[]; rows: () => number }> {
  const sockets: Socket[] = [];
  let frames = 0;
  const server = createServer((socket) => {
    sockets.push(socket);
    const decoder = new FrameDecoder(1 << 24);
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      decoder.push(chunk);
      for (let frame = decoder.next(); frame !== undefined; frame = decoder.next()) {
        if (frame.type === FRAME.hello) {
          if (onHello !== undefined) onHello(socket);
          else socket.write(encodeFrame({ type: FRAME.welcome, payload: encodeWelcome(WELCOME) }));
        } else if (frame.type === FRAME.batch) {
          frames += 1;
          socket.write(encodeFrame({ type: FRAME.applied, partition: frame.partition, seq: frame.seq, prev: frame.crc }));
        } else if (frame.type === FRAME.bye) socket.end();
      }
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { url: `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`, server, sockets, rows: () => frames };
}

async function open(options: Parameters<typeof connect>[0]): Promise<Client> {
  const client = await connect(options);
  closers.push(() => client.close({ flush: false }));
  return client;
}

describe('connect', () => {
  test('resolves when the server has taken the client in; rows arrive over a real socket', async () => {
    const { url } = await startServer();
    const client = await open({ url, token: 'a token', producer: 'shop' });
    const connected = client.status().connected;
    for (let id = 0; id < 1000; id++) await client.table('cities').upsert({ id, name: 'x'.repeat(500) });
    expect(await client.flush()).toMatchObject({ applied: 1000, rejected: 0, pending: 0 });
    expect(connected).toBe(true);
    expect(await client.close()).toMatchObject({ pending: 0 });
  });

  test('rejects at once when the token is not accepted', async () => {
    const { url } = await startServer((socket) =>
      socket.end(encodeFrame({ type: FRAME.error, payload: encodeError({ code: 'auth_failed', message: 'the token is not known' }) })),
    );
    await expect(connect({ url })).rejects.toMatchObject({ code: 'auth_failed', message: 'the token is not known' });
  });

  test('rejects at once when the token belongs to another producer', async () => {
    const { url } = await startServer();
    await expect(connect({ url, producer: 'warehouse' })).rejects.toMatchObject({ code: 'wrong_producer' });
  });

  test('rejects after its time when nobody is there, and says what it tried and what helps', async () => {
    const { url, server } = await startServer();
    server.close();
    const attempt = connect({ url, connectTimeoutMs: 200 });
    await expect(attempt).rejects.toMatchObject({
      code: 'server_unavailable',
      message: expect.stringMatching(/ECONNREFUSED.*offline: true/) as string,
    });
  });

  test('frees the folder of its spool when it rejects', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'syncline-client-'));
    closers.push(() => rmSync(folder, { recursive: true, force: true }));
    const { url } = await startServer();
    await expect(connect({ url, producer: 'warehouse', spool: folder })).rejects.toMatchObject({ code: 'wrong_producer' });
    const client = await open({ url, spool: folder });
    await client.table('cities').upsert({ id: 1 });
    expect(await client.close()).toMatchObject({ applied: 1 });
  });

  test('with offline: true resolves without a server, and what was written goes out when there is one', async () => {
    const { url, server, sockets } = await startServer();
    const { port } = server.address() as AddressInfo;
    for (const socket of sockets) socket.destroy();
    server.close();
    const client = await open({ url, offline: true });
    const written = client.table('cities').upsert({ id: 1 });
    server.listen(port, '127.0.0.1');
    await written;
    expect(await client.flush()).toMatchObject({ applied: 1 });
  });

  test('comes back by itself when the connection is cut', async () => {
    const { url, sockets } = await startServer();
    const client = await open({ url });
    const disconnected = new Promise<{ reason: string }>((resolve) => client.on('disconnected', resolve));
    sockets[0]!.resetAndDestroy();
    expect((await disconnected).reason).toMatch(/ECONNRESET|closed/);
    await client.table('cities').upsert({ id: 1 });
    expect(await client.flush()).toMatchObject({ applied: 1 });
    expect(sockets).toHaveLength(2);
  });

  test.each<[string, object, RegExp]>([
    ['a url of another kind', { url: 'redis://127.0.0.1:6379' }, /not of the form tcp:\/\/host:port/],
    ['a url with a password', { url: 'tcp://me:secret@host:1' }, /must not carry a password/],
    ['no room at all', { bufferBytes: 0 }, /bufferBytes is 0/],
    ['a linger that is no number', { lingerMs: Number.NaN }, /lingerMs is NaN/],
  ])('refuses %s', async (_, options, message) => {
    const attempt = connect(options);
    await expect(attempt).rejects.toThrow(message);
    await expect(attempt).rejects.not.toThrow(/secret/);
  });

  test('speaks TLS to a tcps url, and refuses a certificate that it cannot trust', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'syncline-tls-'));
    closers.push(() => rmSync(folder, { recursive: true, force: true }));
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
    execFileSync(
      'openssl',
      [
        'req',
        '-x509',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:prime256v1',
        '-nodes',
        '-days',
        '2',
        '-keyout',
        key,
        '-out',
        cert,
        ...subject,
      ],
      { stdio: 'ignore' },
    );
    const plain = await startServer();
    const balancer = createTlsServer({ key: readFileSync(key), cert: readFileSync(cert) }, (socket) => {
      socket.on('error', () => {});
      const behind = connectTcp(Number(new URL(plain.url).port), '127.0.0.1');
      behind.on('error', () => {});
      socket.pipe(behind).pipe(socket);
    }).listen(0, '127.0.0.1');
    await once(balancer, 'listening');
    closers.push(() => balancer.close());
    const url = `tcps://localhost:${(balancer.address() as AddressInfo).port}`;
    const client = await open({ url, tls: { ca: readFileSync(cert) } });
    await client.table('cities').upsert({ id: 1 });
    expect(await client.flush()).toMatchObject({ applied: 1 });
    await client.close();
    await expect(connect({ url, connectTimeoutMs: 200 })).rejects.toMatchObject({
      code: 'server_unavailable',
      message: expect.stringContaining('self-signed certificate') as string,
    });
  });

  test('leaves by itself at the end of an await using block', async () => {
    const { url, sockets } = await startServer();
    {
      await using client = await connect({ url });
      await client.table('cities').upsert({ id: 1 });
    }
    expect(sockets[0]!.readableEnded || sockets[0]!.destroyed).toBe(true);
  });
});
