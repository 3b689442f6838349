import { describe, expect, test } from 'vitest';
import { createWorld, FrameChain, rejectionOf, STREAM, type World } from '../../test/support/ingest-world.ts';
import { systemRandom } from '../core/random.ts';
import { REQUEST_STREAM_TAG } from '../core/stream.ts';
import { encodeFrame, FRAME } from '../protocol/frame.ts';
import { decodeError, decodeWelcome, encodeHello } from '../protocol/messages.ts';
import { FailedAttempts } from './failed-attempts.ts';
import { createAuthenticator } from './producers.ts';

describe('opening', () => {
  test('WELCOME answers HELLO and names partitions, limits and tables', async () => {
    const world = createWorld();
    const peer = await world.open();
    const welcome = decodeWelcome(peer.frames[0]!.payload);
    expect(welcome).toMatchObject({
      v: 1,
      node: 'node-1',
      producer: 'shop',
      partitions: 4,
      maxFrameBytes: 65_536,
      creditBytes: 262_144,
      heartbeatMs: 10_000,
    });
    expect(welcome.tables.get('cities')).toEqual({ key: ['id'] });
    expect(peer.take()).toEqual(['WELCOME']);
  });

  test('a connection that says nothing is closed after the time to authenticate', async () => {
    const world = createWorld();
    const peer = world.connect();
    await world.clock.advance(4_999);
    expect(peer.take()).toEqual([]);
    await world.clock.advance(1);
    expect(peer.take()).toEqual(['ERROR auth_timeout']);
    expect(peer.isClosed).toBe(true);
  });

  test('half a HELLO does not stop the time to authenticate', async () => {
    const world = createWorld();
    const peer = world.connect();
    const hello = encodeFrame({
      type: FRAME.hello,
      payload: encodeHello({ v: 1, token: 'token-of-shop', stream: STREAM, oldest: new Map(), agent: '' }),
    });
    peer.sendBytes(hello.subarray(0, 40));
    await world.clock.advance(5_000);
    expect(peer.take()).toEqual(['ERROR auth_timeout']);
  });

  test('anything else than HELLO first is refused', async () => {
    const world = createWorld();
    const peer = world.connect();
    peer.sendBytes(new FrameChain(0, 1).bytes(1));
    expect(peer.take()).toEqual(['ERROR hello_expected']);
    expect(peer.isClosed).toBe(true);
  });

  test('a second HELLO is refused', async () => {
    const world = createWorld();
    const peer = await world.open();
    peer.hello();
    expect(peer.take()).toEqual(['WELCOME', 'ERROR hello_repeated']);
  });

  test('a HELLO of another version is refused', async () => {
    const world = createWorld();
    const peer = world.connect();
    peer.send({ type: FRAME.hello, payload: encodeHello({ v: 2, token: 'token-of-shop', stream: STREAM, oldest: new Map(), agent: '' }) });
    expect(peer.take()).toEqual(['ERROR unsupported_version']);
  });

  test('a HELLO with a stream id that is kept for HTTP requests is refused', async () => {
    const peer = await createWorld().open({ stream: `${REQUEST_STREAM_TAG}${'0'.repeat(24)}` });
    expect(peer.take()).toEqual(['ERROR bad_hello']);
  });

  test('a HELLO beyond 4 KiB is refused before it is read', async () => {
    const world = createWorld();
    const peer = world.connect();
    peer.sendBytes(Buffer.from([0, 0, 0x10, 0x00, FRAME.hello]));
    expect(peer.take()).toEqual(['ERROR frame_too_large']);
  });

  test('a HELLO that names a partition that does not exist is refused', async () => {
    const world = createWorld();
    const peer = await world.open({ oldest: new Map([[4, 1]]) });
    expect(peer.take()).toEqual(['ERROR unknown_partition']);
  });

  test('a wrong token is refused, and not at once', async () => {
    const world = createWorld();
    const attempts = new FailedAttempts({ clock: world.clock, random: systemRandom, onRefused: () => {} });
    world.context.authenticator = createAuthenticator({ token: 'right' }, (refusal) => attempts.refused(refusal));
    const peer = await world.open({ token: 'guessed' });
    await world.clock.advance(99);
    expect(peer.take()).toEqual([]);
    await world.clock.advance(401);
    expect(peer.take()).toEqual(['ERROR auth_failed']);
    expect(peer.isClosed).toBe(true);
    expect(JSON.stringify(world.logged)).not.toContain('guessed');
  });

  test('a HELLO without a token is told that one is asked for', async () => {
    const world = createWorld();
    const peer = await world.open({ token: '' });
    await world.clock.advance(500);
    expect(decodeError(peer.frames[0]!.payload)).toMatchObject({ code: 'auth_failed', message: expect.stringContaining('no token') });
  });

  test('what was stored and applied before is told: WELCOME, REJECTED from the oldest held on, then APPLIED', async () => {
    const world = createWorld();
    const chain = new FrameChain(1, 6);
    world.progress.commitElsewhere(1, chain.place(5), [rejectionOf(1, 2), rejectionOf(1, 4), rejectionOf(1, 5)]);
    const peer = await world.open({ oldest: new Map([[1, 4]]) });
    expect(decodeWelcome(peer.frames[0]!.payload).stored.get(1)).toEqual(chain.place(5));
    expect(peer.frames.at(-1)).toMatchObject({ type: FRAME.applied, seq: 5, prev: chain.place(5).crc });
    expect(peer.take()).toEqual(['WELCOME', 'REJECTED 1:4 too_long', 'REJECTED 1:5 too_long', 'APPLIED 1:5']);
  });

  test('a stream of another producer is refused: known from the sink, from the queue, or from an open session', async () => {
    const bySink = createWorld();
    bySink.progress.producer = 'bank';
    expect((await bySink.open()).take()).toEqual(['ERROR stream_owned_by_other']);

    const byQueue = createWorld();
    await byQueue.queue.raise([{ partition: 0, stream: STREAM, producer: 'bank', place: { seq: 1, crc: 1 } }]);
    expect((await byQueue.open({ oldest: new Map([[0, 1]]) })).take()).toEqual(['ERROR stream_owned_by_other']);

    const bySession = createWorld();
    const first = await bySession.open({ token: 'token-of-bank' });
    expect((await bySession.open()).take()).toEqual(['ERROR stream_owned_by_other']);
    expect(first.isClosed).toBe(false);
  });

  test('a stream whose watermark has expired is refused', async () => {
    const world = createWorld();
    world.progress.status = 'expired';
    expect((await world.open()).take()).toEqual(['ERROR stream_expired']);
  });

  test('a sink that lacks what the client no longer holds is an alarm that names the range', async () => {
    const world = createWorld();
    world.progress.commitElsewhere(2, new FrameChain(2, 3).place(3));
    const peer = await world.open({ oldest: new Map([[2, 8]]) });
    const { message, missing } = decodeError(peer.frames[0]!.payload);
    expect(message).toContain('no longer holds 4 to 7');
    expect(missing).toEqual(new Map([[2, 4]]));
    expect(peer.take()).toEqual(['ERROR sink_regressed']);
    expect(
      world.logged
        .filter(({ level }) => level === 'error')
        .map(({ message }) => message)
        .join(),
    ).toContain('4 to 7');
  });

  test('while the queue is away the client waits for WELCOME, is pinged, and gets it afterwards', async () => {
    const world = createWorld();
    world.queue.fault = 'before';
    const peer = await world.open({ oldest: new Map([[0, 1]]) });
    await world.clock.advance(12_000);
    expect(peer.frames.map(({ type }) => type)).toEqual([FRAME.ping]);
    peer.take();
    peer.send({ type: FRAME.pong });
    peer.send({ type: FRAME.batch, partition: 0, seq: 1, payload: new FrameChain(0, 1).frames[0]!.subarray(24) });
    await world.clock.advance(5_000);
    expect(peer.take()).toEqual([]);
    world.queue.fault = 'none';
    await world.clock.advance(2_000);
    expect(peer.take()).toEqual(['WELCOME', 'STORED 0:1']);
  });

  test('while the sink is away a client is taken in if the queue has all that it let go of, and hears of the sink later', async () => {
    const world = createWorld();
    const chain = new FrameChain(0, 3);
    const first = await world.open();
    first.sendBytes(chain.bytes(1, 2));
    await world.clock.settle();
    first.vanish();
    world.progress.isAway = true;
    const peer = await world.open({ oldest: new Map([[0, 2]]) });
    expect(peer.take()).toEqual(['WELCOME']);
    peer.sendBytes(chain.bytes(3));
    await world.clock.settle();
    expect(peer.take()).toEqual(['STORED 0:3']);
    world.progress.commitElsewhere(0, chain.place(2), [rejectionOf(0, 2)]);
    world.progress.isAway = false;
    await world.clock.advance(6_000);
    expect(peer.take().filter((frame, i, all) => all.indexOf(frame) === i)).toEqual(['REJECTED 0:2 too_long', 'APPLIED 0:2']);
  });

  test('while the sink is away a client waits if the queue lost what it let go of', async () => {
    const world = createWorld();
    world.progress.isAway = true;
    const peer = await world.open({ oldest: new Map([[0, 4]]) });
    await world.clock.advance(3_000);
    expect(peer.take()).toEqual([]);
    world.progress.commitElsewhere(0, new FrameChain(0, 3).place(3));
    world.progress.isAway = false;
    await world.clock.advance(3_000);
    expect(peer.take()).toEqual(['WELCOME', 'APPLIED 0:3']);
  });

  test('a client that goes away while it waits for WELCOME leaves nothing behind', async () => {
    const world = createWorld();
    world.queue.fault = 'before';
    const polite = await world.open();
    const rude = await world.open({ stream: 'f'.repeat(32) });
    polite.send({ type: FRAME.bye });
    rude.vanish();
    await world.clock.settle();
    expect([polite.isClosed, rude.isClosed, world.sessions.size, world.clock.timerCount]).toEqual([true, true, 0, 0]);
  });

  test('frames that come before WELCOME wait, and the peer is held back', async () => {
    const world = createWorld();
    let opened = () => {};
    world.progress.gate = new Promise((resolve) => void (opened = resolve));
    const chain = new FrameChain(0, 2);
    const peer = await world.open();
    peer.sendBytes(chain.bytes(1, 2));
    peer.sendBytes(Buffer.alloc(100_000));
    expect(peer.serverSide.isPaused).toBe(true);
    opened();
    await world.clock.settle();
    expect(peer.take()).toEqual(['WELCOME', 'ERROR frame_too_small']);
  });
});

