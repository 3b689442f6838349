import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:http';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type WebSocket as ServerSocket, WebSocketServer } from 'ws';
import { eventually } from '../../test/support/eventually.ts';
import { systemClock } from '../core/clock.ts';
import type { Connection } from '../core/network.ts';
import { createWebSocketDialer } from './web-socket-dialer.ts';

let server: WebSocketServer;
let url: string;
let far: ServerSocket[];

beforeEach(async () => {
  far = [];
  server = new WebSocketServer({ host: '127.0.0.1', port: 0, path: '/ws' });
  server.on('connection', (socket) => void far.push(socket));
  await once(server, 'listening');
  url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}/ws`;
});
afterEach(() => {
  for (const socket of far) socket.terminate();
  server.close();
});

const dial = (signal = new AbortController().signal) => createWebSocketDialer(url, systemClock).connect(signal);

function open(connection: Connection): { data: string; drains: number; ends: (string | undefined)[] } {
  const seen = { data: '', drains: 0, ends: [] as (string | undefined)[] };
  connection.open({
    data: (chunk) => void (seen.data += Buffer.from(chunk).toString()),
    drain: () => void seen.drains++,
    close: (error) => void seen.ends.push(error?.message),
  });
  return seen;
}

describe('a connection over the standard WebSocket', () => {
  test('carries bytes both ways, also those that came before anybody took them', async () => {
    const connection = await dial();
    await eventually(() => expect(far.length).toBe(1));
    far[0]!.send(Buffer.from('early '));
    const received = once(far[0]!, 'message') as Promise<[Buffer, boolean]>;
    connection.write(Buffer.from('up'));
    expect(await received).toEqual([Buffer.from('up'), true]);
    const seen = open(connection);
    far[0]!.send(Buffer.from('late'));
    await eventually(() => expect(seen.data).toBe('early late'));
  });

  test('cuts what is long into several messages, so that its far end sees it coming', async () => {
    const connection = await dial();
    await eventually(() => expect(far.length).toBe(1));
    const received: Buffer[] = [];
    far[0]!.on('message', (data) => received.push(data as Buffer));
    const sent = randomBytes(200_000);
    connection.write(sent);
    connection.write(Buffer.from('short'));
    await eventually(() => expect(Buffer.concat(received)).toEqual(Buffer.concat([sent, Buffer.from('short')])));
    expect(received.map(({ length }) => length)).toEqual([65_536, 65_536, 65_536, 3_392, 5]);
  });

  test('keeps what comes while it is paused, in order', async () => {
    const connection = await dial();
    const seen = open(connection);
    await eventually(() => expect(far.length).toBe(1));
    connection.pause();
    for (let i = 0; i < 50; i++) far[0]!.send(Buffer.from(`${i} `));
    const echo = once(far[0]!, 'pong');
    far[0]!.ping();
    await echo;
    expect(seen.data).toBe('');
    connection.resume();
    await eventually(() => expect(seen.data).toBe(Array.from({ length: 50 }, (_, i) => `${i} `).join('')));
  });

  test('tells when everything that was written is gone', async () => {
    const connection = await dial();
    const seen = open(connection);
    await eventually(() => expect(far.length).toBe(1));
    far[0]!.pause();
    for (let i = 0; i < 300 && connection.bufferedBytes < 1_000_000; i++) {
      connection.write(Buffer.alloc(60_000));
      await new Promise((resolve) => void setImmediate(resolve));
    }
    expect(connection.bufferedBytes).toBeGreaterThan(0);
    far[0]!.resume();
    await eventually(() => expect([connection.bufferedBytes, seen.drains > 0]).toEqual([0, true]));
  });

  test('tells its end once, with the reason when it broke', async () => {
    const [ended, cut] = [await dial(), await dial()];
    const [first, second] = [open(ended), open(cut)];
    await eventually(() => expect(far.length).toBe(2));
    ended.end();
    far[1]!.terminate();
    await eventually(() => expect([first.ends, second.ends]).toEqual([[undefined], ['the connection broke (1006)']]));
  });

  test('that is destroyed is over at once for its receiver', async () => {
    const connection = await dial();
    const seen = open(connection);
    connection.destroy();
    expect(seen.ends).toEqual([undefined]);
    await eventually(() => expect(far[0]?.readyState).toBe(3));
    connection.write(Buffer.from('late'));
    expect(seen.ends).toEqual([undefined]);
  });

  test('on which text comes is broken', async () => {
    const connection = await dial();
    const seen = open(connection);
    await eventually(() => expect(far.length).toBe(1));
    far[0]!.send('text');
    await eventually(() => expect(seen.ends).toEqual(['the server sent a text message, which the protocol does not have']));
  });
});

describe('dialing', () => {
  test('rejects with the address when nobody is there, and when it is refused', async () => {
    const refusing = createServer().on('upgrade', (_, socket) => void socket.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n'));
    refusing.listen(0, '127.0.0.1');
    await once(refusing, 'listening');
    url = `ws://127.0.0.1:${(refusing.address() as AddressInfo).port}/ws`;
    await expect(dial()).rejects.toThrow(`${url} cannot be reached, or takes no WebSocket connection there (1006)`);
    refusing.close();
    await once(refusing, 'close');
    await expect(dial()).rejects.toThrow(`${url} cannot be reached`);
  });

  test('ends when it is aborted, before and during', async () => {
    const controller = new AbortController();
    const attempt = dial(controller.signal);
    controller.abort(new Error('enough'));
    await expect(attempt).rejects.toThrow('enough');
    await expect(dial(controller.signal)).rejects.toThrow('enough');
  });
});
