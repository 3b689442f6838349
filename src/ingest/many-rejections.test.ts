import { describe, expect, test } from 'vitest';
import { createWorld, FrameChain, rejectionOf, type TestPeer, type World } from '../../test/support/ingest-world.ts';

/** A peer that reads nothing, of a stream with 20,000 dead letters in partition 0. */
async function openWithThousands(world: World): Promise<TestPeer> {
  const rejections = Array.from({ length: 20_000 }, (_, i) => rejectionOf(0, i + 1));
  world.progress.commitElsewhere(0, { seq: 20_000, crc: new FrameChain(0, 1).place(1).crc }, rejections);
  const peer = world.connect();
  peer.hello({ oldest: new Map([[0, 1]]) });
  peer.serverSide.isReading = false;
  await world.clock.settle();
  return peer;
}

/** What a peer is told that reads from now on, a piece at a time. */
async function readAll(world: World, peer: TestPeer): Promise<readonly string[]> {
  for (let i = 0; i < 40; i++) {
    peer.serverSide.isReading = true;
    await world.clock.settle();
  }
  return peer.take();
}

describe('dead letters that are read some at a time', () => {
  test('are told before the APPLIED that covers them', async () => {
    const world = createWorld();
    world.progress.rejectionsAtOnce = 2;
    const [first, second] = [new FrameChain(1, 6), new FrameChain(2, 3)];
    world.progress.commitElsewhere(
      1,
      first.place(6),
      [1, 2, 3, 4, 5].map((seq) => rejectionOf(1, seq)),
    );
    world.progress.commitElsewhere(
      2,
      second.place(3),
      [1, 2].map((seq) => rejectionOf(2, seq)),
    );
    const peer = await world.open({
      oldest: new Map([
        [1, 1],
        [2, 1],
      ]),
    });
    await world.clock.settle();
    const told = [...[1, 2, 3, 4, 5].map((seq) => `REJECTED 1:${seq} too_long`), 'REJECTED 2:1 too_long', 'APPLIED 1:6'];
    expect(peer.take()).toEqual(['WELCOME', ...told, 'REJECTED 2:2 too_long', 'APPLIED 2:3']);
    expect(world.progress.readCount).toBe(4);
  });

  test('are looked for as the peer reads them, whatever is committed meanwhile', async () => {
    const world = createWorld();
    world.progress.rejectionsAtOnce = 500;
    const peer = await openWithThousands(world);
    const readBefore = world.progress.readCount;
    expect(readBefore).toBeLessThan(6);
    for (let seq = 20_001; seq <= 20_100; seq++) world.progress.commit(0, { seq, crc: 1 }, [rejectionOf(0, seq)]);
    await world.clock.settle();
    expect(world.progress.readCount).toBe(readBefore);
    const lines = await readAll(world, peer);
    const told = lines.filter((line) => line.startsWith('REJECTED'));
    expect(told).toEqual(Array.from({ length: 20_100 }, (_, i) => `REJECTED 0:${i + 1} too_long`));
    expect(lines.at(-1)).toBe('APPLIED 0:20100');
  });

  test('are told anew where the sink was set back and rejects anew', async () => {
    const world = createWorld();
    world.progress.rejectionsAtOnce = 2;
    const chain = new FrameChain(0, 9);
    world.progress.commitElsewhere(
      0,
      chain.place(9),
      [1, 2, 3, 4, 5, 6].map((seq) => rejectionOf(0, seq)),
    );
    const read = world.progress.read.bind(world.progress);
    world.progress.read = async (...asked) => {
      const found = await read(...asked);
      world.progress.isAway = true;
      return found;
    };
    const peer = await world.open({ oldest: new Map([[0, 1]]) });
    expect(peer.take()).toEqual(['WELCOME', 'REJECTED 0:1 too_long', 'REJECTED 0:2 too_long']);
    world.progress.isAway = false;
    await world.clock.advance(1_000);
    expect(peer.take()).toEqual(['REJECTED 0:3 too_long', 'REJECTED 0:4 too_long']);
    world.progress.isAway = false;
    world.progress.read = read;
    world.progress.watermarks.set(0, chain.place(3));
    world.progress.rejections.length = 0;
    world.progress.rejections.push(rejectionOf(0, 3));
    await world.clock.advance(2_000);
    expect(new Set(peer.take())).toEqual(new Set(['APPLIED 0:3']));
    world.progress.commitElsewhere(0, chain.place(4), [rejectionOf(0, 4)]);
    await world.clock.advance(10_000);
    const lines = peer.take();
    expect(lines.filter((line) => line.startsWith('REJECTED'))).toEqual(['REJECTED 0:4 too_long']);
    expect(lines.at(-1)).toBe('APPLIED 0:4');
  });

  test('of what is committed while the peer reads nothing are looked for once', async () => {
    const world = createWorld();
    const peer = await world.open();
    peer.take();
    peer.serverSide.isReading = false;
    const before = world.progress.readCount;
    for (let seq = 1; seq <= 3_000; seq++) {
      world.progress.commit(0, { seq, crc: seq }, [rejectionOf(0, seq)]);
      if (seq % 10 === 0) await world.clock.settle();
    }
    expect(world.progress.readCount - before).toBeLessThan(3);
    const lines = await readAll(world, peer);
    expect(lines.filter((line) => line.startsWith('REJECTED'))).toHaveLength(3_000);
    expect(lines.at(-1)).toBe('APPLIED 0:3000');
  });

  test('go to a peer by the thousand as it reads them, and it is not cut off for their number', async () => {
    const world = createWorld();
    const peer = await openWithThousands(world);
    expect(peer.serverSide.bufferedBytes).toBeLessThan(100_000);
    const lines = await readAll(world, peer);
    expect(lines.filter((line) => line.startsWith('REJECTED'))).toHaveLength(20_000);
    expect(lines.at(-1)).toBe('APPLIED 0:20000');
  });
});
