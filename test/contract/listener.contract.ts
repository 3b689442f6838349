import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { crc32, zstdCompressSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { systemRandom } from '../../src/core/random.ts';
import type { IngestSettings } from '../../src/ingest/context.ts';
import { encodeFrame, FRAME, FLAG_ZSTD, frameName } from '../../src/protocol/frame.ts';
import { decodeRefusal, decodeWelcome, encodeHello } from '../../src/protocol/messages.ts';
import { eventually } from '../support/eventually.ts';
import { FrameChain, SETTINGS, smallBatch, STREAM } from '../support/ingest-world.ts';
import { proxyHeader } from '../support/proxy-header.ts';
import { closeLater, emptied, expectUnharmed, OTHER, type RawClient, startDoor, TOKEN } from './listener-door.ts';
import { dialSocket, type ListenerSubject } from './listener-subjects.ts';

/** What every listener does for a client, well-behaved or not, whatever carries its frames. */
export function listenerContract(subject: ListenerSubject): void {
  describe(`the listener for ${subject.name}`, () => {
    describe('a client', () => {
      test('says HELLO, sends, and hears STORED and APPLIED', async () => {
        const door = await startDoor(subject);
        const client = await door.open();
        expect(decodeWelcome(client.frames[0]!.payload).producer).toBe('shop');
        const chain = new FrameChain(2, 100);
        client.write(chain.bytes(1, 100));
        await client.got('STORED 2:100');
        door.progress.commit(2, chain.place(100));
        await client.got('APPLIED 2:100');
        expect((await door.queue.backlog('main'))[2]?.count).toBe(100);
        client.send({ type: FRAME.bye });
        await client.closed();
        await emptied(door, 0);
      });

      test('may cut its frames anywhere', async () => {
        const door = await startDoor(subject);
        const client = await door.open();
        const bytes = new FrameChain(0, 5).bytes(1, 5);
        for (let at = 0; at < bytes.length; at += 7) {
          client.write(bytes.subarray(at, at + 7));
          await new Promise((resolve) => void setImmediate(resolve));
        }
        await client.got('STORED 0:5');
      });

      test('may send compressed frames, which are stored as they were sent', async () => {
        const door = await startDoor(subject);
        const client = await door.open();
        const chain = new FrameChain(0, 0);
        const payload = smallBatch('x'.repeat(5_000));
        client.write(chain.add(zstdCompressSync(payload, { pledgedSrcSize: payload.length }), FLAG_ZSTD));
        await client.got('STORED 0:1');
        const [element] = await door.queue.fetch('main', 0, { elements: 1, bytes: 1e6 });
        expect(element?.kind).toBe('frame');
        expect(Buffer.from(element!.frame).equals(chain.frames[0]!)).toBe(true);
      });
    });

    describe('behind a balancer', () => {
      test('each client has the limit of its own address', async () => {
        const door = await startDoor(subject, { settings: { maxConnectionsPerAddress: 1 }, proxyFrom: ['127.0.0.1'] });
        const from = async (source: string, stream: string) => {
          const client = await door.dial({ header: proxyHeader({ source }) });
          client.hello({ stream });
          return client;
        };
        await (await from('203.0.113.7', STREAM)).got('WELCOME');
        await (await from('203.0.113.7', OTHER)).got('ERROR too_many_connections');
        await (await from('203.0.113.8', OTHER)).got('WELCOME');
        expect(door.sessions.snapshot().map(({ address }) => address)).toEqual(['203.0.113.7', '203.0.113.8']);
      });

      test('a client is known by the address that the header names, which may come byte by byte', async () => {
        const door = await startDoor(subject, { proxyFrom: ['127.0.0.0/8'] });
        const socket = await dialSocket(door.listener.address.port);
        closeLater(() => socket.destroy());
        socket.setNoDelay(true);
        for (const byte of proxyHeader({ source: '2001:db8::7' })) {
          socket.write(Buffer.of(byte));
          await new Promise((resolve) => void setImmediate(resolve));
        }
        await subject.greet(socket);
        await eventually(() => expect(door.sessions.snapshot().map(({ address }) => address)).toEqual(['2001:db8::7']));
        expect(door.refusals).toEqual([]);
      });

      test.skipIf(!subject.proxyVersions.includes(1))('a header of version 1 does as well', async () => {
        const door = await startDoor(subject, { proxyFrom: ['127.0.0.1'] });
        await door.dial({ header: 'PROXY TCP4 203.0.113.7 127.0.0.1 55555 9501\r\n' });
        await eventually(() => expect(door.sessions.snapshot().map(({ address }) => address)).toEqual(['203.0.113.7']));
      });

      test('a connection without a header is refused, counted, and makes no session', async () => {
        const door = await startDoor(subject, { proxyFrom: ['127.0.0.1'] });
        const socket = await dialSocket(door.listener.address.port);
        closeLater(() => socket.destroy());
        const answer = await subject.refusedGreeting(socket);
        expect(answer).toContain('does not begin with a PROXY protocol header');
        expect(door.refusals).toMatchObject([{ balancer: '127.0.0.1', error: { code: 'bad_proxy_header' } }]);
        expect(door.sessions.counters.accepted).toBe(0);
      });

      test('a header from anybody else is never believed', async () => {
        const door = await startDoor(subject, { proxyFrom: ['127.0.0.2', '10.0.0.0/8'] });
        const socket = await dialSocket(door.listener.address.port, { header: proxyHeader({ source: '203.0.113.7' }) });
        closeLater(() => socket.destroy());
        await subject.greet(socket).catch(() => {});
        expect(door.sessions.snapshot().filter(({ address }) => address !== '127.0.0.1')).toEqual([]);
        expect(door.refusals).toEqual([]);
      });
    });

    describe('bad input gets a clear error and harms nobody else', () => {
      async function refused(
        act: (client: RawClient) => unknown,
        code: string,
        settings: Partial<IngestSettings> = {},
        opened = false,
      ): Promise<void> {
        const door = await startDoor(subject, { settings });
        const neighbour = await door.open(OTHER);
        const chain = new FrameChain(3, 0);
        await expectUnharmed(neighbour, chain);
        const client = opened ? await door.open() : await door.dial();
        await act(client);
        await client.got(`ERROR ${code}`);
        await client.closed();
        await expectUnharmed(neighbour, chain);
        await emptied(door, 1);
      }

      test('a wrong token', () => refused((client) => client.hello({ token: 'shop.guess' }), 'auth_failed'));

      test('no HELLO in time', () => refused(() => {}, 'auth_timeout', { authTimeoutMs: 150 }));

      test('HELLO by the byte, too slowly', () =>
        refused(
          async (client) => {
            const hello = encodeFrame({
              type: FRAME.hello,
              payload: encodeHello({ v: 1, token: TOKEN, stream: STREAM, oldest: new Map(), agent: '' }),
            });
            for (let i = 0; i < 30 && !client.isClosed; i++) {
              client.write(hello.subarray(i, i + 1));
              await wait(10);
            }
          },
          'auth_timeout',
          { authTimeoutMs: 150 },
        ));

      test('no HELLO at all', () => refused((client) => client.write(new FrameChain(0, 1).bytes(1)), 'hello_expected'));

      test('HELLO twice', () => refused((client) => client.hello(), 'hello_repeated', {}, true));

      test('an unknown version', () => refused((client) => client.hello({ v: 9 }), 'unsupported_version'));

      test('a HELLO that is not one', () =>
        refused((client) => client.send({ type: FRAME.hello, payload: Buffer.from([0x80]) }), 'bad_hello'));

      test('HTTP', () => refused((client) => client.write(Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')), 'frame_too_large'));

      test('a length that is too small', () => refused((client) => client.write(Buffer.alloc(24)), 'frame_too_small', {}, true));

      test('a length that is too large', () =>
        refused((client) => client.write(Buffer.from('7fffffff03000000', 'hex')), 'frame_too_large', {}, true));

      test('more than 4 KiB before WELCOME', () =>
        refused((client) => client.send({ type: FRAME.hello, payload: Buffer.alloc(5_000) }), 'frame_too_large'));

      test('a wrong checksum', () =>
        refused(
          (client) => {
            const frame = Buffer.from(new FrameChain(0, 1).bytes(1));
            frame[frame.length - 1]! ^= 1;
            client.write(frame);
          },
          'bad_crc',
          {},
          true,
        ));

      test.each([0x00, 0x0e, 0x10, 0xff])('the unknown type %i', (type) =>
        refused((client) => client.write(encodeFrame({ type })), 'unknown_type', {}, true),
      );

      test.each([FRAME.welcome, FRAME.credit, FRAME.goaway, FRAME.error])("the server's own frame %i", (type) =>
        refused((client) => client.send({ type, payload: Buffer.from([0x80]) }), 'unknown_type', {}, true),
      );

      test('unknown flags', () =>
        refused(
          (client) => client.write(encodeFrame({ type: FRAME.batch, flags: 2, seq: 1, payload: smallBatch('a') })),
          'bad_flags',
          {},
          true,
        ));

      test('a partition that does not exist', () =>
        refused((client) => client.write(new FrameChain(77, 1).bytes(1)), 'unknown_partition', {}, true));

      test('a PING of 65 bytes', () =>
        refused((client) => client.send({ type: FRAME.ping, payload: Buffer.alloc(65) }), 'bad_frame', {}, true));

      test('the same seq with other bytes', () =>
        refused(
          async (client) => {
            client.write(new FrameChain(0, 3).bytes(1, 3));
            await client.got('STORED 0:3');
            client.write(new FrameChain(0, 4, 'other').bytes(4));
          },
          'seq_content_mismatch',
          {},
          true,
        ));

      test('a gap is asked for, a repeat is acknowledged again', async () => {
        const door = await startDoor(subject);
        const client = await door.open();
        const chain = new FrameChain(0, 9);
        client.write(chain.bytes(1, 3));
        await client.got('STORED 0:3');
        client.write(chain.bytes(2, 3));
        client.write(chain.bytes(6, 9));
        await client.got('REWIND 0:4');
        client.write(chain.bytes(4, 9));
        await client.got('STORED 0:9');
        expect((await door.queue.backlog('main'))[0]?.count).toBe(9);
      });

      test.each([
        ['an array of 2^32 − 1 elements', 'ddffffffff'],
        ['a map of 2^32 − 1 entries', 'dfffffffff'],
        ['a string of 4 GB', 'dbffffffff41'],
        ['bin of 4 GB', 'c6ffffffff00'],
        ['nested bombs', 'dd00ffffff'.repeat(4)],
        ['100,000 arrays within each other', '91'.repeat(60_000)],
        ['an extension type', '81a163c70173e0'],
        ['a record definition', 'd57200019161'],
        ['__proto__ as a key', '82a16390a95f5f70726f746f5f5f80'],
        ['trailing bytes', '81a1639000'],
        ['nothing', ''],
      ])('%s as a payload becomes a refusal, and the stream goes on', async (_, hex) => {
        const door = await startDoor(subject);
        const neighbour = await door.open(OTHER);
        const client = await door.open();
        const chain = new FrameChain(0, 1);
        chain.add(Buffer.from(hex, 'hex'));
        chain.add();
        client.write(chain.bytes(1, 3));
        await client.got('STORED 0:3');
        const elements = await door.queue.fetch('main', 0, { elements: 10, bytes: 1e6 });
        expect(elements.map(({ kind }) => kind)).toEqual(['frame', 'refusal', 'frame']);
        expect(decodeRefusal(elements[1]!.frame.subarray(24)).code).toBe('malformed_payload');
        await expectUnharmed(neighbour, new FrameChain(3, 0));
      });

      test('a compressed payload that expands beyond the limit becomes a refusal', async () => {
        const door = await startDoor(subject);
        const client = await door.open();
        const chain = new FrameChain(0, 0);
        const bomb = Buffer.alloc(64 * 1024 * 1024);
        client.write(chain.add(zstdCompressSync(bomb, { pledgedSrcSize: bomb.length }), FLAG_ZSTD));
        await client.got('STORED 0:1');
        const [element] = await door.queue.fetch('main', 0, { elements: 1, bytes: 1e6 });
        expect(decodeRefusal(element!.frame.subarray(24)).code).toBe('payload_too_large');
      });

      test('lengths that are announced and never sent take no memory', async () => {
        const door = await startDoor(subject, { settings: { maxFrameBytes: 4 * 1024 * 1024 } });
        const clients = await Promise.all(Array.from({ length: 60 }, (_, i) => door.open(i.toString(16).padStart(32, '0'))));
        global.gc?.();
        const before = process.memoryUsage();
        for (const client of clients) client.write(Buffer.from('003ffff003000000', 'hex'));
        await expectUnharmed(await door.open(OTHER), new FrameChain(3, 0));
        const after = process.memoryUsage();
        // 60 × 4 MiB were announced.
        expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(16 * 1024 * 1024);
        expect(after.rss - before.rss).toBeLessThan(100 * 1024 * 1024);
      });

      test('random bytes after HELLO close that connection only', async () => {
        const door = await startDoor(subject);
        const neighbour = await door.open(OTHER);
        const chain = new FrameChain(3, 0);
        for (let i = 0; i < 20; i++) {
          const client = await door.open(i.toString(16).padStart(32, '0'));
          const bytes = Buffer.alloc(300);
          systemRandom.fill(bytes);
          bytes[0] = 0x80;
          client.write(bytes);
          await client.got('ERROR frame_too_large');
        }
        await expectUnharmed(neighbour, chain);
      });
    });

    describe('peers that do not behave', () => {
      test('one that asks without end and reads no answer is not read itself, and holds nobody up', async () => {
        const door = await startDoor(subject);
        const neighbour = await door.open(OTHER);
        const client = await door.open();
        client.socket.pause();
        const pings = Buffer.concat(Array.from({ length: 1_000 }, () => encodeFrame({ type: FRAME.ping, payload: Buffer.alloc(64) })));
        for (let i = 0; i < 200 && client.socket.writableLength < 1_000_000 && !client.isClosed; i++) {
          client.write(pings);
          await new Promise((resolve) => void setImmediate(resolve));
        }
        await expectUnharmed(neighbour, new FrameChain(3, 0));
        // An engine that cannot hold back ends whoever sends on.
        if (subject.holdsBack) expect(door.sessions.size).toBe(2);
        client.socket.destroy();
        await eventually(() => expect(door.sessions.size).toBe(1));
      });

      test('one that falls silent is pinged and then given up', async () => {
        const door = await startDoor(subject, { settings: { heartbeatMs: 100 } });
        const client = await door.open();
        await client.got('ERROR heartbeat_lost');
        expect(client.frames.some(({ type }) => type === FRAME.ping)).toBe(true);
        await client.closed();
      });

      test('one that does not close its end after an ERROR is cut off', async () => {
        const door = await startDoor(subject);
        const client = await door.dial({ allowHalfOpen: true });
        client.send({ type: FRAME.ping });
        await client.got('ERROR hello_expected');
        await emptied(door, 0);
      });

      test('one that resets its connection leaves nothing behind', async () => {
        const door = await startDoor(subject);
        const client = await door.open();
        client.write(new FrameChain(0, 50).bytes(1, 50));
        client.wire.reset();
        await emptied(door, 0);
      });

      test('more connections than allowed are told so, and those that are open stay', async () => {
        const door = await startDoor(subject, { settings: { maxConnections: 3 } });
        const clients = [await door.open('1'.repeat(32)), await door.open('2'.repeat(32)), await door.open('3'.repeat(32))];
        const fourth = await door.dial();
        await fourth.got('ERROR too_many_connections');
        await fourth.closed();
        await expectUnharmed(clients[0]!, new FrameChain(0, 0));
        clients[0]!.socket.end();
        await clients[0]!.closed();
        await emptied(door, 2);
        await door.open('4'.repeat(32));
      });

      test('a second connection of a stream takes it over', async () => {
        const door = await startDoor(subject);
        const first = await door.open();
        const chain = new FrameChain(0, 0);
        await expectUnharmed(first, chain);
        const second = await door.open();
        await first.got('ERROR stream_taken_over');
        await first.closed();
        await expectUnharmed(second, chain);
      });

      test('an abuser that ignores its window does not keep others from storing', async () => {
        const door = await startDoor(subject, { settings: { creditBytes: 65_536 }, maxInFlightBytes: 262_144 });
        const abuser = await door.open();
        const chain = new FrameChain(0, 0);
        for (let i = 0; i < 200; i++) abuser.write(chain.add(smallBatch('x'.repeat(50_000))));
        const neighbour = await door.open(OTHER);
        const others = new FrameChain(3, 0);
        for (let i = 0; i < 20; i++) await expectUnharmed(neighbour, others);
        if (subject.holdsBack) await abuser.got('STORED 0:200');
        else await abuser.closed();
        await eventually(() => expect(door.appender.inFlightBytes).toBe(0));
      });
    });

    describe('stopping', () => {
      test('GOAWAY, what was sent is STORED, then the end; whoever connects is told to come back', async () => {
        const door = await startDoor(subject);
        const client = await door.open();
        const chain = new FrameChain(0, 500);
        client.write(chain.bytes(1, 500));
        await client.until(() => client.lines.some((line) => line.startsWith('STORED')), 'STORED');
        client.socket.on('data', () => {
          const ping = client.frames.find(({ type }) => type === FRAME.ping);
          if (ping !== undefined) client.send({ type: FRAME.pong, payload: ping.payload });
        });
        await door.sessions.drainAll(5_000, 250);
        await client.closed();
        expect(client.lines).toContain('GOAWAY 250');
        expect(client.lines).toContain('STORED 0:500');
        const late = await door.dial();
        await late.got('ERROR shutting_down');
      });

      test('a listener that has stopped accepts nobody, and keeps those who are there until it is closed', async () => {
        const door = await startDoor(subject);
        const client = await door.open();
        await door.listener.stop();
        await expect(door.dial()).rejects.toThrow('ECONNREFUSED');
        await expectUnharmed(client, new FrameChain(0, 0));
        await door.listener.close();
        await client.closed();
      });
    });

    describe('an address that cannot be used', () => {
      const startAt = (host: string, port: number) => {
        const log = { info: () => {}, warn: () => {}, error: () => {} };
        const proxy = { from: [], clock: systemClock, refused: () => {} };
        return subject.create({ host, port, settings: SETTINGS, log, proxy }, () => {}).start();
      };

      test('a port in use names the option to change', async () => {
        const other = createServer();
        other.listen(0, '127.0.0.1');
        await once(other, 'listening');
        closeLater(() => other.close());
        const { port } = other.address() as { port: number };
        await expect(startAt('127.0.0.1', port)).rejects.toMatchObject({
          code: 'listen_failed',
          message: expect.stringContaining(`${subject.option}.port`) as string,
        });
      });

      test('an address of no interface names the option to correct', async () => {
        await expect(startAt('192.0.2.1', 0)).rejects.toMatchObject({
          code: 'listen_failed',
          message: expect.stringContaining(`${subject.option}.host`) as string,
        });
      });
    });

    test('frame names and checksums in these tests are those of the protocol', () => {
      const frame = Buffer.from(encodeFrame({ type: FRAME.ping, payload: Buffer.from('x') }));
      expect(frameName(frame[4]!)).toBe('PING');
      expect(frame.readUInt32BE(20)).toBe(crc32(Buffer.concat([frame.subarray(4, 20), frame.subarray(24)])));
    });
  });
}
