import { describe, expect, test } from 'vitest';
import { createWorld, FrameChain, rejectionOf, STREAM, type World } from '../../test/support/ingest-world.ts';

describe('news of another node', () => {
  async function withStored(count: number): Promise<{ world: World; chain: FrameChain; peer: Awaited<ReturnType<World['open']>> }> {
    const world = createWorld();
    const peer = await world.open();
    const chain = new FrameChain(0, count);
    peer.sendBytes(chain.bytes(1, count));
    await world.clock.settle();
    peer.take();
    return { world, chain, peer };
  }

  test('what another node applied is read in the sink before it is told, dead letters first', async () => {
    const { world, chain, peer } = await withStored(3);
    world.progress.commitElsewhere(0, chain.place(2), [rejectionOf(0, 1)]);
    world.sessions.confirm(['f'.repeat(32)]);
    await world.clock.settle();
    expect(peer.take()).toEqual([]);
    world.sessions.confirm([STREAM]);
    await world.clock.settle();
    expect(peer.take()).toEqual(['REJECTED 0:1 too_long', 'APPLIED 0:2']);
    // News that is none is not told again.
    world.sessions.confirmAll();
    await world.clock.settle();
    expect(peer.take()).toEqual([]);
  });

  test('however much news of another node comes, the sink is asked once at a time, and once more for what came meanwhile', async () => {
    const { world, chain, peer } = await withStored(3);
    const before = world.progress.readCount;
    let answer = () => {};
    world.progress.gate = new Promise((resolve) => void (answer = resolve));
    world.progress.commitElsewhere(0, chain.place(1));
    for (let i = 0; i < 100; i++) world.sessions.confirm([STREAM]);
    await world.clock.settle();
    expect(world.progress.readCount).toBe(before + 1);
    world.progress.commitElsewhere(0, chain.place(3));
    for (let i = 0; i < 100; i++) world.sessions.confirm([STREAM]);
    answer();
    await world.clock.settle();
    expect([world.progress.readCount, peer.take()]).toEqual([before + 2, ['APPLIED 0:3']]);
  });

  test('news of another node while the sink is away is found when the client has waited', async () => {
    const { world, chain, peer } = await withStored(1);
    world.progress.isAway = true;
    world.progress.commitElsewhere(0, chain.place(1));
    world.sessions.confirm([STREAM]);
    await world.clock.settle();
    world.progress.isAway = false;
    await world.clock.advance(6_000);
    expect(peer.take()).toEqual(['APPLIED 0:1']);
  });

  test('news of another node while the stream opens is not missed', async () => {
    const world = createWorld();
    const chain = new FrameChain(0, 3);
    let opened = () => {};
    world.progress.commitElsewhere(0, chain.place(1));
    world.progress.gate = new Promise((resolve) => void (opened = resolve));
    const peer = await world.open({ oldest: new Map([[0, 1]]) });
    world.progress.commitElsewhere(0, chain.place(3));
    world.sessions.confirm([STREAM]);
    opened();
    await world.clock.settle();
    expect(peer.take()).toEqual(['WELCOME', 'APPLIED 0:3']);
  });
});
