import { describe, expect, test } from 'vitest';
import {
  createWorld,
  FrameChain,
  rejectionOf,
  STREAM,
  type TestPeer,
  type World,
  type WorldOptions,
} from '../../test/support/ingest-world.ts';

/** A client that has `stored` frames of partition 0 in the queue, of which the sink has applied `applied`. */
async function streaming(
  stored: number,
  applied: number,
  options?: WorldOptions,
): Promise<{ world: World; chain: FrameChain; peer: TestPeer }> {
  const world = createWorld(options);
  const chain = new FrameChain(0, 40);
  const peer = await world.open({ oldest: new Map([[0, 1]]) });
  peer.sendBytes(chain.bytes(1, stored));
  await world.clock.settle();
  if (applied > 0) world.progress.commit(0, chain.place(applied));
  await world.clock.settle();
  peer.take();
  return { world, chain, peer };
}

/** What a client may be told while it is asked again: everything but what only repeats. */
async function told(world: World, peer: TestPeer, ms = 0): Promise<string[]> {
  await world.clock.advance(ms);
  return peer.take();
}

async function recorded(world: World): Promise<number> {
  return (await world.queue.streams(0)).get(STREAM)?.seq ?? 0;
}

describe('a gap', () => {
  test('is answered with REWIND to the first frame that is missing, once for all frames that follow it', async () => {
    const { world, chain, peer } = await streaming(2, 0);
    peer.sendBytes(chain.bytes(5, 7));
    expect(await told(world, peer)).toEqual(['REWIND 0:3']);
    const reads = world.progress.readCount;
    peer.sendBytes(chain.bytes(8, 9));
    expect(await told(world, peer)).toEqual([]);
    expect(world.progress.readCount).toBe(reads);
    peer.sendBytes(chain.bytes(3, 9));
    expect(await told(world, peer)).toEqual(['STORED 0:9']);
    expect((await world.queue.backlog('main'))[0]?.count).toBe(9);
  });

  test('that comes again after the client has sent what was asked for is answered again', async () => {
    const { world, chain, peer } = await streaming(2, 0);
    peer.sendBytes(chain.bytes(5));
    expect(await told(world, peer)).toEqual(['REWIND 0:3']);
    peer.sendBytes(chain.bytes(3));
    peer.sendBytes(chain.bytes(6));
    expect(await told(world, peer)).toEqual(['REWIND 0:4']);
    expect(await recorded(world)).toBe(3);
  });

  test('is judged by a floor that is read afresh, and the sink is read once for many frames', async () => {
    const { world, chain, peer } = await streaming(2, 0);
    const before = world.progress.readCount;
    world.progress.commitElsewhere(0, chain.place(6), [rejectionOf(0, 4)]);
    peer.sendBytes(chain.bytes(8, 20));
    expect(await told(world, peer)).toEqual(['REWIND 0:7', 'REJECTED 0:4 too_long', 'APPLIED 0:6']);
    expect(world.progress.readCount - before).toBe(1);
  });

  test('that the floor closes is no gap: what the sink has is STORED', async () => {
    const { world, chain, peer } = await streaming(2, 0);
    world.progress.commitElsewhere(0, chain.place(8));
    peer.sendBytes(chain.bytes(8));
    expect(await told(world, peer)).toEqual(['STORED 0:8', 'APPLIED 0:8']);
    peer.sendBytes(chain.bytes(9));
    expect(await told(world, peer)).toEqual(['STORED 0:9']);
  });

  test('waits for the sink: no REWIND is sent while the floor cannot be read', async () => {
    const { world, chain, peer } = await streaming(2, 0);
    world.progress.isAway = true;
    peer.sendBytes(chain.bytes(5));
    expect(await told(world, peer, 4_000)).toEqual([]);
    world.progress.isAway = false;
    expect(await told(world, peer, 5_000)).toEqual(['REWIND 0:3']);
  });

  test('does not wedge a stream whose client forgets what it is asked for, because it is applied meanwhile', async () => {
    const { world, chain, peer } = await streaming(2, 0);
    peer.sendBytes(chain.bytes(9));
    expect(await told(world, peer)).toEqual(['REWIND 0:3']);
    world.progress.commit(0, chain.place(6));
    expect(await told(world, peer)).toEqual(['APPLIED 0:6']);
    // The client has forgotten 1 … 6 and goes on with what it holds; the queue still records 2.
    peer.sendBytes(chain.bytes(7, 9));
    expect(await told(world, peer)).toEqual(['REWIND 0:7']);
    peer.sendBytes(chain.bytes(7, 9));
    expect(await told(world, peer)).toEqual(['STORED 0:9']);
  });

  test('never makes the server ask for what it has told to be applied', async () => {
    const { world, chain, peer } = await streaming(3, 0);
    let read = () => {};
    world.progress.gate = new Promise((resolve) => void (read = resolve));
    world.queue.memory.wipe();
    await world.clock.settle();
    // The look has read watermark 0; this commit overtakes it.
    world.progress.commit(0, chain.place(2));
    world.progress.gate = undefined;
    read();
    expect(await told(world, peer)).toEqual(['REWIND 0:3', 'APPLIED 0:2']);
  });
});

