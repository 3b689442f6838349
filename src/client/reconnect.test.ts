import { describe, expect, test } from 'vitest';
import { openClient, rowsOf, startClient, SurvivingSpool } from '../../test/support/client-world.ts';
import { placeOf, type FakeLink } from '../../test/support/fake-network.ts';
import { encodeFrame, FRAME, type Frame } from '../protocol/frame.ts';

/** All keys in one partition. */
const ONE = { partitions: 1 };
const BIG = 'x'.repeat(1000);

function hexOf(frames: readonly Frame[]): string[] {
  return frames.map((frame) => Buffer.from(frame.bytes).toString('hex'));
}

describe('losing and regaining the server', () => {
  test('frames go out in the order in which they were made, whatever their partitions hold, and again after a reconnect', async () => {
    const { client, clock, network, reconnected } = await openClient({ batchBytes: 100 }, { partitions: 4 });
    const rows: string[] = [];
    for (let id = 1; id <= 60; id++) {
      rows.push(`cities upsert id=${id} name=${BIG}`);
      void client.table('cities').upsert({ id, name: BIG });
    }
    await clock.settle();
    expect(network.link.batches().flatMap(rowsOf)).toEqual(rows);
    network.link.drop();
    const link = await reconnected();
    link.welcome({ partitions: 4 });
    await clock.settle();
    const again = link.batches();
    expect(again.flatMap(rowsOf)).toEqual(rows);
    expect(new Set(again.map(({ partition }) => partition)).size).toBe(4);
  });

  test('everything above what is stored is sent again, byte for byte, and nothing else', async () => {
    const { client, clock, network, reconnected } = await openClient({ batchBytes: 100 }, ONE);
    for (let id = 1; id <= 5; id++) await client.table('cities').upsert({ id, name: BIG });
    await clock.settle();
    const sent = network.link.batches();
    network.link.applied(0, placeOf(sent[0]!));
    network.link.stored(0, placeOf(sent[1]!));
    network.link.drop();
    const link = await reconnected();
    expect(link.hello).toMatchObject({ token: 'a token', oldest: new Map([[0, 2]]), stream: client.status().stream });
    link.welcome({ ...ONE, stored: new Map([[0, placeOf(sent[2]!)]]) });
    await clock.settle();
    expect(hexOf(link.batches())).toEqual(hexOf(sent.slice(3)));
  });

  test('REWIND is followed, also below what was acknowledged as stored', async () => {
    const { client, clock, network, named } = await openClient({ batchBytes: 100 }, ONE);
    for (let id = 1; id <= 4; id++) await client.table('cities').upsert({ id, name: BIG });
    await clock.settle();
    const sent = network.link.batches();
    network.link.applied(0, placeOf(sent[0]!));
    network.link.stored(0, placeOf(sent[3]!));
    network.link.rewind(0, 2, 'the queue lost its tail');
    expect(hexOf(network.link.batches())).toEqual(hexOf(sent.slice(1)));
    expect(named('rewind')).toEqual([{ partition: 0, seq: 2, reason: 'the queue lost its tail' }]);
  });

  test('REWIND below what is held makes the client say HELLO again', async () => {
    const { client, clock, network, reconnected } = await openClient({ batchBytes: 100 }, ONE);
    for (let id = 1; id <= 2; id++) await client.table('cities').upsert({ id, name: BIG });
    await clock.settle();
    const sent = network.link.batches();
    network.link.applied(0, placeOf(sent[0]!));
    network.link.rewind(0, 1);
    expect(network.link.isClosed).toBe(true);
    const link = await reconnected();
    expect(link.hello!.oldest).toEqual(new Map([[0, 2]]));
    link.welcome({ ...ONE, stored: new Map([[0, placeOf(sent[0]!)]]) });
    await clock.settle();
    expect(hexOf(link.batches())).toEqual(hexOf(sent.slice(1)));
  });

  test('a dead server is noticed by its silence, after a PING', async () => {
    const { clock, network, named } = await openClient();
    await clock.advance(14_999);
    expect(network.link.types()).toEqual([FRAME.ping]);
    network.link.send({ type: FRAME.pong });
    await clock.advance(24_999);
    expect(network.link.isClosed).toBe(false);
    await clock.advance(5001);
    expect(network.links[0]!.isClosed).toBe(true);
    expect(named('disconnected')).toHaveLength(1);
  });

  test('a frame whose length was damaged on the way, which swallows what follows, is not waited for', async () => {
    const { clock, network, named } = await openClient();
    const damaged = Buffer.from(encodeFrame({ type: FRAME.pong }));
    damaged.writeUInt32BE(60_000);
    network.link.sendBytes(damaged);
    for (let i = 0; i < 3; i++) {
      await clock.advance(10_000);
      network.links[0]!.send({ type: FRAME.pong });
    }
    await clock.advance(5_000);
    expect(network.links[0]!.isClosed).toBe(true);
    expect(named('disconnected')).toMatchObject([{ reason: expect.stringMatching(/bytes came in/) }]);
  });

  test('PING is answered with its payload', async () => {
    const { network } = await openClient();
    network.link.send({ type: FRAME.ping, payload: Buffer.from('are you there') });
    expect(network.link.frames.map(({ type, payload }) => [type, Buffer.from(payload).toString()])).toEqual([
      [FRAME.pong, 'are you there'],
    ]);
  });

  test('attempts come ever more seldom while the server is away', async () => {
    const { clock, network, named } = await openClient();
    network.refusal = 'nobody listens';
    network.link.drop();
    await clock.advance(60_000);
    const delays = (named('disconnected') as { retryInMs: number }[]).map((event) => event.retryInMs);
    expect(delays[0]).toBeLessThanOrEqual(50);
    expect(Math.max(...delays)).toBeGreaterThan(2500);
    expect(Math.max(...delays)).toBeLessThanOrEqual(5000);
    expect(delays.length).toBeLessThan(60);
  });

  test('a server that answers nothing to HELLO is left', async () => {
    const { clock, network } = await startClient();
    await clock.advance(10_000);
    expect(network.links[0]!.isClosed).toBe(true);
    await clock.advance(100);
    expect(network.links).toHaveLength(2);
  });

  test('after GOAWAY nothing new is sent, answers are awaited, and the next connection comes when it was asked for', async () => {
    const { client, clock, network } = await openClient({ batchBytes: 100 }, ONE);
    await client.table('cities').upsert({ id: 1, name: BIG });
    await clock.settle();
    const link = network.link;
    const sent = link.batches();
    link.goaway(2000);
    await client.table('cities').upsert({ id: 2, name: BIG });
    await clock.advance(100);
    expect(link.batches()).toEqual([]);
    expect(link.isClosed).toBe(false);
    link.stored(0, placeOf(sent[0]!));
    expect(link.types()).toEqual([FRAME.bye]);
    expect(link.isClosed).toBe(true);
    await clock.advance(1999);
    expect(network.links).toHaveLength(1);
    await clock.advance(1001);
    network.link.welcome({ ...ONE, stored: new Map([[0, placeOf(sent[0]!)]]) });
    await clock.settle();
    expect(network.link.batches().map((frame) => frame.seq)).toEqual([2]);
  });

  test('bytes that are no frames end the connection', async () => {
    const { clock, network, named } = await openClient();
    network.link.sendBytes(Buffer.alloc(64));
    await clock.settle();
    expect(network.links[0]!.isClosed).toBe(true);
    expect(named('disconnected')).toHaveLength(1);
  });
});