describe('storing', () => {
  test('frames of one turn are one call to the queue and one STORED', async () => {
    const world = createWorld();
    const peer = await world.open();
    const chain = new FrameChain(0, 5);
    peer.take();
    peer.sendBytes(chain.bytes(1, 5));
    await world.clock.settle();
    expect(peer.frames[0]).toMatchObject({ type: FRAME.stored, seq: 5, prev: chain.place(5).crc });
    expect(peer.take()).toEqual(['STORED 0:5']);
    expect(world.queue.appends).toEqual([{ partition: 0, seqs: [1, 2, 3, 4, 5] }]);
    expect(world.woken).toEqual([0]);
  });

  test('the queue holds each frame as it was sent', async () => {
    const world = createWorld();
    const peer = await world.open();
    const chain = new FrameChain(3, 2);
    peer.sendBytes(chain.bytes(1, 2));
    await world.clock.settle();
    const elements = await world.queue.fetch('main', 3, { elements: 10, bytes: 1e6 });
    expect(
      elements.map(({ frame, producer, stream, kind }) => [
        Buffer.from(frame).equals(chain.frames[0]!) || Buffer.from(frame).equals(chain.frames[1]!),
        producer,
        stream,
        kind,
      ]),
    ).toEqual([
      [true, 'shop', STREAM, 'frame'],
      [true, 'shop', STREAM, 'frame'],
    ]);
  });

  test('nothing is STORED before the queue has it', async () => {
    const world = createWorld();
    const peer = await world.open();
    peer.take();
    let opened = () => {};
    world.queue.gate = new Promise((resolve) => void (opened = resolve));
    peer.sendBytes(new FrameChain(0, 1).bytes(1));
    await world.clock.advance(1_000);
    expect(peer.take()).toEqual([]);
    opened();
    await world.clock.settle();
    expect(peer.take()).toEqual(['STORED 0:1']);
  });

  test('a duplicate is STORED again and not stored again', async () => {
    const world = createWorld();
    const peer = await world.open();
    const chain = new FrameChain(0, 3);
    peer.sendBytes(chain.bytes(1, 3));
    await world.clock.settle();
    peer.take();
    peer.sendBytes(chain.bytes(2));
    await world.clock.settle();
    expect(peer.take()).toEqual(['STORED 0:3']);
    expect((await world.queue.backlog('main'))[0]?.count).toBe(3);
  });

  test('another frame behind the same seq is seq_content_mismatch', async () => {
    const world = createWorld();
    const peer = await world.open();
    peer.sendBytes(new FrameChain(0, 1).bytes(1));
    peer.sendBytes(new FrameChain(0, 2, 'other').bytes(2));
    await world.clock.settle();
    expect(peer.take()).toEqual(['WELCOME', 'STORED 0:1', 'ERROR seq_content_mismatch']);
    expect(peer.isClosed).toBe(true);
  });

  test('another owner in the queue than when the stream was opened ends the connection: opening it again tells who is right', async () => {
    const world = createWorld();
    const peer = await world.open();
    await world.queue.raise([{ partition: 0, stream: STREAM, producer: 'bank', place: { seq: 1, crc: 1 } }]);
    peer.sendBytes(new FrameChain(0, 1).bytes(1));
    await world.clock.settle();
    expect(peer.take()).toEqual(['WELCOME', 'ERROR stream_disputed']);
    expect((await world.open({ oldest: new Map([[0, 1]]) })).take()).toEqual(['ERROR stream_owned_by_other']);
  });

  test('a partition that does not exist is refused', async () => {
    const world = createWorld();
    const peer = await world.open();
    peer.sendBytes(new FrameChain(4, 1).bytes(1));
    expect(peer.take()).toEqual(['WELCOME', 'ERROR unknown_partition']);
  });

  test('a frame that only servers send is refused', async () => {
    const world = createWorld();
    const peer = await world.open();
    peer.send({ type: FRAME.stored, seq: 1 });
    expect(peer.take()).toEqual(['WELCOME', 'ERROR unknown_type']);
  });

  test('a payload that is not a batch is stored as a refusal, and the stream goes on behind it', async () => {
    const world = createWorld();
    const peer = await world.open();
    const chain = new FrameChain(0, 1);
    chain.add(Buffer.from('dd7fffffff', 'hex'));
    chain.add(Buffer.from([0x28, 0xb5, 0x2f, 0xfd]), 1);
    chain.add();
    peer.take();
    peer.sendBytes(chain.bytes(1, 4));
    await world.clock.settle();
    expect(peer.take()).toEqual(['STORED 0:4']);
    const elements = await world.queue.fetch('main', 0, { elements: 10, bytes: 1e6 });
    expect(elements.map(({ kind }) => kind)).toEqual(['frame', 'refusal', 'refusal', 'frame']);
    expect(Buffer.from(elements[1]!.frame.subarray(0, 24)).equals(chain.frames[1]!.subarray(0, 24))).toBe(true);
    expect(decodeError(elements[1]!.frame.subarray(24)).code).toBe('malformed_payload');
  });

  test('while the queue fails frames wait, in order, and are stored once it is back', async () => {
    const world = createWorld();
    const peer = await world.open();
    const chain = new FrameChain(0, 4);
    peer.take();
    world.queue.fault = 'after';
    peer.sendBytes(chain.bytes(1, 2));
    await world.clock.advance(3_000);
    peer.sendBytes(chain.bytes(3, 4));
    await world.clock.advance(3_000);
    expect(peer.take()).toEqual([]);
    world.queue.fault = 'none';
    await world.clock.advance(1_000);
    expect(peer.take().at(-1)).toBe('STORED 0:4');
    expect(world.queue.maxConcurrency).toBe(1);
    expect((await world.queue.backlog('main'))[0]?.count).toBe(4);
  });
});

