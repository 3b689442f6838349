import { zstdCompressSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { createWorld, FrameChain, rejectionOf, SETTINGS, smallBatch, STREAM } from '../../test/support/ingest-world.ts';
import { encodeFrame, FLAG_ZSTD, FRAME } from '../protocol/frame.ts';

const OTHER = 'f'.repeat(32);
const THIRD = 'e'.repeat(32);
/** A payload of about `bytes`. */
const padding = (bytes: number) => smallBatch('x'.repeat(bytes));

describe('credit', () => {
  test('a queue that takes nothing is told as credit 0 with its reason, and the window when it is open again', async () => {
    const world = createWorld({ queueBytes: 1_000 });
    const peer = await world.open();
    const chain = new FrameChain(0, 0);
    for (let i = 0; i < 12; i++) chain.add();
    peer.take();
    peer.sendBytes(chain.bytes(1, 12));
    await world.clock.settle();
    const [credit, stored] = peer.take();
    expect(credit).toMatch(/^CREDIT 0 \(queue_full: /);
    expect(stored).toBe('STORED 0:12');
    world.queue.memory.wipe();
    await world.clock.settle();
    expect(peer.take()).toEqual(['CREDIT 262144', 'REWIND 0:1']);
  });

  test('a client that connects while the queue takes nothing gets WELCOME and credit 0', async () => {
    const world = createWorld({ queueBytes: 100 });
    const first = await world.open();
    first.sendBytes(new FrameChain(0, 2).bytes(1, 2));
    await world.clock.settle();
    const second = await world.open({ stream: OTHER });
    expect(second.take().map((line) => line.slice(0, 8))).toEqual(['WELCOME', 'CREDIT 0']);
  });

  test('a client that ignores its window is not read beyond it, and goes on when the queue has caught up', async () => {
    const world = createWorld({ settings: { creditBytes: 65_536, maxFrameBytes: 65_536 } });
    const peer = await world.open();
    let opened = () => {};
    world.queue.gate = new Promise((resolve) => void (opened = resolve));
    const chain = new FrameChain(0, 0);
    for (let i = 0; i < 20; i++) peer.sendBytes(chain.add(padding(20_000)));
    await world.clock.settle();
    expect(peer.serverSide.isPaused).toBe(true);
    expect(world.appender.inFlightBytes).toBeLessThanOrEqual(65_536 + 65_536 + 20_100);
    opened();
    world.queue.gate = undefined;
    await world.clock.settle();
    expect(peer.serverSide.isPaused).toBe(false);
    expect(peer.take().at(-1)).toBe('STORED 0:20');
  });

  test('all clients together are held to the budget of the node, and all go on in the end', async () => {
    const world = createWorld({ maxInFlightBytes: 100_000 });
    const streams = ['a', 'b', 'c', 'd'].map((letter) => letter.repeat(32));
    const peers = await Promise.all(streams.map((stream) => world.open({ stream })));
    let opened = () => {};
    world.queue.gate = new Promise((resolve) => void (opened = resolve));
    const chains = peers.map((_, index) => new FrameChain(index, 0));
    for (let i = 0; i < 10; i++) {
      for (const [index, peer] of peers.entries()) peer.sendBytes(chains[index]!.add(padding(20_000)));
    }
    await world.clock.settle();
    expect(world.appender.inFlightBytes).toBeLessThanOrEqual(100_000 + 4 * 20_100);
    expect(peers.every(({ serverSide }) => serverSide.isPaused)).toBe(true);
    opened();
    world.queue.gate = undefined;
    await world.clock.settle();
    expect(peers.map((peer, index) => peer.take().at(-1) === `STORED ${index}:10`)).toEqual([true, true, true, true]);
    expect(world.appender.inFlightBytes).toBe(0);
  });
});

describe('compressed frames', () => {
  /** Frames that each expand to the limit, and little on the wire. */
  function bombs(partition: number, count: number): FrameChain {
    const chain = new FrameChain(partition, 0);
    const payload = smallBatch('x'.repeat(SETTINGS.maxFrameBytes - 100));
    const compressed = zstdCompressSync(payload, { pledgedSrcSize: payload.length });
    for (let i = 0; i < count; i++) chain.add(compressed, FLAG_ZSTD);
    return chain;
  }

  test('are expanded a few in each turn, in turns between those who send them, and hold up nobody', async () => {
    const world = createWorld();
    const [first, second, plain] = [await world.open(), await world.open({ stream: OTHER }), await world.open({ stream: THIRD })];
    const before = world.appender.counters.frames;
    first.sendBytes(bombs(0, 40).bytes(1, 40));
    second.sendBytes(bombs(1, 40).bytes(1, 40));
    expect(world.appender.counters.frames - before).toBeLessThanOrEqual(2);
    plain.sendBytes(new FrameChain(2, 5).bytes(1, 5));
    expect(world.appender.counters.frames - before).toBeGreaterThanOrEqual(6);
    await world.clock.settle();
    expect([first.take().at(-1), second.take().at(-1), plain.take().at(-1)]).toEqual(['STORED 0:40', 'STORED 1:40', 'STORED 2:5']);
    expect((await world.queue.backlog('main')).slice(0, 3).map(({ count }) => count)).toEqual([40, 40, 5]);
  });
});

/** Fills what may wait before anything is held back. */
const FILLING = Buffer.concat(Array.from({ length: 1_000 }, () => encodeFrame({ type: FRAME.pong, payload: Buffer.alloc(64) })));

describe('a peer that does not read', () => {
  test('has at most the newest acknowledgement of each partition waiting for it', async () => {
    const world = createWorld();
    const peer = await world.open();
    const chain = new FrameChain(0, 0);
    peer.take();
    peer.serverSide.isReading = false;
    peer.serverSide.write(FILLING);
    const before = peer.serverSide.bufferedBytes;
    for (let i = 0; i < 200; i++) {
      peer.sendBytes(chain.add());
      await world.clock.settle();
    }
    world.progress.commit(0, chain.place(150), [rejectionOf(0, 7)]);
    await world.clock.settle();
    expect(peer.serverSide.bufferedBytes).toBe(before);
    peer.serverSide.isReading = true;
    await world.clock.settle();
    expect(peer.take().filter((line) => line !== 'PONG')).toEqual(['STORED 0:200', 'REJECTED 0:7 too_long', 'APPLIED 0:150']);
  });

  test('is asked no more than it reads the answers of', async () => {
    const world = createWorld();
    const peer = await world.open();
    peer.take();
    peer.serverSide.isReading = false;
    for (let i = 0; i < 1_000; i++) peer.send({ type: FRAME.ping, payload: Buffer.alloc(64) });
    await world.clock.advance(10_000);
    expect(peer.serverSide.isPaused).toBe(true);
    expect(peer.serverSide.bufferedBytes).toBeLessThan(17 * 1024);
    peer.serverSide.isReading = true;
    await world.clock.advance(20_000);
    expect(peer.take()).toEqual(Array.from({ length: 1_000 }, () => 'PONG'));
    expect(peer.serverSide.isPaused).toBe(false);
  });

  test('is asked 50 times a second at most, also where it reads the answers', async () => {
    const world = createWorld();
    const peer = await world.open();
    peer.take();
    for (let i = 0; i < 120; i++) peer.send({ type: FRAME.ping });
    await world.clock.settle();
    expect(peer.take()).toHaveLength(50);
    await world.clock.advance(1_000);
    expect(peer.take()).toHaveLength(50);
    await world.clock.advance(1_000);
    expect(peer.take()).toHaveLength(20);
    expect(peer.serverSide.isPaused).toBe(false);
  });

  test('is cut off when it leaves everything unread for two and a half heartbeats, although it goes on sending', async () => {
    const world = createWorld();
    const peer = await world.open();
    const chain = new FrameChain(0, 0);
    peer.serverSide.isReading = false;
    peer.serverSide.write(FILLING);
    for (let i = 0; i < 60 && !peer.isClosed; i++) {
      peer.sendBytes(chain.add());
      await world.clock.advance(1_000);
    }
    expect(world.sessions.counters.errors.get('slow_reader')).toBe(1);
  });
});

describe('heartbeat', () => {
  test('a silent peer is pinged after 10 s and given up after 25 s', async () => {
    const world = createWorld();
    const peer = await world.open();
    await world.clock.advance(10_000);
    expect(peer.frames.at(-1)?.type).toBe(FRAME.ping);
    await world.clock.advance(14_999);
    expect(peer.isClosed).toBe(false);
    await world.clock.advance(1);
    expect(peer.take().at(-1)).toBe('ERROR heartbeat_lost');
    expect(peer.isClosed).toBe(true);
  });

  test('a peer that answers stays, and an idle session costs one PING in ten seconds', async () => {
    const world = createWorld();
    const peer = await world.open();
    peer.take();
    let pings = 0;
    for (let i = 0; i < 60; i++) {
      await world.clock.advance(1_000);
      for (const frame of peer.frames.splice(0)) {
        if (frame.type !== FRAME.ping) continue;
        pings++;
        peer.send({ type: FRAME.pong, payload: frame.payload });
      }
    }
    expect(peer.isClosed).toBe(false);
    expect(pings).toBeLessThanOrEqual(6);
    expect(pings).toBeGreaterThanOrEqual(5);
  });

  test('a PING is echoed', async () => {
    const world = createWorld();
    const peer = await world.open();
    peer.send({ type: FRAME.ping, payload: Buffer.from('are you there') });
    expect(Buffer.from(peer.frames.at(-1)!.payload).toString()).toBe('are you there');
  });

  test('a peer that we do not read is not taken for silent', async () => {
    const world = createWorld({ settings: { creditBytes: 65_536 } });
    const peer = await world.open();
    world.queue.fault = 'before';
    const chain = new FrameChain(0, 0);
    for (let i = 0; i < 10; i++) peer.sendBytes(chain.add(padding(20_000)));
    await world.clock.advance(120_000);
    expect([peer.isClosed, peer.serverSide.isPaused]).toEqual([false, true]);
    world.queue.fault = 'none';
    await world.clock.advance(2_000);
    expect(peer.take().at(-1)).toBe('STORED 0:10');
  });
});

describe('the end', () => {
  test('BYE is answered with what is due, also what is still being stored', async () => {
    const world = createWorld();
    const peer = await world.open();
    let opened = () => {};
    world.queue.gate = new Promise((resolve) => void (opened = resolve));
    peer.sendBytes(new FrameChain(0, 3).bytes(1, 3));
    peer.send({ type: FRAME.bye });
    await world.clock.advance(100);
    expect(peer.isClosed).toBe(false);
    opened();
    await world.clock.settle();
    expect(peer.take()).toEqual(['WELCOME', 'STORED 0:3']);
    expect([peer.isClosed, world.sessions.size, world.clock.timerCount]).toEqual([true, 0, 0]);
  });

  test('BYE does not wait for a queue that stays away', async () => {
    const world = createWorld();
    const peer = await world.open();
    world.queue.fault = 'before';
    peer.sendBytes(new FrameChain(0, 3).bytes(1, 3));
    peer.send({ type: FRAME.bye });
    await world.clock.advance(5_000);
    expect(peer.isClosed).toBe(true);
  });

  test('draining: GOAWAY, then frames that were under way are still stored, then the end', async () => {
    const world = createWorld();
    const chain = new FrameChain(0, 4);
    const peer = await world.open();
    const idle = await world.open({ stream: OTHER });
    const greeting = world.connect();
    let opened = () => {};
    world.queue.gate = new Promise((resolve) => void (opened = resolve));
    peer.sendBytes(chain.bytes(1, 2));
    const drained = world.sessions.drainAll(5_000, 300);
    // Sent before the client saw GOAWAY.
    peer.sendBytes(chain.bytes(3, 4));
    for (const each of [peer, idle]) each.send({ type: FRAME.pong, payload: each.frames.at(-1)!.payload });
    expect(idle.take()).toEqual(['WELCOME', 'GOAWAY 300']);
    expect(greeting.take()).toEqual(['ERROR shutting_down']);
    await world.clock.settle();
    expect([idle.isClosed, peer.isClosed]).toEqual([true, false]);
    opened();
    await world.clock.settle();
    await drained;
    expect(peer.take()).toEqual(['WELCOME', 'GOAWAY 300', 'STORED 0:4']);
    expect(world.connect().take()).toEqual(['ERROR shutting_down']);
  });

  test('draining does not wait longer than it was told to', async () => {
    const world = createWorld();
    const peer = await world.open();
    let isDrained = false;
    void world.sessions.drainAll(5_000, 300).then(() => (isDrained = true));
    await world.clock.advance(4_900);
    expect(isDrained).toBe(false);
    await world.clock.advance(100);
    expect([isDrained, peer.isClosed, world.sessions.size, world.clock.timerCount]).toEqual([true, true, 0, 0]);
  });

  test('before, clients may have time to go by themselves, and others still come', async () => {
    const world = createWorld();
    const peer = await world.open();
    const waits: string[] = [];
    for (const [name, timeoutMs] of [
      ['short', 1_000],
      ['long', 60_000],
    ] as const)
      void world.sessions.empty(timeoutMs).then(() => waits.push(name));
    const other = await world.open({ stream: OTHER });
    await world.clock.advance(1_000);
    expect([waits, peer.take(), other.take()]).toEqual([['short'], ['WELCOME'], ['WELCOME']]);
    peer.vanish();
    await world.clock.settle();
    expect(waits).toEqual(['short']);
    other.vanish();
    await world.clock.settle();
    expect([waits, world.clock.timerCount]).toEqual([['short', 'long'], 0]);
    await world.sessions.empty(1_000);
  });

  test('a session that has ended leaves no timer behind', async () => {
    const world = createWorld();
    const peer = await world.open();
    peer.sendBytes(new FrameChain(0, 3).bytes(1, 3));
    await world.clock.settle();
    expect(world.clock.timerCount).toBeGreaterThan(0);
    peer.vanish();
    await world.clock.settle();
    expect(world.clock.timerCount).toBe(0);
  });
});

describe('limits of connections', () => {
  test('of the node', async () => {
    const world = createWorld({ settings: { maxConnections: 2 } });
    const first = world.connect('10.0.0.1');
    world.connect('10.0.0.2');
    expect(world.connect('10.0.0.3').take()).toEqual(['ERROR too_many_connections']);
    first.vanish();
    expect(world.connect('10.0.0.3').take()).toEqual([]);
  });

  test('of one address, which do not bother others', async () => {
    const world = createWorld({ settings: { maxConnectionsPerAddress: 2 } });
    world.connect('10.0.0.1');
    world.connect('10.0.0.1');
    expect(world.connect('10.0.0.1').take()).toEqual(['ERROR too_many_connections']);
    expect(world.connect('10.0.0.2').take()).toEqual([]);
  });

  test('of one address before its clients have shown a token', async () => {
    const world = createWorld();
    const peers = Array.from({ length: 64 }, () => world.connect());
    expect(world.connect().take()).toEqual(['ERROR too_many_connections']);
    peers[0]!.hello();
    await world.clock.settle();
    expect(world.connect().take()).toEqual([]);
  });

  test('of one IPv6 network, whose addresses are all one customer’s', async () => {
    const world = createWorld();
    for (let i = 0; i < 64; i++) world.connect(`2001:db8:0:1::${i.toString(16)}`);
    expect(world.connect('2001:db8:0:1:ffff::1').take()).toEqual(['ERROR too_many_connections']);
    expect(world.connect('2001:db8:0:2::1').take()).toEqual([]);
  });

  test('the snapshot tells who is there', async () => {
    const world = createWorld();
    const peer = await world.open();
    let opened = () => {};
    world.queue.gate = new Promise((resolve) => void (opened = resolve));
    const chain = new FrameChain(0, 1);
    peer.sendBytes(chain.bytes(1));
    await world.clock.settle();
    expect(world.sessions.snapshot()).toEqual([
      {
        producer: 'shop',
        stream: STREAM,
        agent: 'test',
        address: '10.0.0.1',
        state: 'open',
        sinceMs: world.clock.wallMs(),
        lastHeardMs: world.clock.wallMs(),
        inFlightBytes: chain.frames[0]!.length,
        frameCount: 1,
        rewindCount: 0,
      },
    ]);
    opened();
  });
});
