import { afterEach, describe, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { freeze, thaw } from '../support/freeze.ts';
import { ClusterWorld, LONG_LEASE_MS, type ClusterNode } from './cluster-world.ts';
import { missingFor } from './fault-world.ts';

const missing = missingFor('services');

describe.skipIf(missing !== undefined)(`a pair of nodes, one of which applies${missing === undefined ? '' : ` (${missing})`}`, () => {
  let world: ClusterWorld;
  let leader: ClusterNode;
  let standby: ClusterNode;

  const start = async (leaseMs?: number) => {
    world = await ClusterWorld.start('standby', ['one', 'two'], leaseMs);
    await world.advance();
    leader = await world.leader();
    standby = world.nodes.find((node) => node !== leader)!;
  };

  afterEach(() => world?.close());

  const holdsEverything = (node: ClusterNode) =>
    eventually(async () => {
      const { held, leader: known } = await node.view();
      expect({ held, known }).toEqual({ held: Array.from({ length: 16 }, (_, i) => i), known: node.name });
    }, 60_000);

  test('clients of both are served, and both know who leads', async () => {
    await start();
    await holdsEverything(leader);
    expect(await standby.view()).toMatchObject({ mode: 'standby', leader: leader.name, held: [], primary: false });
    expect((await standby.view()).members.map(({ name, state }) => `${name} ${state}`)).toEqual(['one ready', 'two ready']);
    expect([await leader.health('ready'), await standby.health('ready')]).toEqual([true, true]);
    expect(await world.audit()).toEqual([]);
  }, 240_000);

  test('the other takes over when the leader is killed', async () => {
    await start();
    await leader.server.stop('SIGKILL');
    leader.door.retarget(standby.server.tcpPort);
    await holdsEverything(standby);
    await world.advance();
    expect(await standby.health('primary')).toBe(true);
    expect((await standby.view()).takeovers).toBeGreaterThan(0);
    // Started again, it watches.
    await leader.server.start();
    await eventually(async () => expect(await leader.view()).toMatchObject({ leader: standby.name, held: [], primary: false }), 60_000);
    expect(await world.audit()).toEqual([]);
  }, 240_000);

  test('the other takes over while the leader is frozen, which then follows', async () => {
    await start();
    await freeze(leader.server.pid);
    await holdsEverything(standby);
    await world.advance([standby]);
    thaw(leader.server.pid);
    await eventually(async () => expect(await leader.view()).toMatchObject({ leader: standby.name, held: [], primary: false }), 60_000);
    await world.advance();
    expect(await world.audit()).toEqual([]);
  }, 240_000);

  test('SIGTERM hands over, and nothing is taken that was not given', async () => {
    await start(LONG_LEASE_MS);
    const ended = leader.server.stop('SIGTERM');
    leader.door.retarget(standby.server.tcpPort);
    await holdsEverything(standby);
    expect(await ended).toBe(0);
    await world.advance();
    expect((await standby.view()).takeovers).toBe(0);
    expect((await standby.view()).members.map(({ name }) => name)).toEqual([standby.name]);
    expect(await world.audit()).toEqual([]);
  }, 240_000);

  test('a leader that is drained hands over, and put back it stands by', async () => {
    await start(LONG_LEASE_MS);
    const drain = (method: 'POST' | 'DELETE') => fetch(`http://127.0.0.1:${leader.server.adminPort}/api/v1/drain`, { method });
    expect((await drain('POST')).status).toBe(202);
    leader.door.retarget(standby.server.tcpPort);
    await holdsEverything(standby);
    await world.advance();
    expect([await leader.health('primary'), await leader.health('ready'), await standby.health('primary')]).toEqual([false, false, true]);
    await eventually(
      async () => expect(await (await drain('POST')).json()).toMatchObject({ duty: 'drained', leases: 0, takenOver: 'others' }),
      60_000,
    );
    expect((await drain('DELETE')).status).toBe(200);
    await eventually(async () => {
      expect([await leader.health('primary'), await leader.health('ready')]).toEqual([false, true]);
      expect(await leader.view()).toMatchObject({ leader: standby.name, held: [] });
    }, 60_000);
    // And the other way round: it may lead again.
    const ended = standby.server.stop('SIGTERM');
    for (const { door } of world.nodes) door.retarget(leader.server.tcpPort);
    await holdsEverything(leader);
    expect([await ended, (await leader.view()).takeovers]).toEqual([0, 0]);
    await world.advance();
    expect(await world.audit()).toEqual([]);
  }, 240_000);

  test('somebody goes on leading when Redis is emptied, and both when it restarts', async () => {
    await start();
    await world.redis.command('FLUSHALL');
    await world.advance();
    await world.redis.restart();
    await world.advance();
    await world.leader();
    expect(await world.audit()).toEqual([]);
  }, 240_000);
});