describe('applying', () => {
  async function withStored(count: number): Promise<{ world: World; chain: FrameChain; peer: Awaited<ReturnType<World['open']>> }> {
    const world = createWorld();
    const peer = await world.open();
    const chain = new FrameChain(0, count);
    peer.sendBytes(chain.bytes(1, count));
    await world.clock.settle();
    peer.take();
    return { world, chain, peer };
  }

  test('a commit is told as APPLIED, its dead letters first', async () => {
    const { world, chain, peer } = await withStored(3);
    world.progress.commit(0, chain.place(2), [rejectionOf(0, 1), rejectionOf(0, 2)]);
    await world.clock.settle();
    expect(peer.frames.at(-1)).toMatchObject({ type: FRAME.applied, seq: 2, prev: chain.place(2).crc });
    expect(peer.take()).toEqual(['REJECTED 0:1 too_long', 'REJECTED 0:2 too_long', 'APPLIED 0:2']);
    expect(world.progress.readCount).toBe(1);
  });

  test('a commit that does not join what was told is read afresh, so that no dead letter is missed', async () => {
    const { world, chain, peer } = await withStored(3);
    world.progress.commitElsewhere(0, chain.place(2), [rejectionOf(0, 1)]);
    world.progress.commit(0, chain.place(3));
    await world.clock.settle();
    expect(peer.take()).toEqual(['REJECTED 0:1 too_long', 'APPLIED 0:3']);
  });

  test('APPLIED never goes back', async () => {
    const { world, chain, peer } = await withStored(3);
    world.progress.commit(0, chain.place(3));
    world.progress.commit(0, chain.place(2));
    await world.clock.settle();
    expect(peer.take()).toEqual(['APPLIED 0:3']);
  });

  test('commits that come while the stream opens are not missed', async () => {
    const world = createWorld();
    const chain = new FrameChain(0, 3);
    let opened = () => {};
    world.progress.commitElsewhere(0, chain.place(1));
    world.progress.gate = new Promise((resolve) => void (opened = resolve));
    const peer = await world.open({ oldest: new Map([[0, 1]]) });
    world.progress.commit(0, chain.place(3), [rejectionOf(0, 2)]);
    opened();
    await world.clock.settle();
    expect(peer.take()).toEqual(['WELCOME', 'REJECTED 0:2 too_long', 'APPLIED 0:3']);
  });

  test('while batches are outstanding the newest APPLIED is repeated every second, and not afterwards', async () => {
    const { world, chain, peer } = await withStored(3);
    world.progress.commit(0, chain.place(2));
    await world.clock.advance(3_000);
    expect(peer.take().length).toBeGreaterThanOrEqual(3);
    world.progress.commit(0, chain.place(3));
    await world.clock.advance(1_000);
    peer.take();
    await world.clock.advance(3_000);
    expect(peer.take()).toEqual([]);
  });

  test('after 5 s without APPLIED the sink is read afresh, and apply is told who waits', async () => {
    const { world, chain, peer } = await withStored(2);
    world.progress.commitElsewhere(0, chain.place(1), [rejectionOf(0, 1)]);
    await world.clock.advance(5_500);
    expect(peer.take()).toEqual(['REJECTED 0:1 too_long', 'APPLIED 0:1']);
    expect(world.waiting).toEqual([0]);
  });

  test('a sink that goes back behind an APPLIED is sink_regressed', async () => {
    const { world, chain, peer } = await withStored(3);
    world.progress.commit(0, chain.place(2));
    await world.clock.settle();
    peer.take();
    world.progress.watermarks.set(0, chain.place(1));
    await world.clock.advance(6_000);
    expect(peer.take().at(-1)).toBe('ERROR sink_regressed');
  });
});
