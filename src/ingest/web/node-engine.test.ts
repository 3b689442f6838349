import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { dialSocket } from '../../../test/contract/listener-subjects.ts';
import { eventually } from '../../../test/support/eventually.ts';
import { VirtualClock } from '../../../test/support/virtual-clock.ts';
import { clientFrame, WebSocketPeer } from '../../../test/support/web-socket-peer.ts';
import type { Connection } from '../../core/network.ts';
import { FrameDecoder } from '../../protocol/frame-decoder.ts';
import { decodeError } from '../../protocol/messages.ts';
import type { WebEngine, WebExchange } from './engine.ts';
import { createNodeEngine } from './node-engine.ts';

const HEARTBEAT_MS = 10_000;
const BINARY = 2;
const clock = new VirtualClock();
const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
  expect(clock.timerCount).toBe(0);
});

interface Running {
  readonly engine: WebEngine;
  readonly exchanges: WebExchange[];
  /** Codes of what was said to whoever had too many connections. */
  readonly crowds: string[];
  readonly connections: { readonly connection: Connection; chunks: number[] }[];
}

async function start(): Promise<Running> {
  const [exchanges, connections, crowds]: [Running['exchanges'], Running['connections'], string[]] = [[], [], []];
  const engine = createNodeEngine(
    {
      host: '127.0.0.1',
      port: 0,
      maxConnections: 100,
      maxConnectionsPerAddress: 100,
      crowded: (_, { code }) => void crowds.push(code),
      maxMessageBytes: 1_000_000,
      maxUnfinishedBytes: 600_000,
      maxHeldBytes: 0,
      heartbeatMs: HEARTBEAT_MS,
      clock,
      log: { info: () => {}, warn: () => {}, error: () => {} },
      proxy: { from: [], clock, refused: () => {} },
    },
    {
      judge: () => undefined,
      requested: (exchange) => void exchanges.push(exchange),
      connected: (connection) => {
        const chunks: number[] = [];
        connections.push({ connection, chunks });
        connection.open({ data: (chunk) => void chunks.push(chunk.length), drain: () => {}, close: () => {} });
      },
    },
  );
  await engine.start();
  closers.push(() => engine.close());
  return { engine, exchanges, connections, crowds };
}

async function dial({ engine }: Running): Promise<Socket> {
  const socket = await dialSocket(engine.address.port);
  closers.push(() => socket.destroy());
  return socket;
}

/** A peer, and the errors that it is told. */
async function upgrade(running: Running, who: 'let in' | 'stranger' = 'let in'): Promise<{ peer: WebSocketPeer; errors: string[] }> {
  const errors: string[] = [];
  const decoder = new FrameDecoder(1 << 20);
  const peer = await WebSocketPeer.upgrade(await dial(running), (payload) => {
    decoder.push(payload);
    errors.push(decodeError(decoder.next()!.payload).code);
  });
  if (who === 'let in') running.connections.at(-1)!.connection.letIn?.();
  return { peer, errors };
}

/** The first `bytes` of a message of half a million. */
function begin(bytes: number): Buffer {
  return clientFrame(randomBytes(bytes), BINARY, 500_000);
}

test('a message of whoever is not let in yet may be no longer than a HELLO', async () => {
  const running = await start();
  const [stranger, known] = [await upgrade(running, 'stranger'), await upgrade(running)];
  for (const { peer } of [stranger, known]) peer.socket.write(begin(10_000));
  await eventually(() => expect([stranger.errors, stranger.peer.closeCode]).toEqual([['frame_too_large'], 1008]));
  await new Promise((resolve) => void setImmediate(resolve));
  expect(known.errors).toEqual([]);
});

test('the rest of a message that comes too slowly ends the connection, and says why', async () => {
  const { peer, errors } = await upgrade(await start());
  peer.socket.write(begin(5_000));
  await eventually(async () => {
    await clock.advance(HEARTBEAT_MS / 4);
    expect([errors, peer.closeCode]).toEqual([['frame_unfinished'], 1008]);
  });
});

test('who breaks the rules of WebSocket and does not answer the close is cut off', async () => {
  const running = await start();
  const { peer } = await upgrade(running);
  peer.socket.allowHalfOpen = true;
  peer.socket.on('error', () => {});
  // An opcode that means nothing.
  peer.socket.write(clientFrame(Buffer.from('x'), 3));
  await eventually(() => expect(peer.closeCode).toBe(1002));
  await clock.advance(2_000);
  await eventually(() => {
    if (!peer.socket.destroyed) peer.socket.write('x');
    expect(peer.socket.destroyed).toBe(true);
  });
});

test('while a long message comes at its pace, the peer counts as heard', async () => {
  const running = await start();
  const { peer, errors } = await upgrade(running);
  const bytes = begin(500_000);
  const { chunks } = running.connections[0]!;
  for (let at = 0; at < bytes.length; at += 100_000) {
    const heard = chunks.length;
    peer.socket.write(bytes.subarray(at, at + 100_000));
    await eventually(async () => {
      await clock.advance(1_000);
      expect(chunks.length).toBeGreaterThan(heard);
    });
  }
  await eventually(() => expect(chunks.at(-1)).toBe(500_000));
  expect(new Set(chunks.slice(0, -1))).toEqual(new Set([0]));
  await clock.advance(HEARTBEAT_MS * 10);
  expect(errors).toEqual([]);
});

