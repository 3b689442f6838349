import { describe, expect, test } from 'vitest';
import { rowsOf, startClient, openClient, seededRandom, SurvivingSpool } from '../../test/support/client-world.ts';
import { type FakeLink, placeOf, WELCOME } from '../../test/support/fake-network.ts';
import { FRAME, type Frame } from '../protocol/frame.ts';
import type { Rejection } from './client.ts';

/** Cities 1, 2, 3 … in partition 0 only. */
const ONE = { partitions: 1 };
const BIG = 'x'.repeat(1000);

function hexOf(frames: readonly Frame[]): string[] {
  return frames.map((frame) => Buffer.from(frame.bytes).toString('hex'));
}

/** Applies everything that came. */
function applyAll(link: FakeLink): void {
  for (const frame of link.batches()) link.applied(frame.partition, placeOf(frame));
}

describe('making batches', () => {
  test('changes that are written in one turn share a frame when nothing is under way', async () => {
    const { client, clock, network } = await openClient({}, ONE);
    const cities = client.table('cities');
    await cities.upsert({ id: 1, name: 'Oslo' });
    await cities.upsert({ name: 'Rome', id: 2 });
    await cities.delete(3);
    await clock.settle();
    const batches = network.link.batches();
    expect(batches.map(rowsOf)).toEqual([['cities upsert id=1 name=Oslo', 'cities upsert id=2 name=Rome', 'cities delete id=3']]);
    expect(batches[0]).toMatchObject({ partition: 0, seq: 1, prev: 0 });
  });

  test('while frames are under way, changes wait for others as long as they may linger', async () => {
    const { client, clock, network } = await openClient({ lingerMs: 20 }, ONE);
    const cities = client.table('cities');
    await cities.upsert({ id: 1 });
    await clock.settle();
    await cities.upsert({ id: 2 });
    await clock.advance(10);
    await cities.upsert({ id: 3 });
    await clock.advance(9);
    expect(network.link.batches().map(rowsOf)).toEqual([['cities upsert id=1']]);
    await clock.advance(1);
    expect(network.link.batches().map(rowsOf)).toEqual([['cities upsert id=2', 'cities upsert id=3']]);
  });

  test('lingering ends when everything that was sent is stored', async () => {
    const { client, clock, network } = await openClient({ lingerMs: 60_000 }, ONE);
    await client.table('cities').upsert({ id: 1 });
    await clock.settle();
    await client.table('cities').upsert({ id: 2 });
    const [first] = network.link.batches();
    network.link.stored(0, placeOf(first!));
    await clock.settle();
    expect(network.link.batches().map(rowsOf)).toEqual([['cities upsert id=2']]);
  });

  test('a batch is closed when it reaches its size, and names the one before', async () => {
    const { client, clock, network } = await openClient({ batchBytes: 2000, lingerMs: 60_000 }, ONE);
    for (let id = 1; id <= 4; id++) await client.table('cities').upsert({ id, name: BIG });
    await clock.settle();
    const batches = network.link.batches();
    expect(batches.map((frame) => rowsOf(frame).length)).toEqual([2, 2]);
    expect(batches[1]).toMatchObject({ seq: 2, prev: batches[0]!.crc });
  });

  test('rows go to the partition of their key, each with a sequence of its own', async () => {
    const { client, clock, network } = await openClient();
    for (let id = 0; id < 40; id++) await client.table('cities').upsert({ id });
    await clock.settle();
    const batches = network.link.batches();
    expect(batches.map((frame) => frame.partition).sort()).toEqual([0, 1, 2, 3]);
    expect(batches.every((frame) => frame.seq === 1)).toBe(true);
    expect(batches.flatMap(rowsOf)).toHaveLength(40);
  });

  test('an atomic batch is never divided', async () => {
    const { client, clock, network } = await openClient({ batchBytes: 3000, lingerMs: 60_000 }, ONE);
    const cities = client.table('cities');
    await cities.upsert({ id: 1, name: BIG });
    await cities.upsert({ id: 2, name: BIG });
    await client.batch([3, 4, 5, 6].map((id) => cities.change.upsert({ id, name: BIG })));
    await clock.settle();
    expect(network.link.batches().map((frame) => rowsOf(frame).length)).toEqual([2, 4]);
  });

  test('small atomic batches share a frame, because a frame is applied as a whole', async () => {
    const { client, clock, network } = await openClient();
    const [orders, lines] = [client.table('orders'), client.table('lines')];
    await client.batch([orders.change.insert({ id: 7 }), lines.change.insert({ order_id: 7, line: 1 })]);
    await client.batch([lines.change.update({ order_id: 7, line: 1, sku: 'a' }), lines.change.delete({ order_id: 7, line: 2 })]);
    await clock.settle();
    expect(network.link.batches().map(rowsOf)).toEqual([
      ['orders insert id=7', 'lines insert order_id=7 line=1', 'lines update order_id=7 line=1 sku=a', 'lines delete order_id=7 line=2'],
    ]);
  });

  test('an atomic batch over two partitions is refused, and says what helps', async () => {
    const { client, clock, network } = await openClient();
    const cities = client.table('cities');
    const changes = Array.from({ length: 20 }, (_, id) => cities.change.upsert({ id }));
    await expect(client.batch(changes)).rejects.toThrow(/must stay in one partition: change 0 \(table "cities"\) belongs in partition \d, change \d+ .*partitionBy/);
    await clock.settle();
    expect(network.link.batches()).toEqual([]);
  });

  test('a row beyond the frame limit is refused when it is written, and what was written before stays', async () => {
    const { client, clock, network } = await openClient({}, ONE);
    const cities = client.table('cities');
    await cities.upsert({ id: 1 });
    await expect(cities.upsert({ id: 2, name: 'x'.repeat(70_000) })).rejects.toMatchObject({ code: 'frame_too_large' });
    await expect(client.batch([1, 2].map((id) => cities.change.upsert({ id, name: 'x'.repeat(40_000) })))).rejects.toMatchObject({ code: 'frame_too_large' });
    await cities.upsert({ id: 3, name: 'x'.repeat(60_000) });
    await clock.settle();
    const batches = network.link.batches();
    expect(batches.flatMap(rowsOf).map((row) => row.slice(0, 18))).toEqual(['cities upsert id=1', 'cities upsert id=3']);
    expect(batches.every((frame) => frame.bytes.length <= WELCOME.maxFrameBytes)).toBe(true);
  });

  test('a row that cannot be sent leaves nothing behind', async () => {
    const { client, clock, network } = await openClient({}, ONE);
    const cities = client.table('cities');
    await expect(cities.upsert({ id: 1, name: Number.NaN })).rejects.toThrow(/column "name" of table "cities": NaN/);
    await expect(client.batch([cities.change.upsert({ id: 1 }), cities.change.upsert({ id: 2, name: '\ud800' })])).rejects.toThrow(/column "name"/);
    await cities.upsert({ id: 3 });
    await clock.settle();
    expect(network.link.batches().map(rowsOf)).toEqual([['cities upsert id=3']]);
  });
});

