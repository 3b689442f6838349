import { beforeEach, describe, expect, test } from 'vitest';
import { createWorld, FrameChain, SETTINGS, type TestPeer, type World } from '../../test/support/ingest-world.ts';
import { FRAME } from '../protocol/frame.ts';
import { decodeWelcome } from '../protocol/messages.ts';
import { createAuthenticator, hashToken, type ProducerSettings } from './producers.ts';

const SHOP = 'a'.repeat(32);
const ERP = 'b'.repeat(32);

function producers(...tokens: readonly [name: string, ...tokens: string[]][]) {
  const settings: ProducerSettings[] = tokens.map(([name, ...some]) => ({ name, tokens: some.map(hashToken) }));
  return createAuthenticator({ producers: settings });
}

let world: World;
let shop: TestPeer;
let erp: TestPeer;
beforeEach(async () => {
  world = createWorld({ authenticator: producers(['shop', 'one', 'two'], ['erp', 'three']) });
  shop = await world.open({ stream: SHOP, token: 'one' });
  erp = await world.open({ stream: ERP, token: 'three' });
  for (const peer of [shop, erp]) expect(peer.take()[0]).toBe('WELCOME');
});

function exchange(authenticator: ReturnType<typeof producers>): void {
  world.context.authenticator = authenticator;
  world.sessions.reauthenticate();
}

describe('when tokens change, sessions', () => {
  test('of a token that is gone end, and those of others notice nothing', async () => {
    exchange(producers(['shop', 'two'], ['erp', 'three']));
    expect(shop.take()).toEqual(['ERROR auth_failed']);
    expect(shop.isClosed).toBe(true);
    expect(erp.take()).toEqual([]);
    const chain = new FrameChain(0, 1);
    erp.sendBytes(chain.bytes(1));
    await world.clock.settle();
    expect(erp.take()).toEqual(['STORED 0:1']);
    expect((await world.open({ stream: SHOP, token: 'two' })).take()[0]).toBe('WELCOME');
  });

  test('end when their token is another producer’s now', () => {
    exchange(producers(['shop', 'two'], ['erp', 'three', 'one']));
    expect(shop.take()).toEqual(['ERROR auth_failed']);
    expect(erp.take()).toEqual([]);
  });

  test('end that were let in without one, when one is asked for', async () => {
    const open = createWorld({ authenticator: createAuthenticator({}) });
    const peer = await open.open({ token: '' });
    expect(peer.take()[0]).toBe('WELCOME');
    open.context.authenticator = producers(['shop', 'one']);
    open.sessions.reauthenticate();
    expect(peer.take()).toEqual(['ERROR auth_failed']);
  });

  test('that are being opened are judged by the new ones', async () => {
    const slow = Promise.withResolvers<string>();
    world.context.authenticator = { authenticate: () => slow.promise, producerOf: () => undefined, accessOf: () => undefined };
    const peer = world.connect();
    peer.hello({ token: 'one', stream: 'c'.repeat(32) });
    exchange(producers(['erp', 'three']));
    slow.resolve('shop');
    await world.clock.advance(1_000);
    expect(peer.take()).toEqual(['ERROR auth_failed']);
  });
});

test('new limits hold for new connections; those that are open keep what WELCOME told them', async () => {
  world.context.settings = { ...SETTINGS, maxFrameBytes: 32_768, creditBytes: 100_000, maxConnections: 3 };
  world.sessions.settingsChanged();
  const peer = world.connect();
  peer.hello({ stream: 'c'.repeat(32), token: 'one' });
  await world.clock.settle();
  const [welcome] = peer.frames;
  expect(decodeWelcome(welcome!.payload)).toMatchObject({ maxFrameBytes: 32_768, creditBytes: 100_000 });
  const large = { type: FRAME.batch, seq: 1, payload: Buffer.alloc(40_000) };
  peer.take();
  peer.send(large);
  expect(peer.take()).toEqual(['ERROR frame_too_large']);
  shop.send(large);
  await world.clock.settle();
  // Not too large: stored as the refusal of what it holds.
  expect(shop.take()).toEqual(['STORED 0:1']);
  await world.open({ stream: 'd'.repeat(32), token: 'one' });
  expect((await world.open({ stream: 'e'.repeat(32), token: 'one' })).take()).toEqual(['ERROR too_many_connections']);
});

describe('sessions of a drained node', () => {
  test('are sent away, and nobody is let in until it is put back', async () => {
    const drained = world.sessions.drain(5_000, 300);
    expect(shop.take()).toEqual(['GOAWAY 300']);
    expect((await world.open({ stream: SHOP, token: 'one' })).take()).toEqual(['ERROR shutting_down']);
    for (const peer of [shop, erp]) peer.send({ type: FRAME.bye });
    await world.clock.settle();
    await drained;
    world.sessions.resume();
    const peer = await world.open({ stream: SHOP, token: 'one' });
    expect(peer.take()[0]).toBe('WELCOME');
    // The node's news still reach it.
    const chain = new FrameChain(0, 1);
    peer.sendBytes(chain.bytes(1));
    await world.clock.settle();
    world.progress.commit(0, chain.place(1), [], SHOP);
    await world.clock.settle();
    expect(peer.take()).toEqual(['STORED 0:1', 'APPLIED 0:1']);
  });

  test('are cut off after some time, but not those that came after it was put back', async () => {
    const drained = world.sessions.drain(5_000, 300);
    shop.send({ type: FRAME.bye });
    await world.clock.settle();
    world.sessions.resume();
    const fresh = await world.open({ stream: SHOP, token: 'one' });
    await world.clock.advance(5_000);
    await drained;
    expect([erp.isClosed, fresh.isClosed]).toEqual([true, false]);
  });
});
