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
  readonly connections: { readonly connection: Connection; chunks: number[] }[];
}

async function start(): Promise<Running> {
  const [exchanges, connections]: [Running['exchanges'], Running['connections']] = [[], []];
  const engine = createNodeEngine(
    {
      host: '127.0.0.1',
      port: 0,
      maxConnections: 100,
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
  return { engine, exchanges, connections };
}

async function dial({ engine }: Running): Promise<Socket> {
  const socket = await dialSocket(engine.address.port);
  closers.push(() => socket.destroy());
  return socket;
}

/** A peer, and the errors that it is told. */
async function upgrade(running: Running): Promise<{ peer: WebSocketPeer; errors: string[] }> {
  const errors: string[] = [];
  const decoder = new FrameDecoder(1 << 20);
  const peer = await WebSocketPeer.upgrade(await dial(running), (payload) => {
    decoder.push(payload);
    errors.push(decodeError(decoder.next()!.payload).code);
  });
  return { peer, errors };
}

/** The first `bytes` of a message of half a million. */
function begin(bytes: number): Buffer {
  return clientFrame(randomBytes(bytes), BINARY, 500_000);
}

test('the rest of a message that comes too slowly ends the connection, and says why', async () => {
  const { peer, errors } = await upgrade(await start());
  peer.socket.write(begin(5_000));
  await eventually(async () => {
    await clock.advance(HEARTBEAT_MS / 4);
    expect([errors, peer.closeCode]).toEqual([['frame_unfinished'], 1008]);
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

test('a body that somebody waits for and that comes too slowly ends its connection, and one at its pace does not', async () => {
  const running = await start();
  const [slow, steady] = [await dial(running), await dial(running)];
  for (const socket of [slow, steady]) socket.write('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n');
  await eventually(() => expect(running.exchanges.length).toBe(2));
  const ends: string[] = [];
  const counts = [0, 0];
  const reading = running.exchanges.map(async (exchange, i) => {
    try {
      for await (const chunk of exchange.body()) counts[i]! += chunk.length;
      ends.push('complete');
    } catch {
      ends.push('broken');
    }
  });
  for (let second = 1; second <= 10; second++) {
    slow.write('x');
    steady.write('x'.repeat(10_000));
    // Both are there before time passes.
    await eventually(() => expect(Math.max(...counts)).toBe(second * 10_000));
    await clock.advance(1_000);
  }
  await Promise.all(reading);
  expect(ends.toSorted()).toEqual(['broken', 'complete']);
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