test('a connection that stands still owes nothing', async () => {
  const running = await start();
  const { peer, errors } = await upgrade(running);
  peer.socket.write(begin(5_000));
  await new Promise((resolve) => void setImmediate(resolve));
  running.connections[0]!.connection.pause();
  await clock.advance(HEARTBEAT_MS * 10);
  expect(errors).toEqual([]);
});

test('of messages that hold too much together, the longest is given up', async () => {
  const running = await start();
  const [long, short] = [await upgrade(running), await upgrade(running)];
  long.peer.socket.write(begin(450_000));
  short.peer.socket.write(begin(200_000));
  await eventually(async () => {
    await clock.advance(1_000);
    expect(long.errors).toEqual(['frame_unfinished']);
  });
  await clock.advance(5_000);
  expect(short.errors).toEqual([]);
});

test('of a connection that is closing, what still comes is read for a while, so that its peer sees the answer', async () => {
  const running = await start();
  const socket = await dial(running);
  socket.write('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5000000\r\n\r\n');
  await eventually(() => expect(running.exchanges.length).toBe(1));
  running.exchanges[0]!.respond({ status: 413, body: 'too large', close: true });
  let answer = '';
  // A peer that reads nothing until it has sent everything.
  socket.pause();
  await new Promise<void>((resolve, reject) => void socket.write(Buffer.alloc(5_000_000), (error) => (error ? reject(error) : resolve())));
  socket.on('data', (chunk: Buffer) => (answer += chunk.toString()));
  socket.resume();
  await eventually(() => expect(answer).toMatch(/^HTTP\/1\.1 413 [^]*connection: close[^]*too large$/));
  await eventually(() => expect(socket.closed).toBe(true));
});

test('a request on a connection that is closing is not carried out', async () => {
  const running = await start();
  const socket = await dial(running);
  socket.write('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n');
  await eventually(() => expect(running.exchanges.length).toBe(1));
  running.exchanges[0]!.respond({ status: 401, close: true });
  socket.resume();
  socket.write('abcPOST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n');
  await eventually(() => expect(socket.readableEnded || socket.closed).toBe(true));
  expect(running.exchanges.length).toBe(1);
});

test('requests that wait behind one another end with their connection, also when an upgrade comes behind them', async () => {
  const running = await start();
  const get = 'GET / HTTP/1.1\r\nHost: h\r\n\r\n';
  for (const [count, last] of [
    [
      3,
      'GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
    ],
    [3, 'CONNECT x HTTP/1.1\r\nHost: x\r\n\r\n'],
    [100, ''],
  ] as const) {
    running.exchanges.length = 0;
    const socket = await dial(running);
    socket.write(get.repeat(count) + last);
    await eventually(() => expect(socket.closed).toBe(true));
    expect(running.exchanges.length).toBeGreaterThan(2);
    expect(running.exchanges.length).toBeLessThan(65);
    expect(running.exchanges.every(({ signal }) => signal.aborted)).toBe(true);
    expect(running.connections).toEqual([]);
  }
});

test('an address that has too many connections is told so, whatever they are for, until one of them ends', async () => {
  const running = await start();
  running.engine.maxConnectionsPerAddress = 2;
  const sockets: Socket[] = [];
  for (let i = 0; i < 18; i++) sockets.push(await dial(running));
  const answerOf = async () => {
    const socket = await dial(running);
    let answer = '';
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString()));
    socket.write('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
    const before = running.exchanges.length;
    await eventually(() => expect(socket.closed || running.exchanges.length > before).toBe(true));
    return answer;
  };
  expect(await answerOf()).toMatch(/^HTTP\/1\.1 429 [^]*retry-after: 1[^]*127\.0\.0\.1 has 18 connections/);
  expect(running.crowds).toEqual(['too_many_connections']);
  sockets[0]!.destroy();
  await eventually(async () => expect(await answerOf()).toBe(''));
});

test('a body that nobody waits for may take its time', async () => {
  const running = await start();
  const socket = await dial(running);
  socket.write('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n');
  await eventually(() => expect(running.exchanges.length).toBe(1));
  await clock.advance(600_000);
  expect(running.exchanges[0]!.signal.aborted).toBe(false);
  socket.write('0123456789');
  let body = '';
  for await (const chunk of running.exchanges[0]!.body()) body += Buffer.from(chunk).toString();
  expect(body).toBe('0123456789');
});

test('what is left of a body once it was answered may not take for ever', async () => {
  const running = await start();
  const socket = await dial(running);
  socket.write('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n');
  await eventually(() => expect(running.exchanges.length).toBe(1));
  socket.resume();
  running.exchanges[0]!.respond({ status: 200 });
  await eventually(async () => {
    await clock.advance(1_000);
    expect(socket.destroyed).toBe(true);
  });
});
