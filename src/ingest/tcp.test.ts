import { connect, type Socket } from 'node:net';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { eventually } from '../../test/support/eventually.ts';
import { proxyHeader } from '../../test/support/proxy-header.ts';
import { VirtualClock } from '../../test/support/virtual-clock.ts';
import type { SyncError } from '../core/errors.ts';
import type { Connection } from '../core/network.ts';
import { FrameDecoder } from '../protocol/frame-decoder.ts';
import { FRAME } from '../protocol/frame.ts';
import { decodeError } from '../protocol/messages.ts';
import type { Listener } from './listener.ts';
import { createTcpListener } from './tcp.ts';

/** What came through a connection that was accepted. */
interface Arrival {
  readonly address: string;
  readonly connection: Connection;
  received: string;
  drains: number;
  isClosed: boolean;
}

const clock = new VirtualClock();
let listener: Listener;
let arrivals: Arrival[];
let refusals: { readonly balancer: string; readonly error: SyncError }[];
let sockets: Socket[];

async function listen(from: readonly string[]): Promise<void> {
  const proxy = { from, clock, refused: (balancer: string, error: SyncError) => void refusals.push({ balancer, error }) };
  listener = createTcpListener({ host: '127.0.0.1', port: 0, proxy }, (connection) => {
    const arrival: Arrival = { address: connection.remoteAddress, connection, received: '', drains: 0, isClosed: false };
    arrivals.push(arrival);
    connection.open({
      data: (chunk) => void (arrival.received += Buffer.from(chunk).toString()),
      drain: () => void arrival.drains++,
      close: () => void (arrival.isClosed = true),
    });
  });
  await listener.start();
}

async function dial(): Promise<Socket> {
  const socket = connect(listener.address.port, '127.0.0.1');
  socket.on('error', () => {});
  sockets.push(socket);
  await once(socket, 'connect');
  return socket;
}

/** The code and message of the ERROR with which a connection ends. */
async function lastWords(socket: Socket): Promise<string> {
  const decoder = new FrameDecoder(1 << 16);
  for await (const chunk of socket) decoder.push(chunk as Buffer);
  const frame = decoder.next();
  if (frame?.type !== FRAME.error) return 'nothing';
  const { code, message } = decodeError(frame.payload);
  return `${code}: ${message}`;
}

/** Also when the other side resets it. */
function closed(socket: Socket): Promise<unknown> {
  return new Promise((resolve) => void socket.once('close', resolve));
}

beforeEach(() => {
  arrivals = [];
  refusals = [];
  sockets = [];
});
afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  await listener.close();
});