describe('credit', () => {
  test('no more is outstanding than the window allows', async () => {
    const { client, clock, network } = await openClient({ batchBytes: 1000 }, { ...ONE, creditBytes: 2500 });
    for (let id = 1; id <= 4; id++) await client.table('cities').upsert({ id, name: BIG });
    await clock.settle();
    const [first, second, ...more] = network.link.batches();
    expect(more).toEqual([]);
    expect(client.status().outstandingBytes).toBe(first!.bytes.length + second!.bytes.length);
    network.link.stored(0, placeOf(first!));
    await clock.settle();
    expect(network.link.batches().map((frame) => frame.seq)).toEqual([3]);
  });

  test('one frame of any size may go when nothing is outstanding', async () => {
    const { client, clock, network } = await openClient({ batchBytes: 1000 }, { ...ONE, creditBytes: 10 });
    for (let id = 1; id <= 2; id++) await client.table('cities').upsert({ id, name: BIG });
    await clock.settle();
    const [first, ...more] = network.link.batches();
    expect(more).toEqual([]);
    network.link.applied(0, placeOf(first!));
    await clock.settle();
    expect(network.link.batches().map((frame) => frame.seq)).toEqual([2]);
  });

  test('a window of 0 holds everything back, says why, and goes on when it opens', async () => {
    const { client, clock, network, named } = await openClient({}, ONE);
    network.link.credit(0, 'the queue is full');
    await client.table('cities').upsert({ id: 1 });
    await clock.advance(1000);
    expect(network.link.batches()).toEqual([]);
    expect(named('held')).toEqual([{ by: 'server', reason: 'the queue is full' }]);
    expect(client.status().held).toBe('the queue is full');
    network.link.credit(1000);
    await clock.settle();
    expect(network.link.batches()).toHaveLength(1);
    expect(named('resumed')).toEqual([{ by: 'server' }]);
    expect(client.status().held).toBeUndefined();
  });

  test('what REWIND asks for again does not count twice', async () => {
    const { client, clock, network } = await openClient({ batchBytes: 1000 }, { ...ONE, creditBytes: 2500 });
    for (let id = 1; id <= 4; id++) await client.table('cities').upsert({ id, name: BIG });
    await clock.settle();
    expect(network.link.batches().map((frame) => frame.seq)).toEqual([1, 2]);
    network.link.rewind(0, 1);
    await clock.settle();
    expect(network.link.batches().map((frame) => frame.seq)).toEqual([1, 2]);
    expect(client.status().outstandingBytes).toBeLessThan(2500);
  });

  test('frames wait while the connection has more than enough to send', async () => {
    const { client, clock, network } = await openClient({}, ONE);
    network.link.bufferedBytes = 1024 * 1024;
    await client.table('cities').upsert({ id: 1 });
    await clock.settle();
    expect(network.link.batches()).toEqual([]);
    network.link.drain();
    expect(network.link.batches()).toHaveLength(1);
  });
});

