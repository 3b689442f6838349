import { afterEach, describe, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { freeze, thaw } from '../support/freeze.ts';
import { ClusterWorld, LONG_LEASE_MS } from './cluster-world.ts';
import { missingFor } from './fault-world.ts';

const missing = missingFor('services');
const PARTITIONS = Array.from({ length: 16 }, (_, i) => i);

describe.skipIf(missing !== undefined)(`nodes that share the partitions${missing === undefined ? '' : ` (${missing})`}`, () => {
  let world: ClusterWorld;

  const start = async (leaseMs?: number) => {
    world = await ClusterWorld.start('active', ['one', 'two'], leaseMs);
    await world.advance();
  };

  afterEach(() => world?.close());

  /** Waits until the nodes that run hold all partitions, each one of them, and as many as any other or one more. */
  const spread = (names: readonly string[]) =>
    eventually(async () => {
      const held = await Promise.all(world.nodes.filter(({ name }) => names.includes(name)).map(async (node) => (await node.view()).held));
      expect(held.flat().toSorted((a, b) => a - b)).toEqual(PARTITIONS);
      const counts = held.map(({ length }) => length);
      expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
    }, 90_000);

  test('hold as many as each other, and both are primary', async () => {
    await start();
    await spread(['one', 'two']);
    expect(await Promise.all(world.nodes.map((node) => node.health('primary')))).toEqual([true, true]);
    expect(await world.audit()).toEqual([]);
  }, 240_000);

  test('give a third its share, and take it back when it leaves', async () => {
    await start(LONG_LEASE_MS);
    await spread(['one', 'two']);
    const third = await world.add('three');
    await spread(['one', 'two', 'three']);
    await world.advance();
    // Handed over, not taken.
    for (const node of world.nodes) expect((await node.view()).takeovers).toBe(0);
    const ended = third.server.stop('SIGTERM');
    third.door.retarget(world.nodes[0]!.server.tcpPort);
    await spread(['one', 'two']);
    expect(await ended).toBe(0);
    await world.advance();
    for (const node of world.nodes.slice(0, 2)) expect((await node.view()).takeovers).toBe(0);
    expect(await world.audit()).toEqual([]);
  }, 240_000);

  test('take over what a killed one held', async () => {
    await start();
    await spread(['one', 'two']);
    const [one, two] = world.nodes as [(typeof world.nodes)[number], (typeof world.nodes)[number]];
    await one.server.stop('SIGKILL');
    one.door.retarget(two.server.tcpPort);
    await spread(['two']);
    await world.advance();
    expect(await world.audit()).toEqual([]);
  }, 240_000);

  test('share again with one that was frozen and goes on', async () => {
    await start();
    await spread(['one', 'two']);
    const [one, two] = world.nodes as [(typeof world.nodes)[number], (typeof world.nodes)[number]];
    await freeze(one.server.pid);
    await spread(['two']);
    await world.advance([two]);
    thaw(one.server.pid);
    await spread(['one', 'two']);
    await world.advance();
    expect(await world.audit()).toEqual([]);
  }, 240_000);

  test('share again when Redis was emptied', async () => {
    await start();
    await spread(['one', 'two']);
    await world.redis.command('FLUSHALL');
    await world.advance();
    await spread(['one', 'two']);
    expect(await world.audit()).toEqual([]);
  }, 240_000);
});
