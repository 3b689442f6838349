import { once } from 'node:events';
import { Agent, request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import type { Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import type { SyncError } from '../../src/core/errors.ts';
import type { Connection } from '../../src/core/network.ts';
import type { WebDoor, WebEngine, WebExchange } from '../../src/ingest/web/engine.ts';
import type { WebEngineOptions } from '../../src/ingest/web/engine-options.ts';
import { createWebSocketDoor, type WebSocketOptions } from '../../src/ingest/web/websocket.ts';
import { FrameDecoder } from '../../src/protocol/frame-decoder.ts';
import { encodeFrame, FRAME } from '../../src/protocol/frame.ts';
import { decodeError, encodeError } from '../../src/protocol/messages.ts';
import { eventually } from '../support/eventually.ts';
import { SETTINGS } from '../support/ingest-world.ts';
import { proxyHeader } from '../support/proxy-header.ts';
import { WebSocketPeer, type UpgradeOptions } from '../support/web-socket-peer.ts';
import { dialSocket, engineOptions } from './listener-subjects.ts';

export interface EngineSubject {
  readonly name: string;
  createEngine(options: WebEngineOptions, door: WebDoor): WebEngine;
}

const ORIGIN = 'https://shop.example';
const TEXT = 1;

/** What HTTP requests and the frame of a WebSocket connection meet, on every engine. */
export function webEngineContract({ name, createEngine }: EngineSubject): void {
  describe(`the web engine ${name}`, () => {
    let engine: WebEngine;
    let exchanges: WebExchange[];
    let connections: Connection[];
    let refusals: SyncError[];
    let answer: (exchange: WebExchange) => unknown;
    const closers: (() => unknown)[] = [];

    beforeEach(() => {
      exchanges = [];
      connections = [];
      refusals = [];
      answer = (exchange) => exchange.respond({ status: 200, body: 'fine' });
    });
    afterEach(async () => {
      for (const close of closers.splice(0).toReversed()) await close();
    });

    async function start(options: Partial<WebSocketOptions> & { proxyFrom?: readonly string[] } = {}): Promise<void> {
      const { origins = [ORIGIN], hosts = [], proxyFrom = [] } = options;
      const log = { info: () => {}, warn: () => {}, error: () => {} };
      const proxy = { from: proxyFrom, clock: systemClock, refused: (_: string, error: SyncError) => void refusals.push(error) };
      const door = createWebSocketDoor(
        { origins, hosts },
        {
          accept: (connection) => void connections.push(connection),
          requested: (exchange) => {
            exchanges.push(exchange);
            answer(exchange);
          },
        },
      );
      engine = createEngine(engineOptions({ host: '127.0.0.1', port: 0, settings: SETTINGS, log, proxy }), door);
      await engine.start();
      closers.push(() => engine.close());
    }

    async function dial(header?: Uint8Array): Promise<Socket> {
      const socket = await dialSocket(engine.address.port, header === undefined ? {} : { header });
      closers.push(() => socket.destroy());
      return socket;
    }

    async function send(options: RequestOptions = {}, body: string | Uint8Array = ''): Promise<{ head: IncomingMessage; body: string }> {
      const request = httpRequest({ host: '127.0.0.1', port: engine.address.port, agent: false, ...options });
      request.end(body);
      const [head] = (await once(request, 'response')) as [IncomingMessage];
      return { head, body: await text(head) };
    }

    /** Upgrades and takes what comes in frames. */
    async function upgrade(options?: UpgradeOptions): Promise<{ peer: WebSocketPeer; received: string[] }> {
      const received: string[] = [];
      const decoder = new FrameDecoder(1 << 20);
      const take = (payload: Buffer) => {
        decoder.push(payload);
        for (let frame = decoder.next(); frame !== undefined; frame = decoder.next())
          received.push(frame.type === FRAME.error ? decodeError(frame.payload).code : String(frame.type));
      };
      return { peer: await WebSocketPeer.upgrade(await dial(), take, options), received };
    }

    function open(connection: Connection): { data: string; closed: boolean } {
      const seen = { data: '', closed: false };
      connection.letIn?.();
      connection.open({
        data: (chunk) => void (seen.data += Buffer.from(chunk).toString()),
        drain: () => {},
        close: () => void (seen.closed = true),
      });
      return seen;
    }

    describe('a request', () => {
      test('arrives with its method, path, query, headers and address, and its answer goes back', async () => {
        await start();
        answer = (exchange) => exchange.respond({ status: 418, headers: { 'x-tea': 'pot' }, body: Buffer.from('short') });
        const headers = { 'X-One': ['a', 'b'], Authorization: 'Bearer t' };
        const { head, body } = await send({ method: 'PUT', path: '/a%20b/../c?q=1&r=%2F', headers });
        expect([head.statusCode, head.statusMessage, head.headers['x-tea'], body]).toEqual([418, "I'm a Teapot", 'pot', 'short']);
        const [exchange] = exchanges;
        expect(exchange).toMatchObject({ method: 'PUT', path: '/a%20b/../c', query: 'q=1&r=%2F', remoteAddress: '127.0.0.1' });
        expect(exchange).toMatchObject({ certificateNames: [] });
        expect(exchange!.header('x-one')).toBe('a, b');
        expect(exchange!.header('authorization')).toBe('Bearer t');
        expect(exchange!.header('x-none')).toBeUndefined();
      });

      test('for the head alone gets no body, and its length', async () => {
        await start();
        const { head, body } = await send({ method: 'HEAD' });
        expect([head.statusCode, head.headers['content-length'], body]).toEqual([200, '4', '']);
      });

      test('that is answered with 204 is told of no length, which would be wrong', async () => {
        await start();
        answer = (exchange) => exchange.respond({ status: 204 });
        const { head } = await send();
        expect([head.statusCode, head.headers['content-length'], head.headers['transfer-encoding']]).toEqual([204, undefined, undefined]);
      });

      test.each(['with its length', 'in pieces'])('has its body read %s', async (how) => {
        await start();
        const sent = Buffer.alloc(300_000, 'abc');
        answer = async (exchange) => {
          const chunks: Uint8Array[] = [];
          for await (const chunk of exchange.body()) chunks.push(chunk);
          exchange.respond({ status: Buffer.concat(chunks).equals(sent) ? 200 : 500 });
        };
        const headers = how === 'in pieces' ? { 'Transfer-Encoding': 'chunked' } : { 'Content-Length': sent.length };
        expect((await send({ method: 'POST', headers }, sent)).head.statusCode).toBe(200);
      });

      test('without a body has one that is empty', async () => {
        await start();
        answer = async (exchange) => {
          let chunks = 0;
          for await (const _ of exchange.body()) chunks++;
          exchange.respond({ status: 200, body: `${chunks} chunks` });
        };
        expect((await send()).body).toBe('0 chunks');
      });

      test('with a body that nobody takes is held back until somebody does', async () => {
        await start();
        answer = () => {};
        const bytes = 64 * 1024 * 1024;
        const socket = await dial();
        let flushed = false;
        socket.write(`POST / HTTP/1.1\r\nHost: h\r\nContent-Length: ${bytes}\r\n\r\n`);
        socket.write(Buffer.alloc(bytes), () => void (flushed = true));
        await eventually(() => expect(exchanges.length).toBe(1));
        const chunks = exchanges[0]!.body()[Symbol.asyncIterator]();
        const first = (await chunks.next()).value as Uint8Array;
        // Others are served all the while.
        answer = (exchange) => exchange.respond({ status: 200 });
        for (let i = 0; i < 50; i++) await send();
        expect(flushed).toBe(false);
        let taken = first.length;
        for (let next = await chunks.next(); next.done !== true; next = await chunks.next()) taken += next.value.length;
        expect(taken).toBe(bytes);
      });

      test('that is answered before its body was read leaves the connection to the next one', async () => {
        await start();
        const agent = new Agent({ keepAlive: true, maxSockets: 1 });
        closers.push(() => agent.destroy());
        const options = { method: 'POST', agent, headers: { 'Content-Length': 50_000 } };
        expect((await send(options, 'x'.repeat(50_000))).body).toBe('fine');
        expect((await send({ agent })).body).toBe('fine');
      });

      test('that is answered in the middle of its body leaves the connection to the next one, too', async () => {
        await start();
        answer = async (exchange) => {
          if (exchange.method === 'GET') return exchange.respond({ status: 200, body: 'next' });
          for await (const _ of exchange.body()) break;
          exchange.respond({ status: 422, body: 'enough' });
        };
        const socket = await dial();
        let answers = '';
        socket.write('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000003\r\n\r\nabc');
        await eventually(() => expect(exchanges.length).toBe(1));
        // As who reads nothing before everything is sent.
        await new Promise((resolve) => void socket.write(Buffer.alloc(1_000_000), resolve));
        socket.on('data', (chunk: Buffer) => (answers += chunk.toString()));
        await eventually(() => expect(answers).toContain('enough'));
        socket.write('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
        await eventually(() => expect(answers).toMatch(/ 422 [^]*enough[^]* 200 [^]*next$/));
      });

      test('whose answer says so ends the connection', async () => {
        await start();
        answer = (exchange) => exchange.respond({ status: 413, close: true });
        const socket = await dial();
        socket.write('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\nonly this');
        expect(await text(socket)).toMatch(/^HTTP\/1\.1 413 /);
      });

      test('whose peer goes away is aborted, its body too, and an answer comes to nothing', async () => {
        await start();
        const ends: unknown[] = [];
        answer = async (exchange) => {
          try {
            for await (const _ of exchange.body());
          } catch {
            ends.push('body');
          }
        };
        const socket = await dial();
        socket.write('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nfew');
        await eventually(() => expect(exchanges.length).toBe(1));
        const { signal } = exchanges[0]!;
        expect(signal.aborted).toBe(false);
        socket.destroy();
        await eventually(() => expect([signal.aborted, ends]).toEqual([true, ['body']]));
        exchanges[0]!.respond({ status: 200 });
      });

      test('is aborted, too, when its peer goes away while the answer is thought over', async () => {
        await start();
        answer = () => {};
        const socket = await dial();
        socket.write('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
        await eventually(() => expect(exchanges.length).toBe(1));
        socket.destroy();
        await eventually(() => expect(exchanges[0]!.signal.aborted).toBe(true));
      });

      test.each([
        ['with more than 16 KiB before its body', `GET / HTTP/1.1\r\nHost: h\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, /^HTTP\/1\.1 431 /],
        ['of another version', 'GET / HTTP/3.0\r\nHost: h\r\n\r\n', /^HTTP\/1\.1 (400|505) /],
        ['with two lengths', 'POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n', /^HTTP\/1\.1 400 /],
      ])('%s is refused', async (_, bytes, expected) => {
        await start();
        const socket = await dial();
        socket.write(bytes);
        expect(await text(socket)).toMatch(expected);
        expect(exchanges).toEqual([]);
      });

      test('that never comes to its end is given up, and so is a connection on which none begins', { timeout: 40_000 }, async () => {
        await start();
        const [slow, silent] = [await dial(), await dial()];
        slow.write('GET / HTTP/1.1\r\nHost:');
        await Promise.all([text(slow), text(silent)]);
        expect(exchanges).toEqual([]);
      });
    });

    describe('who asks for an upgrade', () => {
      test('from no browser is taken in', async () => {
        await start();
        await upgrade();
        expect(connections).toMatchObject([{ remoteAddress: '127.0.0.1' }]);
      });

      test('from a page is taken in if the page is one of those that may', async () => {
        await start();
        await upgrade({ headers: { Origin: ORIGIN } });
        for (const Origin of ['https://evil.example', 'null', `${ORIGIN}.evil.example`, `${ORIGIN}:8443`, '']) {
          await expect(upgrade({ headers: { Origin } })).rejects.toThrow(
            /^HTTP\/1\.1 403 [^]*application\/problem\+json[^]*listen\.web\.origins/,
          );
        }
        expect(connections.length).toBe(1);
      });

      test('under another name than those of this server is refused, and so are requests', async () => {
        await start({ hosts: ['sync.example', '[::1]'] });
        await upgrade({ headers: { Host: 'Sync.Example:9502' } });
        await upgrade({ headers: { Host: '[::1]' } });
        await expect(upgrade({ headers: { Host: 'rebound.example' } })).rejects.toThrow(/^HTTP\/1\.1 403 [^]*listen\.web\.hosts/);
        expect((await send({ headers: { Host: 'rebound.example' } })).head.statusCode).toBe(403);
        expect((await send({ headers: { Host: 'sync.example' } })).head.statusCode).toBe(200);
      });

      test('elsewhere than at /ws finds nothing', async () => {
        await start();
        await expect(upgrade({ path: '/elsewhere' })).rejects.toThrow(/^HTTP\/1\.1 404 /);
      });

      test('and forgets to say so is told', async () => {
        await start();
        const { head } = await send({ path: '/ws' });
        expect([head.statusCode, head.headers['upgrade'], head.headers['content-type']]).toEqual([
          426,
          'websocket',
          'application/problem+json',
        ]);
        expect(exchanges).toEqual([]);
      });
    });

    describe('a connection', () => {
      test('carries messages both ways, however long, and closes with 1000', async () => {
        await start();
        const { peer, received } = await upgrade();
        const seen = open(connections[0]!);
        for (const length of [1, 125, 126, 65_535, 65_536, 200_000]) peer.send(Buffer.alloc(length, 'x'));
        await eventually(() => expect(seen.data.length).toBe(331_323));
        connections[0]!.write(encodeFrame({ type: FRAME.ping, payload: Buffer.alloc(60) }));
        connections[0]!.write(encodeFrame({ type: FRAME.pong, payload: Buffer.alloc(60) }));
        connections[0]!.end();
        await eventually(() => expect([received, peer.closeCode]).toEqual([[String(FRAME.ping), String(FRAME.pong)], 1000]));
      });

      test('closes with 1008 after an ERROR', async () => {
        await start();
        const { peer, received } = await upgrade();
        open(connections[0]!);
        connections[0]!.write(encodeFrame({ type: FRAME.error, payload: encodeError({ code: 'auth_failed', message: 'no' }) }));
        connections[0]!.end();
        await eventually(() => expect([received, peer.closeCode]).toEqual([['auth_failed'], 1008]));
      });

      test('on which text comes ends with bad_frame and 1003', async () => {
        await start();
        const { peer, received } = await upgrade();
        const seen = open(connections[0]!);
        peer.send(Buffer.from('hello'), TEXT);
        await eventually(() => expect([received, peer.closeCode, seen.data]).toEqual([['bad_frame'], 1003, '']));
        peer.socket.end();
        await eventually(() => expect(seen.closed).toBe(true));
      });

      test('on which a message is too long ends', async () => {
        await start();
        const { peer } = await upgrade();
        const seen = open(connections[0]!);
        peer.send(Buffer.alloc(2 * 1024 * 1024));
        await eventually(() => expect(peer.socket.destroyed).toBe(true));
        await eventually(() => expect(seen).toEqual({ data: '', closed: true }));
      });

      test('that stands still keeps what comes for later, in order', async () => {
        await start();
        const { peer } = await upgrade();
        const seen = open(connections[0]!);
        connections[0]!.pause();
        const sent = Array.from({ length: 100 }, (_, i) => `${i} `);
        for (const one of sent) peer.send(Buffer.from(one));
        connections[0]!.resume();
        await eventually(() => expect(seen.data).toBe(sent.join('')));
      });

      test('whose peer reads nothing says what waits, and tells when all of it is gone', async () => {
        await start();
        const { peer } = await upgrade();
        let drains = 0;
        connections[0]!.open({ data: () => {}, drain: () => void drains++, close: () => {} });
        peer.socket.pause();
        const chunk = encodeFrame({ type: FRAME.batch, seq: 1, payload: Buffer.alloc(60_000) });
        for (let i = 0; i < 400 && connections[0]!.bufferedBytes < 1_000_000; i++) {
          connections[0]!.write(chunk);
          await new Promise((resolve) => void setImmediate(resolve));
        }
        expect(connections[0]!.bufferedBytes).toBeGreaterThan(1_000_000);
        const before = drains;
        peer.socket.resume();
        await eventually(() => expect([connections[0]!.bufferedBytes, drains > before]).toEqual([0, true]));
      });

      test('tells that it has drained also when the system takes at once what a turn has written', async () => {
        await start();
        const { received } = await upgrade();
        let drains = 0;
        connections[0]!.open({ data: () => {}, drain: () => void drains++, close: () => {} });
        for (let i = 0; i < 80; i++) connections[0]!.write(encodeFrame({ type: FRAME.batch, seq: 1, payload: Buffer.alloc(1_000) }));
        expect(connections[0]!.bufferedBytes).toBeGreaterThan(64 * 1_024);
        await eventually(() => expect([received.length, connections[0]!.bufferedBytes, drains]).toEqual([80, 0, 1]));
      });

      test('that is destroyed is gone at once, and writing to it does nothing', async () => {
        await start();
        const { peer } = await upgrade();
        const seen = open(connections[0]!);
        connections[0]!.destroy();
        await eventually(() => expect([seen.closed, peer.socket.destroyed]).toEqual([true, true]));
        connections[0]!.write(Buffer.from('late'));
        connections[0]!.end();
        connections[0]!.destroy();
        expect(connections[0]!.bufferedBytes).toBe(0);
      });
    });

    test('connections that have ended leave room for others, whatever they were', async () => {
      await start();
      engine.maxConnections = 1;
      for (let i = 0; i < 200; i++) {
        const { peer } = await upgrade();
        peer.socket.destroy();
        (await dial()).destroy();
      }
      await eventually(async () => expect((await send()).body).toBe('fine'));
    });

    test('connections far beyond the limit, which may change, are cut off without a word', async () => {
      await start();
      engine.maxConnections = 1;
      engine.maxConnectionsPerAddress = 1_000;
      const closed: string[] = [];
      for (let i = 0; i < 140; i++) {
        const socket = await dial();
        let said = '';
        socket.on('data', (chunk) => (said += String(chunk)));
        socket.once('close', () => closed.push(said));
      }
      // One, and 128 that could be told why not.
      await eventually(() => expect(closed).toEqual(Array.from({ length: 11 }, () => '')));
      engine.maxConnections = 2;
      const socket = await dial();
      socket.write('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
      await eventually(() => expect(exchanges.length).toBe(1));
    });

    describe('behind a balancer', () => {
      test('a request is that of the client whom the header names', async () => {
        await start({ proxyFrom: ['127.0.0.1'] });
        const socket = await dial(proxyHeader({ source: '203.0.113.7' }));
        socket.write('GET /first HTTP/1.1\r\nHost: h\r\n\r\n');
        await eventually(() => expect(exchanges).toMatchObject([{ path: '/first', remoteAddress: '203.0.113.7' }]));
      });

      test.each(['at once', 'later', 'before the upgrade'])('a client cannot send a header of its own %s', async (when) => {
        await start({ proxyFrom: ['127.0.0.1'] });
        const socket = await dial(proxyHeader({ source: '203.0.113.7' }));
        const own = proxyHeader({ source: '198.51.100.1' });
        const first = Buffer.from('GET /first HTTP/1.1\r\nHost: h\r\n\r\n');
        const second = Buffer.from('GET /second HTTP/1.1\r\nHost: h\r\n\r\n');
        const gone = new Promise((resolve) => void socket.once('close', resolve));
        socket.resume();
        if (when === 'at once') socket.write(Buffer.concat([first, own, second]));
        else {
          socket.write(first);
          await eventually(() => expect(exchanges.length).toBe(1));
          socket.write(own);
          if (when === 'later') socket.write(second);
          else await WebSocketPeer.upgrade(socket, () => {}).catch(() => {});
        }
        await gone;
        expect(exchanges.map(({ path, remoteAddress }) => [path, remoteAddress])).toEqual([['/first', '203.0.113.7']]);
        expect(connections).toEqual([]);
      });

      test('a client cannot slip one in while its first request is not answered', async () => {
        await start({ proxyFrom: ['127.0.0.1'] });
        answer = () => {};
        const socket = await dial(proxyHeader({ source: '203.0.113.7' }));
        socket.write('GET /first HTTP/1.1\r\nHost: h\r\n\r\n');
        await eventually(() => expect(exchanges.length).toBe(1));
        const gone = new Promise((resolve) => void socket.once('close', resolve));
        socket.resume();
        socket.write(Buffer.concat([proxyHeader({ source: '198.51.100.1' }), Buffer.from('GET /second HTTP/1.1\r\nHost: h\r\n\r\n')]));
        exchanges[0]!.respond({ status: 200 });
        await gone;
        expect(exchanges.map(({ remoteAddress }) => remoteAddress)).not.toContain('198.51.100.1');
      });

      test('a request without a header is refused and counted', async () => {
        await start({ proxyFrom: ['127.0.0.1'] });
        const socket = await dial();
        socket.write('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
        expect(await text(socket)).toMatch(/^HTTP\/1\.1 400 [^]*application\/problem\+json/);
        expect(refusals).toMatchObject([{ code: 'bad_proxy_header' }]);
        expect(exchanges).toEqual([]);
      });
    });
  });
}