describe('being refused', () => {
  test('a takeover by another client of the stream stops this one', async () => {
    const { client, clock, network, named } = await openClient({}, ONE);
    await client.table('cities').upsert({ id: 1 });
    const flushed = client.flush();
    network.link.error('stream_taken_over');
    await expect(flushed).rejects.toMatchObject({ code: 'stream_taken_over' });
    await expect(client.table('cities').upsert({ id: 2 })).rejects.toMatchObject({ code: 'stream_taken_over' });
    await clock.advance(120_000);
    expect(network.links).toHaveLength(1);
    expect(named('error')).toMatchObject([{ code: 'stream_taken_over' }]);
    expect(client.status().failure).toMatchObject({ code: 'stream_taken_over' });
  });

  test('a takeover after a lost connection may come from that one, arriving late: it is tried once more', async () => {
    const { client, clock, network, reconnected } = await openClient({}, ONE);
    network.link.drop();
    const again = await reconnected();
    again.welcome(ONE);
    await clock.settle();
    again.error('stream_taken_over');
    const third = await reconnected(1_000);
    third.welcome(ONE);
    await clock.settle();
    expect(client.status()).toMatchObject({ connected: true, failure: undefined });
    third.error('stream_taken_over');
    await clock.advance(120_000);
    expect(network.links).toHaveLength(3);
    expect(client.status().failure).toMatchObject({ code: 'stream_taken_over' });
  });

  test('a token that is revoked later is an event, and is tried again seldom', async () => {
    const { clock, network, named, reconnected } = await openClient();
    network.link.drop();
    (await reconnected()).error('auth_failed');
    expect(named('error')).toMatchObject([{ code: 'auth_failed' }]);
    await clock.advance(29_000);
    expect(network.links).toHaveLength(2);
    (await reconnected(20_000)).welcome();
    expect(named('connected')).toHaveLength(2);
  });

  test('a frame of the wrong size is sent again at once, for it may have been damaged on the way; only then it is an event', async () => {
    const { client, clock, network, named, reconnected } = await openClient({}, ONE);
    await client.table('cities').upsert({ id: 1 });
    await clock.settle();
    const [frame] = network.link.batches();
    network.link.error('frame_too_large');
    const link = await reconnected(1000);
    link.welcome(ONE);
    await clock.settle();
    expect(hexOf(link.batches())).toEqual(hexOf([frame!]));
    expect(named('error')).toEqual([]);
    link.error('frame_too_large');
    expect(named('error')).toMatchObject([{ code: 'frame_too_large' }]);
    await clock.advance(29_000);
    expect(network.links).toHaveLength(2);
  });

  test('another producer than the one that was named stops the client', async () => {
    const { client, network } = await startClient({ producer: 'warehouse' });
    network.link.welcome();
    expect(client.status().failure).toMatchObject({ code: 'wrong_producer', message: expect.stringContaining('"shop"') as string });
  });

  test('another number of partitions is an error as long as something waits for the old one', async () => {
    const { client, clock, network, reconnected } = await openClient();
    network.link.drop();
    (await reconnected()).welcome({ partitions: 8 });
    expect(client.status().failure).toBeUndefined();
    await client.table('cities').upsert({ id: 1 });
    await clock.settle();
    network.link.drop();
    (await reconnected()).welcome({ partitions: 16 });
    expect(client.status().failure).toMatchObject({ code: 'queue_mismatch' });
  });

  test('a sink that lost applied changes stops the client by default', async () => {
    const { client, network, named } = await openClient({}, ONE);
    await client.table('cities').upsert({ id: 1 });
    const flushed = client.flush();
    network.link.error('sink_regressed');
    await expect(flushed).rejects.toMatchObject({ code: 'sink_regressed' });
    expect(named('regressed')).toHaveLength(1);
  });

  test('with onRegressed: new-stream, what is held goes on in a new stream', async () => {
    const { client, clock, network, named, reconnected } = await openClient({ onRegressed: 'new-stream', batchBytes: 100 }, ONE);
    await client.table('cities').upsert({ id: 1, name: BIG });
    await client.table('cities').upsert({ id: 2, name: BIG });
    await clock.settle();
    const old = network.link.batches();
    network.link.applied(0, placeOf(old[0]!));
    network.link.stored(0, placeOf(old[1]!));
    const stream = client.status().stream;
    network.link.error('sink_regressed');
    const link = await reconnected();
    expect(link.hello!.stream).not.toBe(stream);
    link.welcome(ONE);
    await clock.settle();
    expect(link.batches().map((frame) => [frame.seq, frame.prev, ...rowsOf(frame)])).toEqual([[1, 0, ...rowsOf(old[1]!)]]);
    expect(named('stream-started')).toHaveLength(1);
  });

  test('a stream that the sink lacked a part of is named until something of the next one is applied, and then with that', async () => {
    const { client, clock, network, reconnected } = await openClient({ onRegressed: 'new-stream' }, ONE);
    const regress = async (link: FakeLink) => {
      link.error('sink_regressed', new Map([[0, 1]]));
      (await reconnected(1_000)).welcome(ONE);
      // What is on its way may still arrive; then the old stream is opened once more.
      await clock.advance(3_000);
      const { stream } = client.status();
      if (network.link.hello!.stream === stream) network.link.welcome(ONE);
      return stream === client.status().stream ? network.link : reconnected(1_000);
    };
    const write = async (link: FakeLink, id: number) => {
      link.welcome(ONE);
      await client.table('cities').upsert({ id });
      await clock.settle();
      return placeOf(link.batches().at(-1)!);
    };
    expect(network.link.hello!.left).toBeUndefined();
    const first = client.status().stream;
    await client.table('cities').upsert({ id: 1 });
    await clock.settle();
    const second = await regress(network.link);
    expect(second.hello).toMatchObject({ stream: client.status().stream, left: [first] });
    const place = await write(second, 2);
    await clock.settle();
    second.drop();
    const again = await reconnected(1_000);
    expect(again.hello!.left).toEqual([first]);
    again.welcome({ ...ONE, stored: new Map([[0, place]]) });
    again.applied(0, place);
    again.drop();
    const proven = await reconnected(1_000);
    expect(proven.hello!.left).toBeUndefined();
    proven.welcome(ONE);
    const before = client.status().stream;
    expect((await regress(proven)).hello!.left).toEqual([before, first]);
  });

  test('a server hears of a new stream only when the spool has left the old one', async () => {
    const spool = new SurvivingSpool();
    const { clock, network, named, reconnected } = await openClient({ onRegressed: 'new-stream', spool }, ONE);
    const { stream } = network.link.hello!;
    spool.failure = new Error('the disk is full');
    network.link.error('sink_regressed');
    await clock.advance(20_000);
    expect(network.links.length).toBe(1);
    expect(named('held').length).toBeGreaterThan(0);
    expect(spool.reopen().restored).toMatchObject({ stream, left: [] });
    spool.failure = undefined;
    const link = await reconnected(10_000);
    expect(link.hello).toMatchObject({ left: [stream] });
    expect(spool.reopen().restored).toMatchObject({ stream: link.hello!.stream, left: [stream] });
  });

  test('what the server still has of a stream that its sink lacks a part of does not go into the new one', async () => {
    const { client, clock, network, reconnected } = await openClient({ onRegressed: 'new-stream', batchBytes: 100 }, ONE);
    for (const id of [1, 2, 3, 4]) await client.table('cities').upsert({ id, name: BIG });
    await clock.settle();
    const old = network.link.batches();
    network.link.applied(0, placeOf(old[1]!));
    network.link.stored(0, placeOf(old[3]!));
    const { stream } = client.status();
    network.link.error('sink_regressed', new Map([[0, 2]]));
    const again = await reconnected();
    expect(again.hello).toMatchObject({ stream, oldest: new Map([[0, 2]]) });
    again.welcome({ ...ONE, stored: new Map([[0, placeOf(old[3]!)]]) });
    again.credit(1000);
    again.rewind(0, 2);
    await clock.advance(3000);
    expect(again.batches()).toEqual([]);
    expect(client.status().stream).toBe(stream);
    // The queue still had the second and the third, and has lost the fourth.
    again.stored(0, placeOf(old[2]!));
    again.applied(0, placeOf(old[2]!));
    const link = await reconnected();
    expect(link.hello!.stream).not.toBe(stream);
    link.welcome(ONE);
    await clock.settle();
    expect(link.batches().map(rowsOf)).toEqual([rowsOf(old[3]!)]);
  });
});