describe('a queue that lost what it had', () => {
  test('everything, between two frames: the client is asked from the floor on, and what comes meanwhile is not stored', async () => {
    const { world, chain, peer } = await streaming(10, 4);
    world.queue.memory.wipe();
    peer.sendBytes(chain.bytes(11, 13));
    expect(await told(world, peer)).toEqual(['REWIND 0:5']);
    peer.sendBytes(chain.bytes(14, 15));
    expect(await told(world, peer)).toEqual([]);
    peer.sendBytes(chain.bytes(5, 15));
    expect(await told(world, peer)).toEqual(['STORED 0:15']);
    expect((await world.queue.backlog('main'))[0]?.count).toBe(11);
  });

  test('everything, while the client is idle and waits: the reconnect tells, and it is asked again', async () => {
    const { world, peer } = await streaming(10, 4);
    world.queue.memory.wipe();
    expect(await told(world, peer)).toEqual(['REWIND 0:5']);
    expect(await recorded(world)).toBe(4);
  });

  test('everything, while the client is idle and waits for nothing: it is not asked, and the next frame is stored', async () => {
    const { world, chain, peer } = await streaming(10, 10);
    world.queue.memory.wipe();
    expect(await told(world, peer)).toEqual([]);
    peer.sendBytes(chain.bytes(11));
    expect(await told(world, peer)).toEqual(['STORED 0:11']);
  });

  test('a tail, in silence: the look every 5 s finds it', async () => {
    const { world, chain, peer } = await streaming(10, 4);
    await loseTail(world, chain, 7);
    expect(await told(world, peer, 6_000)).toContain('REWIND 0:8');
    peer.sendBytes(chain.bytes(8, 10));
    expect(await told(world, peer)).toEqual(['STORED 0:10']);
  });

  test('a tail, and a frame that was stored comes again: STORED is not told below what was told, but REWIND', async () => {
    const { world, chain, peer } = await streaming(10, 4);
    await loseTail(world, chain, 7);
    peer.sendBytes(chain.bytes(6));
    expect(await told(world, peer)).toEqual(['REWIND 0:8']);
  });

  test('a second time, further back, before the client has sent again: it is asked for the earlier frame', async () => {
    const { world, chain, peer } = await streaming(10, 4);
    await loseTail(world, chain, 8);
    peer.sendBytes(chain.bytes(11));
    expect(await told(world, peer)).toEqual(['REWIND 0:9']);
    await loseTail(world, chain, 6);
    peer.sendBytes(chain.bytes(9, 11));
    expect(await told(world, peer)).toEqual(['REWIND 0:7']);
    peer.sendBytes(chain.bytes(7, 11));
    expect(await told(world, peer)).toEqual(['STORED 0:11']);
  });

  test('everything, and the sink cannot be read: credit is 0 where the client no longer holds what is missing', async () => {
    const { world, peer } = await streaming(10, 4);
    world.progress.isAway = true;
    world.queue.memory.wipe();
    expect(await told(world, peer)).toEqual(['CREDIT 0 (waiting for the sink: the sink is away; the test said so)']);
    world.progress.isAway = false;
    expect(await told(world, peer, 5_000)).toEqual(['CREDIT 262144', 'REWIND 0:5']);
  });

  /** As a failover to a replica that lagged: the record ends earlier. */
  async function loseTail(world: World, chain: FrameChain, seq: number): Promise<void> {
    await world.queue.forget(0, [STREAM]);
    await world.queue.raise([{ partition: 0, stream: STREAM, producer: 'shop', place: chain.place(seq) }]);
  }
});