describe('a connection from a balancer', () => {
  test('counts as that of the client which its header names, and loses none of its bytes', async () => {
    await listen(['127.0.0.0/8']);
    const socket = await dial();
    socket.write(Buffer.concat([proxyHeader({ source: '203.0.113.7', checksum: true }), Buffer.from('one ')]));
    await eventually(() => expect(arrivals).toMatchObject([{ address: '203.0.113.7', received: 'one ' }]));
    socket.write('two');
    await eventually(() => expect(arrivals).toMatchObject([{ received: 'one two' }]));
    arrivals[0]!.connection.write(Buffer.from('answer'));
    expect(String((await once(socket, 'data'))[0])).toBe('answer');
    socket.end();
    await eventually(() => expect(arrivals).toMatchObject([{ isClosed: true }]));
    expect(refusals).toEqual([]);
    expect(clock.timerCount).toBe(0);
  });

  test('may bring its header byte by byte', async () => {
    await listen(['127.0.0.1']);
    const socket = await dial();
    socket.setNoDelay(true);
    for (const byte of proxyHeader({ source: '2001:db8::7' })) {
      socket.write(Buffer.of(byte));
      await new Promise((resolve) => void setImmediate(resolve));
    }
    await eventually(() => expect(arrivals).toMatchObject([{ address: '2001:db8::7', received: '' }]));
    socket.write('late');
    await eventually(() => expect(arrivals).toMatchObject([{ received: 'late' }]));
  });

  test('may have a header of version 1, as nginx writes it', async () => {
    await listen(['127.0.0.1']);
    (await dial()).write('PROXY TCP4 203.0.113.7 127.0.0.1 55555 9501\r\nbytes');
    await eventually(() => expect(arrivals).toMatchObject([{ address: '203.0.113.7', received: 'bytes' }]));
  });

  test('without a header is told why, closed and counted', async () => {
    await listen(['127.0.0.1']);
    const socket = await dial();
    socket.write('no header');
    expect(await lastWords(socket)).toBe('bad_proxy_header: the connection does not begin with a PROXY protocol header');
    expect(refusals).toMatchObject([{ balancer: '127.0.0.1', error: { code: 'bad_proxy_header' } }]);
    expect(arrivals).toEqual([]);
  });

  test('with a broken header, and one that never comes, ends the same way', async () => {
    await listen(['127.0.0.1']);
    const [broken, slow, silent] = [await dial(), await dial(), await dial()];
    const header = proxyHeader({ source: '203.0.113.7', checksum: true });
    header[17]! ^= 1;
    broken.write(header);
    expect(await lastWords(broken)).toContain('the checksum of the header is wrong');
    slow.write(header.subarray(0, 20));
    await eventually(() => expect(clock.timerCount).toBe(2));
    await clock.advance(5_000);
    expect(await lastWords(slow)).toContain('no complete header came within 5000 ms');
    expect(await lastWords(silent)).toContain('no complete header came within 5000 ms');
    expect(refusals.length).toBe(3);
    expect(arrivals).toEqual([]);
  });

  test('that ends within its header is counted', async () => {
    await listen(['127.0.0.1']);
    const socket = await dial();
    socket.end(proxyHeader({ source: '203.0.113.7' }).subarray(0, 20));
    await eventually(() => expect(refusals).toMatchObject([{ error: { message: expect.stringContaining('after 20 bytes') } }]));
  });

  test('that refuses to read why it is refused is cut off', async () => {
    await listen(['127.0.0.1']);
    const socket = connect({ port: listener.address.port, host: '127.0.0.1', allowHalfOpen: true });
    sockets.push(socket);
    socket.on('error', () => {});
    socket.write('no header');
    await eventually(() => expect(refusals.length).toBe(1));
    await clock.advance(1_000);
    // Data that comes in makes the end visible.
    socket.resume();
    await eventually(() => {
      socket.write('.');
      expect(socket.destroyed).toBe(true);
    });
  });

  test('to see whether we are there makes no session and no line, whether it says so or not', async () => {
    await listen(['127.0.0.1']);
    const gone: Promise<unknown>[] = [];
    for (const header of ['', proxyHeader({ command: 0x20 }), 'PROXY UNKNOWN\r\n']) {
      const socket = await dial();
      gone.push(closed(socket));
      socket.resume();
      socket.end(header);
    }
    const resting = await dial();
    gone.push(closed(resting));
    resting.resume();
    resting.write(proxyHeader({ command: 0x20 }));
    await Promise.all(gone.slice(0, 3));
    await eventually(async () => {
      await clock.advance(5_000);
      expect(resting.destroyed).toBe(true);
    });
    await Promise.all(gone);
    expect([arrivals, refusals]).toEqual([[], []]);
    expect(clock.timerCount).toBe(0);
  });

  test('that speaks for itself and goes on is one from the balancer', async () => {
    await listen(['127.0.0.1']);
    const socket = await dial();
    socket.write(proxyHeader({ command: 0x20 }));
    socket.write('hello');
    await eventually(() => expect(arrivals).toMatchObject([{ address: '127.0.0.1', received: 'hello' }]));
  });

  test('that has not been introduced ends when the door closes, and nothing is said', async () => {
    await listen(['127.0.0.1']);
    const socket = await dial();
    socket.write(proxyHeader({ source: '203.0.113.7' }).subarray(0, 20));
    socket.resume();
    await eventually(() => expect(clock.timerCount).toBe(1));
    await Promise.all([closed(socket), listener.stop()]);
    await eventually(() => expect(clock.timerCount).toBe(0));
    expect([arrivals, refusals]).toEqual([[], []]);
  });
});

test('a header from anybody else is a part of what he sends, and changes nothing', async () => {
  await listen(['127.0.0.2', '10.0.0.0/8']);
  const header = 'PROXY TCP4 203.0.113.7 127.0.0.1 55555 9501\r\n';
  (await dial()).write(header);
  await eventually(() => expect(arrivals).toMatchObject([{ address: '127.0.0.1', received: header }]));
  expect(refusals).toEqual([]);
});

test('a connection tells that it has drained also when the system takes at once what a turn has written', async () => {
  await listen([]);
  const socket = await dial();
  let readBytes = 0;
  socket.on('data', (chunk: Buffer) => (readBytes += chunk.length));
  await eventually(() => expect(arrivals).toHaveLength(1));
  const { connection } = arrivals[0]!;
  for (let i = 0; i < 80; i++) connection.write(Buffer.alloc(1_024));
  expect(connection.bufferedBytes).toBeGreaterThan(64 * 1_024);
  await eventually(() => expect([readBytes, connection.bufferedBytes, arrivals[0]!.drains]).toEqual([80 * 1_024, 0, 1]));
});
