import { describe, expect, test } from 'vitest';
import { createWorld, FrameChain, SETTINGS, smallBatch, type TestPeer } from '../../test/support/ingest-world.ts';
import { encodeBatch } from '../protocol/batch.ts';
import type { ProducerLimits } from './producer-load.ts';

const OTHER = 'f'.repeat(32);
const KB = 1_000;
const padding = (bytes: number) => smallBatch('x'.repeat(bytes));
const rows = (count: number) =>
  encodeBatch({
    groups: [{ table: 'cities', op: 'upsert', keyCount: 1, columns: ['id'], rows: Array.from({ length: count }, (_, id) => [id]) }],
  });

function createPaced(limits: Partial<ProducerLimits>) {
  return createWorld({ settings: { limits: { ...SETTINGS.limits, ...limits } } });
}

function storedOf(peer: TestPeer): number {
  const stored = peer.take().filter((line) => line.startsWith('STORED'));
  return Number(stored.at(-1)?.split(':')[1] ?? 0);
}

describe('a producer that sends more than it may', () => {
  test('is not read, and told so by CREDIT; everything arrives in the end, at its rate', async () => {
    const world = createPaced({ bytesPerSecond: 10 * KB });
    const peer = await world.open();
    const chain = new FrameChain(0, 0);
    for (let i = 0; i < 50; i++) peer.sendBytes(chain.add(padding(1 * KB)));
    await world.clock.settle();
    expect(peer.serverSide.isPaused).toBe(true);
    const told = peer.take();
    expect(told.find((line) => line.startsWith('CREDIT'))).toMatch(
      /^CREDIT 0 \(rate_limited: producer shop may send 10000 bytes per second/,
    );
    const before = world.appender.counters.stored;
    // What a second brings, and what is read at once.
    expect(before).toBeLessThanOrEqual(12);
    await world.clock.advance(2_000);
    expect(world.appender.counters.stored - before).toBeLessThanOrEqual(23);
    await world.clock.advance(3_000);
    expect(world.appender.counters.stored).toBe(50);
    expect(peer.serverSide.isPaused).toBe(false);
    const end = peer.take();
    expect(end.at(-1)).toBe('CREDIT 262144');
    expect(end).toContain('STORED 0:50');
    expect(world.sessions.counters.paced.bytes).toBeGreaterThan(0);
    expect(peer.isClosed).toBe(false);
  });

  test('is held to a number of changes as well', async () => {
    const world = createPaced({ changesPerSecond: 100 });
    const peer = await world.open();
    const chain = new FrameChain(0, 0);
    for (let i = 0; i < 10; i++) peer.sendBytes(chain.add(rows(50)));
    await world.clock.settle();
    expect(storedOf(peer)).toBeLessThanOrEqual(3);
    await world.clock.advance(5_000);
    expect(storedOf(peer)).toBe(10);
    expect(world.sessions.counters.paced).toMatchObject({ bytes: 0 });
  });

  test('is held to it with what is refused, too, which takes a place in the order as well', async () => {
    const world = createPaced({ changesPerSecond: 10 });
    const peer = await world.open();
    const chain = new FrameChain(0, 0);
    for (let i = 0; i < 50; i++) peer.sendBytes(chain.add(Buffer.from([0xc1])));
    await world.clock.settle();
    expect(storedOf(peer)).toBeLessThanOrEqual(12);
    await world.clock.advance(6_000);
    expect(storedOf(peer)).toBe(50);
  });

  test('is held with all of its connections together, and others are not', async () => {
    const world = createPaced({ bytesPerSecond: 10 * KB });
    const [first, second] = [await world.open(), await world.open({ stream: OTHER })];
    const calm = await world.open({ stream: 'e'.repeat(32), token: 'token-of-erp' });
    const chains = [new FrameChain(0, 0), new FrameChain(1, 0)];
    for (let i = 0; i < 20; i++) for (const [at, peer] of [first, second].entries()) peer.sendBytes(chains[at]!.add(padding(1 * KB)));
    await world.clock.settle();
    expect(storedOf(first) + storedOf(second)).toBeLessThanOrEqual(13);
    calm.sendBytes(new FrameChain(2, 5).bytes(1, 5));
    await world.clock.settle();
    expect(storedOf(calm)).toBe(5);
    await world.clock.advance(10_000);
    expect([storedOf(first), storedOf(second)]).toEqual([20, 20]);
  });

  test('is still answered by PING and heard again when it is read again', async () => {
    const world = createPaced({ bytesPerSecond: 100 });
    const peer = await world.open();
    const chain = new FrameChain(0, 0);
    peer.sendBytes(chain.add(padding(4 * KB)), chain.add(padding(4 * KB)));
    await world.clock.advance(35_000);
    expect(peer.isClosed).toBe(false);
    await world.clock.advance(10_000);
    expect(storedOf(peer)).toBe(2);
  });

  test('cannot get rid of what it owes by connecting again', async () => {
    const world = createPaced({ bytesPerSecond: 1 * KB });
    const peer = await world.open();
    const chain = new FrameChain(0, 0);
    peer.sendBytes(chain.add(padding(20 * KB)));
    await world.clock.settle();
    peer.vanish();
    const again = await world.open();
    again.sendBytes(chain.add(padding(1 * KB)), chain.add(padding(1 * KB)));
    await world.clock.settle();
    expect(world.appender.counters.stored).toBe(2);
    expect(again.serverSide.isPaused).toBe(true);
  });
});

describe('limits of a producer', () => {
  test('of connections turn away one more, which is told so, and count no other producer', async () => {
    const world = createPaced({ maxConnections: 2 });
    const first = await world.open();
    await world.open({ stream: OTHER });
    const third = await world.open({ stream: 'e'.repeat(32) });
    expect(third.take()).toEqual(['ERROR too_many_connections']);
    expect((await world.open({ stream: 'd'.repeat(32), token: 'token-of-erp' })).take()[0]).toBe('WELCOME');
    expect(world.sessions.counters.errors.get('too_many_connections')).toBe(1);
    // Whoever takes over a stream needs no room, and what is gone makes some.
    expect((await world.open({ stream: OTHER })).take()[0]).toBe('WELCOME');
    first.vanish();
    await world.clock.settle();
    expect((await world.open({ stream: 'e'.repeat(32) })).take()[0]).toBe('WELCOME');
  });

  test('of changes in a batch make a refusal of one that has more, behind which the stream goes on', async () => {
    const world = createPaced({ maxBatchChanges: 10 });
    const peer = await world.open();
    const chain = new FrameChain(0, 0);
    peer.sendBytes(chain.add(rows(10)), chain.add(rows(11)), chain.add(rows(1)));
    await world.clock.settle();
    expect(storedOf(peer)).toBe(3);
    const elements = await world.queue.fetch('main', 0, { elements: 10, bytes: 1 << 20 });
    expect(elements.map(({ kind }) => kind)).toEqual(['frame', 'refusal', 'frame']);
    expect(world.appender.counters.refusals).toBe(1);
  });

  test('may differ for one, and are taken up while it is connected', async () => {
    const world = createWorld({ settings: { producerLimits: new Map([['shop', { maxBatchChanges: 5 }]]) } });
    const [shop, erp] = [await world.open(), await world.open({ stream: OTHER, token: 'token-of-erp' })];
    const chain = new FrameChain(0, 0);
    const other = new FrameChain(1, 0);
    shop.sendBytes(chain.add(rows(6)));
    erp.sendBytes(other.add(rows(6)));
    await world.clock.settle();
    expect(world.appender.counters.refusals).toBe(1);
    world.context.settings = { ...SETTINGS, producerLimits: new Map([['erp', { maxBatchChanges: 5, bytesPerSecond: 1000 }]]) };
    world.sessions.settingsChanged();
    shop.sendBytes(chain.add(rows(6)));
    erp.sendBytes(other.add(rows(6)), other.add(rows(1)));
    await world.clock.settle();
    expect(world.appender.counters.refusals).toBe(2);
    expect([shop, erp].map(({ serverSide }) => serverSide.isPaused)).toEqual([false, false]);
    erp.sendBytes(other.add(padding(1_200)));
    await world.clock.settle();
    expect(erp.serverSide.isPaused).toBe(true);
  });
});

test('one that sends as fast as it can, by many connections, costs twenty others nothing, and memory stays bounded', async () => {
  const maxInFlightBytes = 200 * KB;
  const world = createWorld({ maxInFlightBytes });
  const hexes = (from: number, count: number) => Array.from({ length: count }, (_, i) => (from + i).toString(16).padStart(32, '0'));
  const abusers = await Promise.all(hexes(1, 10).map((stream) => world.open({ stream, token: 'token-of-abuser' }, '10.9.9.9')));
  const calm = await Promise.all(hexes(100, 20).map((stream, i) => world.open({ stream, token: `token-of-calm-${i}` }, `10.0.1.${i}`)));
  const chains = abusers.map(() => new FrameChain(0, 0));
  const calmChains = calm.map(() => new FrameChain(1, 0));
  let most = 0;
  for (let round = 0; round < 30; round++) {
    // It fills every window, whatever it is told.
    for (const [at, peer] of abusers.entries()) for (let i = 0; i < 4; i++) peer.sendBytes(chains[at]!.add(padding(10 * KB)));
    for (const [at, peer] of calm.entries()) peer.sendBytes(calmChains[at]!.add());
    most = Math.max(most, world.appender.inFlightBytes);
    await world.clock.settle();
    expect(calm.map(storedOf)).toEqual(calm.map(() => round + 1));
  }
  // One chunk of each connection beyond the budget.
  expect(most).toBeLessThanOrEqual(maxInFlightBytes + 30 * 11 * KB);
  expect(abusers.map(storedOf).every((count) => count > 0)).toBe(true);
});
