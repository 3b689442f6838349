import { describe, expect, test } from 'vitest';
import { openClient, rowsOf } from '../../test/support/client-world.ts';
import { type FakeLink, placeOf, WELCOME } from '../../test/support/fake-network.ts';

/** All keys in one partition. */
const ONE = { partitions: 1 };
const BIG = 'x'.repeat(1000);

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
    expect(new Set(batches.map((frame) => frame.partition))).toEqual(new Set([0, 1, 2, 3]));
    expect(batches.map((frame) => frame.seq)).toEqual([1, 1, 1, 1]);
    expect(batches.flatMap(rowsOf)).toHaveLength(40);
  });

  test('changes of tables that depend on other partitions share no batch with those of another table or operation', async () => {
    const tables = new Map([
      ['parents', { key: ['id'], dependent: true as const }],
      ['cities', { key: ['id'] }],
      ['lands', { key: ['id'] }],
    ]);
    const { client, clock, network } = await openClient({ lingerMs: 60_000 }, { ...ONE, tables });
    const [parents, cities, lands] = [client.table('parents'), client.table('cities'), client.table('lands')];
    await parents.insert({ id: 1 });
    await parents.insert({ id: 2 });
    await parents.delete(3);
    await cities.upsert({ id: 4 });
    await lands.upsert({ id: 5 });
    await cities.delete(6);
    await clock.settle();
    expect(network.link.batches().map(rowsOf)).toEqual([
      ['parents insert id=1', 'parents insert id=2'],
      ['parents delete id=3'],
      ['cities upsert id=4', 'lands upsert id=5', 'cities delete id=6'],
    ]);
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
    await expect(client.batch(changes)).rejects.toThrow(
      /must stay in one partition: change 0 \(table "cities"\) belongs in partition \d, change \d+ .*partitionBy/,
    );
    await clock.settle();
    expect(network.link.batches()).toEqual([]);
  });

  test('a row beyond the frame limit is refused when it is written, and what was written before stays', async () => {
    const { client, clock, network } = await openClient({}, ONE);
    const cities = client.table('cities');
    await cities.upsert({ id: 1 });
    await expect(cities.upsert({ id: 2, name: 'x'.repeat(70_000) })).rejects.toMatchObject({ code: 'frame_too_large' });
    await expect(client.batch([1, 2].map((id) => cities.change.upsert({ id, name: 'x'.repeat(40_000) })))).rejects.toMatchObject({
      code: 'frame_too_large',
    });
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
    await expect(client.batch([cities.change.upsert({ id: 1 }), cities.change.upsert({ id: 2, name: '\ud800' })])).rejects.toThrow(
      /column "name"/,
    );
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
