import { describe, expect, test } from 'vitest';
import { openClient, rowsOf, startClient, SurvivingSpool } from '../../test/support/client-world.ts';
import { type FakeLink, placeOf } from '../../test/support/fake-network.ts';
import { FRAME, type Frame } from '../protocol/frame.ts';
import type { Rejection } from './client.ts';

/** All keys in one partition. */
const ONE = { partitions: 1 };
const BIG = 'x'.repeat(1000);

function hexOf(frames: readonly Frame[]): string[] {
  return frames.map((frame) => Buffer.from(frame.bytes).toString('hex'));
}

/** Applies everything that came. */
function applyAll(link: FakeLink): void {
  for (const frame of link.batches()) link.applied(frame.partition, placeOf(frame));
}

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

test('what WELCOME says is stored counts as stored: the STORED of a connection may be lost with it', async () => {
  const { client, clock, network, reconnected } = await openClient({}, ONE);
  await client.table('cities').upsert({ id: 1 });
  let isStored = false;
  void client.flush({ until: 'stored' }).then(() => (isStored = true));
  await clock.settle();
  const [frame] = network.link.batches();
  network.link.drop();
  const link = await reconnected();
  link.welcome({ ...ONE, stored: new Map([[0, placeOf(frame!)]]) });
  await clock.settle();
  expect(isStored).toBe(true);
});
