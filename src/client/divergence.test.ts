import { describe, expect, test } from 'vitest';
import { openClient, rowsOf, seededRandom, startClient, SurvivingSpool } from '../../test/support/client-world.ts';
import { type FakeLink, placeOf } from '../../test/support/fake-network.ts';
import type { Frame } from '../protocol/frame.ts';

/** All keys in one partition. */
const ONE = { partitions: 1 };
const BIG = 'x'.repeat(1000);

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

  test('what the server refused of the other content is not taken for a row of ours', async () => {
    const { client, clock, network, named } = await withThreeFrames();
    network.link.drop();
    await clock.advance(5000);
    network.link.welcome({ ...ONE, stored: new Map([[0, { seq: 2, crc: 0xbad }]]) });
    network.link.rejected(0, 2, { changes: [0] });
    expect(named('rejected')).toEqual([]);
    network.link.applied(0, { seq: 2, crc: 0xbad });
    expect(named('rejected')).toMatchObject([{ partition: 0, seq: 2, table: undefined, rows: [] }]);
    await clock.advance(5000);
    network.link.welcome(ONE);
    await clock.settle();
    const [frame] = network.link.batches();
    network.link.rejected(0, 1, { changes: [0] });
    expect(named('rejected')).toMatchObject([{}, { partition: 0, seq: 1, table: 'cities', rows: [{ row: { id: 1 } }] }]);
    network.link.applied(0, placeOf(frame!));
    expect(client.status()).toMatchObject({ appliedChanges: 0, pendingChanges: 2 });
  });

  test('what the server refused of ours is told with its row, before the agreeing APPLIED lets go of it', async () => {
    const { client, clock, network, named, sent } = await withThreeFrames();
    network.link.drop();
    await clock.advance(5000);
    network.link.welcome({ ...ONE, stored: new Map([[0, { seq: 3, crc: 0xbad }]]) });
    network.link.rejected(0, 1, { changes: [0] });
    network.link.rejected(0, 3, { changes: [0] });
    network.link.applied(0, placeOf(sent[1]!));
    expect(named('rejected')).toMatchObject([{ seq: 1, rows: [{ row: { id: 1 } }] }]);
    expect(client.status()).toMatchObject({ appliedChanges: 1, rejectedChanges: 1, pendingChanges: 1 });
    network.link.applied(0, { seq: 3, crc: 0xbad });
    expect(named('rejected')).toMatchObject([{ seq: 1 }, { seq: 3, rows: [] }]);
  });

  test('what an agreeing APPLIED covers is not sent again', async () => {
    const { client, clock, network, reconnected, sent } = await withThreeFrames();
    network.link.drop();
    await clock.advance(5000);
    const link = network.link;
    link.welcome({
      ...ONE,
      stored: new Map([
        [0, placeOf(sent[2]!)],
        [3, { seq: 9, crc: 1 }],
      ]),
    });
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