describe('a client that connects again', () => {
  test('is told what is stored and goes on behind it; what it sends again is a duplicate', async () => {
    const { world, chain, peer } = await streaming(10, 4);
    peer.vanish();
    const again = await world.open({ oldest: new Map([[0, 5]]) });
    expect(again.take()).toEqual(['WELCOME', 'APPLIED 0:4']);
    again.sendBytes(chain.bytes(9, 12));
    expect(await told(world, again)).toEqual(['STORED 0:12']);
    expect((await world.queue.backlog('main'))[0]?.count).toBe(12);
  });

  test('takes its stream over from a connection that is still open', async () => {
    const { world, chain, peer } = await streaming(2, 0);
    let stored = () => {};
    world.queue.gate = new Promise((resolve) => void (stored = resolve));
    peer.sendBytes(chain.bytes(3, 5));
    await world.clock.settle();
    const second = await world.open({ oldest: new Map([[0, 1]]) });
    expect(peer.take()).toEqual(['ERROR stream_taken_over']);
    expect(peer.isClosed).toBe(true);
    second.sendBytes(chain.bytes(3, 6));
    stored();
    world.queue.gate = undefined;
    expect(await told(world, second)).toEqual(['WELCOME', 'STORED 0:6']);
    expect((await world.queue.backlog('main'))[0]?.count).toBe(6);
    world.progress.commit(0, chain.place(6));
    expect(await told(world, second)).toEqual(['APPLIED 0:6']);
    expect(world.sessions.size).toBe(1);
  });

  test('after a crash between commit and report hears of the dead letters before APPLIED', async () => {
    const { world, chain, peer } = await streaming(3, 1);
    peer.vanish();
    world.progress.commitElsewhere(0, chain.place(3), [rejectionOf(0, 1), rejectionOf(0, 2)]);
    const again = await world.open({ oldest: new Map([[0, 2]]) });
    expect(again.take()).toEqual(['WELCOME', 'REJECTED 0:2 too_long', 'APPLIED 0:3']);
  });

  test('many times while the queue is away does not pile its frames up', async () => {
    const { world, chain, peer } = await streaming(2, 0);
    world.queue.fault = 'before';
    peer.sendBytes(chain.bytes(3, 30));
    await world.clock.advance(100);
    expect(world.appender.inFlightBytes).toBeGreaterThan(0);
    peer.vanish();
    await world.clock.advance(2_000);
    expect(world.appender.inFlightBytes).toBe(0);
    world.queue.fault = 'none';
    const again = await world.open({ oldest: new Map([[0, 1]]) });
    again.sendBytes(chain.bytes(3, 30));
    expect((await told(world, again, 100)).at(-1)).toBe('STORED 0:30');
  });
});

test('streams that were left are ended before WELCOME, which waits for that also where the queue alone would do', async () => {
  const world = createWorld();
  const [one, other] = ['1'.repeat(32), '2'.repeat(32)];
  world.progress.isAway = true;
  const peer = await world.open({ left: [one, other] });
  await world.clock.advance(3_000);
  expect(peer.take()).toEqual([]);
  world.progress.isAway = false;
  await world.clock.advance(3_000);
  expect(peer.take()).toEqual(['WELCOME']);
  expect(world.progress.ended).toEqual([`${one} of shop`, `${other} of shop`]);
});