describe('losing and regaining the server', () => {
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

  test('PING is answered with its payload', async () => {
    const { network } = await openClient();
    network.link.send({ type: FRAME.ping, payload: Buffer.from('are you there') });
    expect(network.link.frames.map(({ type, payload }) => [type, Buffer.from(payload).toString()])).toEqual([[FRAME.pong, 'are you there']]);
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
    expect(delays.length).toBeLessThan(40);
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
});

describe('a stream that has diverged', () => {
  const stranger = { seq: 1, crc: 0xbad };

  async function withThreeFrames() {
    const world = await openClient({ batchBytes: 100 }, ONE);
    for (let id = 1; id <= 3; id++) await world.client.table('cities').upsert({ id, name: BIG });
    await world.clock.settle();
    return { ...world, sent: world.network.link.batches(), old: world.client.status().stream };
  }

  test('WELCOME with other content: nothing is sent until all that is stored is applied, then the rest goes on in a new stream', async () => {
    const { client, clock, network, named, reconnected, sent, old } = await withThreeFrames();
    network.link.applied(0, placeOf(sent[0]!));
    network.link.drop();
    await clock.advance(5000);
    const link = network.link;
    link.welcome({ ...ONE, stored: new Map([[0, { seq: 2, crc: 0xbad }]]) });
    await client.table('cities').upsert({ id: 4, name: BIG });
    await clock.advance(1000);
    link.applied(0, placeOf(sent[0]!));
    expect(link.batches()).toEqual([]);
    expect(link.isClosed).toBe(false);
    link.applied(0, { seq: 2, crc: 0xbad });
    expect(link.isClosed).toBe(true);
    const next = await reconnected();
    expect(next.hello!.stream).not.toBe(old);
    expect(next.hello!.oldest).toEqual(new Map([[0, 1]]));
    next.welcome(ONE);
    await clock.settle();
    expect(next.batches().map((frame) => [frame.seq, rowsOf(frame)[0]!.slice(0, 18)])).toEqual([
      [1, 'cities upsert id=2'],
      [2, 'cities upsert id=3'],
      [3, 'cities upsert id=4'],
    ]);
    expect(named('diverged')).toHaveLength(1);
    expect(named('stream-started')).toHaveLength(1);
  });

  test('what an agreeing APPLIED covers is not sent again', async () => {
    const { client, clock, network, reconnected, sent } = await withThreeFrames();
    network.link.drop();
    await clock.advance(5000);
    const link = network.link;
    link.welcome({ ...ONE, stored: new Map([[0, placeOf(sent[2]!)], [3, { seq: 9, crc: 1 }]]) });
    link.applied(0, placeOf(sent[2]!));
    expect(link.isClosed).toBe(false);
    link.applied(3, { seq: 9, crc: 1 });
    expect(link.isClosed).toBe(true);
    const flushed = client.flush();
    (await reconnected()).welcome(ONE);
    await clock.settle();
    expect(network.link.batches()).toEqual([]);
    expect(await flushed).toMatchObject({ applied: 3, pending: 0 });
  });

  test.each<[string, (link: FakeLink, sent: Frame[]) => void]>([
    ['STORED of other content', (link) => link.stored(0, stranger)],
    ['APPLIED of other content', (link) => link.applied(0, stranger)],
    ['STORED beyond what was assigned', (link) => link.stored(0, { seq: 4, crc: 1 })],
    ['APPLIED in a partition that was never used', (link) => link.applied(2, stranger)],
    ['REWIND beyond what was assigned', (link) => link.rewind(0, 5)],
    [
      'other content in place of a forgotten frame, told by the frame after it',
      (link, sent) => {
        link.applied(0, placeOf(sent[0]!));
        link.stored(0, stranger);
      },
    ],
  ])('%s', async (_, act) => {
    const { network, named, sent } = await withThreeFrames();
    act(network.link, sent);
    expect(named('diverged')).toHaveLength(1);
  });

  test('seq_content_mismatch leads to a new stream, though not before frames of the lost connection can no longer arrive', async () => {
    const { client, clock, network, named, old } = await withThreeFrames();
    network.link.error('seq_content_mismatch');
    await clock.advance(100);
    expect(network.link.hello!.stream).toBe(old);
    network.link.welcome(ONE);
    network.link.credit(1000);
    await clock.settle();
    expect(network.link.batches()).toEqual([]);
    expect(client.status().stream).toBe(old);
    await clock.advance(2000);
    network.link.welcome(ONE);
    network.link.credit(1000);
    await clock.advance(100);
    expect(client.status().stream).not.toBe(old);
    network.link.welcome(ONE);
    await clock.settle();
    expect(network.link.batches()).toHaveLength(3);
    expect(named('stream-started')).toHaveLength(1);
  });

  test('a copy of a spool that another process used further starts a stream of its own', async () => {
    const spool = new SurvivingSpool();
    const first = await openClient({ spool, batchBytes: 100 }, ONE);
    await first.client.table('cities').upsert({ id: 1, name: BIG });
    await first.clock.settle();
    const copy = spool.reopen();
    await first.client.table('cities').upsert({ id: 2, name: 'of the original' + BIG });
    await first.clock.settle();
    const sent = first.network.link.batches();

    const second = await startClient({ spool: copy, batchBytes: 100, random: seededRandom(12) });
    await second.client.table('cities').upsert({ id: 3, name: BIG });
    await second.clock.settle();
    const link = second.network.link;
    link.welcome({ ...ONE, stored: new Map([[0, placeOf(sent[1]!)]]) });
    await second.clock.settle();
    expect(link.batches()).toEqual([]);
    link.applied(0, placeOf(sent[0]!));
    link.applied(0, placeOf(sent[1]!));
    (await second.reconnected()).welcome(ONE);
    await second.clock.settle();
    expect(second.network.link.hello!.stream).not.toBe(first.client.status().stream);
    expect(second.network.link.batches().map((frame) => rowsOf(frame)[0]!.slice(0, 18))).toEqual(['cities upsert id=3']);
  });
});

describe('rejected changes', () => {
  test('are reported with their rows, before flush resolves, and are counted apart', async () => {
    const { client, clock, network, named } = await openClient({}, ONE);
    for (let id = 1; id <= 3; id++) await client.table('cities').insert({ id, name: `city ${id}` });
    const flushed = client.flush();
    await clock.settle();
    const [frame] = network.link.batches();
    network.link.rejected(0, 1, { code: 'duplicate_key', message: 'a row with this key exists', changes: [1] });
    network.link.applied(0, placeOf(frame!));
    const summary = await flushed;
    const rejection: Rejection = {
      sink: 'main',
      code: 'duplicate_key',
      message: 'a row with this key exists',
      partition: 0,
      seq: 1,
      changes: [1],
      table: 'cities',
      rows: [{ table: 'cities', op: 'insert', row: { id: 2, name: 'city 2' } }],
    };
    expect(named('rejected')).toEqual([rejection]);
    expect(summary).toEqual({ applied: 2, rejected: 1, rejections: [rejection], pending: 0 });
    expect(await client.flush()).toEqual({ applied: 0, rejected: 0, rejections: [], pending: 0 });
  });

  test('are reported once, though the server repeats them after a reconnect', async () => {
    const { client, clock, network, named, reconnected } = await openClient({}, ONE);
    await client.table('cities').insert({ id: 1 });
    await clock.settle();
    const [frame] = network.link.batches();
    network.link.rejected(0, 1);
    network.link.drop();
    const link = await reconnected();
    link.welcome({ ...ONE, stored: new Map([[0, placeOf(frame!)]]) });
    link.rejected(0, 1);
    link.applied(0, placeOf(frame!));
    expect(named('rejected')).toHaveLength(1);
    expect(client.status()).toMatchObject({ appliedChanges: 0, rejectedChanges: 1, pendingChanges: 0 });
  });

  test('can be a whole batch', async () => {
    const { client, clock, network, named } = await openClient({}, ONE);
    for (let id = 1; id <= 3; id++) await client.table('cities').upsert({ id });
    await clock.settle();
    network.link.rejected(0, 1, { code: 'malformed_payload', changes: [] });
    expect(named('rejected')).toMatchObject([{ changes: [0, 1, 2], rows: [{ row: { id: 1 } }, { row: { id: 2 } }, { row: { id: 3 } }] }]);
  });
});

describe('backpressure', () => {
  test('writes wait while the buffer is full, in their order', async () => {
    const { client, clock, network } = await openClient({ bufferBytes: 2000, batchBytes: 100 }, ONE);
    const cities = client.table('cities');
    const done: number[] = [];
    for (let id = 1; id <= 4; id++) void cities.upsert({ id, name: BIG }).then(() => done.push(id));
    await clock.settle();
    expect(done).toEqual([1, 2]);
    expect(client.status().waitingWrites).toBe(2);
    const [first] = network.link.batches();
    network.link.stored(0, placeOf(first!));
    await clock.settle();
    expect(done).toEqual([1, 2]);
    network.link.applied(0, placeOf(first!));
    await clock.settle();
    expect(done).toEqual([1, 2, 3]);
  });

  test('a waiting write is checked when it is called and keeps its bytes as they were', async () => {
    const { client, clock, network } = await openClient({ bufferBytes: 500, batchBytes: 100 }, ONE);
    const cities = client.table('cities');
    await cities.upsert({ id: 1, name: BIG });
    await expect(cities.upsert({ id: 2, name: Number.NaN })).rejects.toThrow(/NaN/);
    const bytes = Uint8Array.of(1, 2, 3);
    const waiting = cities.upsert({ id: 3, name: bytes });
    bytes.fill(9);
    await clock.settle();
    applyAll(network.link);
    await waiting;
    await clock.settle();
    expect(network.link.batches().map(rowsOf)).toEqual([['cities upsert id=3 name=1,2,3']]);
  });

  test('flush includes writes that wait', async () => {
    const { client, clock, network } = await openClient({ bufferBytes: 500, batchBytes: 100 }, ONE);
    for (let id = 1; id <= 5; id++) void client.table('cities').upsert({ id, name: BIG });
    let summary: unknown;
    void client.flush().then((result) => (summary = result));
    for (let i = 0; i < 5; i++) {
      expect(summary).toBeUndefined();
      await clock.advance(10);
      applyAll(network.link);
      await clock.settle();
    }
    expect(summary).toMatchObject({ applied: 5, pending: 0 });
  });
});

describe('flush and close', () => {
  test('flush waits for the level that it is asked for', async () => {
    const { client, clock, network } = await openClient({}, ONE);
    await client.table('cities').upsert({ id: 1 });
    const done: string[] = [];
    for (const until of ['spooled', 'stored', 'applied'] as const) void client.flush({ until }).then(() => done.push(until));
    await clock.settle();
    expect(done).toEqual(['spooled']);
    const [frame] = network.link.batches();
    network.link.stored(0, placeOf(frame!));
    await clock.settle();
    expect(done).toEqual(['spooled', 'stored']);
    network.link.applied(0, placeOf(frame!));
    await clock.settle();
    expect(done).toEqual(['spooled', 'stored', 'applied']);
  });

  test('flush does not wait for what is written after it', async () => {
    const { client, clock, network } = await openClient({}, ONE);
    await client.table('cities').upsert({ id: 1 });
    const flushed = client.flush();
    await clock.settle();
    await client.table('cities').upsert({ id: 2 });
    applyAll(network.link);
    expect(await flushed).toMatchObject({ applied: 1, pending: 1 });
  });

  test('flush can be given up, and the changes stay', async () => {
    const { client, clock, network } = await openClient({}, ONE);
    await client.table('cities').upsert({ id: 1 });
    const giveUp = new AbortController();
    const flushed = client.flush({ signal: giveUp.signal });
    await clock.settle();
    giveUp.abort(new Error('no patience'));
    await expect(flushed).rejects.toThrow('no patience');
    expect(network.link.batches()).toHaveLength(1);
    expect(client.status().pendingChanges).toBe(1);
  });

  test('close flushes, says BYE, leaves no timer, and refuses what comes later', async () => {
    const { client, clock, network } = await openClient({}, ONE);
    await client.table('cities').upsert({ id: 1 });
    const closed = client.close();
    await expect(client.table('cities').upsert({ id: 2 })).rejects.toMatchObject({ code: 'client_closed' });
    await clock.settle();
    const link = network.link;
    applyAll(link);
    expect(await closed).toMatchObject({ applied: 1, pending: 0 });
    expect(link.types()).toEqual([FRAME.bye]);
    await clock.settle();
    expect(clock.timerCount).toBe(0);
  });

  test('close without flush leaves at once and says what is left behind', async () => {
    const { client, clock, network } = await openClient({ lingerMs: 1000 }, ONE);
    await client.table('cities').upsert({ id: 1 });
    expect(await client.close({ flush: false })).toMatchObject({ pending: 1 });
    await clock.settle();
    expect(network.link.isClosed).toBe(true);
    expect(clock.timerCount).toBe(0);
  });

  test('close while the server is away can be given up', async () => {
    const { client, clock, network } = await openClient({}, ONE);
    network.refusal = 'nobody listens';
    network.link.drop();
    await client.table('cities').upsert({ id: 1 });
    const giveUp = new AbortController();
    const closed = client.close({ signal: giveUp.signal });
    await clock.advance(30_000);
    giveUp.abort(new Error('no patience'));
    await expect(closed).rejects.toThrow('no patience');
    await clock.settle();
    expect(clock.timerCount).toBe(0);
  });
});

describe('the spool', () => {
  test('a frame is not sent before it is durable', async () => {
    const spool = new SurvivingSpool();
    const { client, clock, network, named } = await openClient({ spool, lingerMs: 0 }, ONE);
    spool.failure = new Error('no space left');
    await client.table('cities').upsert({ id: 1 });
    await clock.advance(1000);
    expect(network.link.batches()).toEqual([]);
    expect(named('held').slice(0, 1)).toEqual([{ by: 'spool', reason: 'no space left' }]);
    spool.failure = undefined;
    await clock.advance(6000);
    expect(network.link.batches().map(rowsOf)).toEqual([['cities upsert id=1']]);
    expect(named('resumed')).toEqual([{ by: 'spool' }]);
  });

  test('what a killed process left goes out again, byte for byte, in the same stream', async () => {
    const spool = new SurvivingSpool();
    const first = await openClient({ spool, batchBytes: 100 });
    for (let id = 1; id <= 20; id++) await first.client.table('cities').upsert({ id, name: BIG });
    await first.clock.settle();
    const sent = first.network.link.batches();
    const done = sent.filter((frame) => frame.partition === 2)[0]!;
    first.network.link.applied(2, placeOf(done));

    const second = await startClient({ spool: spool.reopen(), batchBytes: 100 });
    const link = second.network.link;
    expect(link.hello!.stream).toBe(first.client.status().stream);
    expect(link.hello!.oldest.get(2)).toBe(2);
    link.welcome({ stored: new Map([[2, placeOf(done)]]) });
    await second.client.table('cities').upsert({ id: 21, name: BIG });
    await second.clock.settle();
    const again = link.batches();
    expect(hexOf(again.slice(0, 19)).sort()).toEqual(hexOf(sent.filter((frame) => frame !== done)).sort());
    expect(rowsOf(again[19]!)[0]).toContain('id=21');
    expect(second.client.status()).toMatchObject({ pendingChanges: 20, appliedChanges: 0 });
  });

  test('a program whose server is away can write at once when it knew the server before', async () => {
    const spool = new SurvivingSpool();
    await openClient({ spool });
    const second = await startClient({ spool: spool.reopen() });
    await second.client.table('cities').upsert({ id: 1 });
    await second.client.flush({ until: 'spooled' });
    expect(second.client.status().pendingChanges).toBe(1);
  });

  test('without a spool, writes before the first WELCOME wait for it', async () => {
    const { client, clock, network } = await startClient();
    const written = client.table('cities').upsert({ id: 1 });
    const bad = client.table('towns').upsert({ id: 1 });
    bad.catch(() => {});
    await clock.settle();
    network.link.welcome(ONE);
    await written;
    await expect(bad).rejects.toThrow(/table "towns" is not known to the server; name its key/);
    await clock.settle();
    expect(network.link.batches().map(rowsOf)).toEqual([['cities upsert id=1']]);
  });
});
