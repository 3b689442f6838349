import { expect, test } from 'vitest';
import { seededRandom } from '../../test/support/client-world.ts';
import { FakeNetwork, placeOf, WELCOME } from '../../test/support/fake-network.ts';
import { VirtualClock } from '../../test/support/virtual-clock.ts';
import { kindOfStream, newStreamId, REQUEST_STREAM_TAG, START } from '../core/stream.ts';
import { decodeBatch } from '../protocol/batch.ts';
import { createMemorySpool } from './memory-spool.ts';
import { encodeFacts, factsOf } from './server-facts.ts';
import { Client, type ClientSettings } from './sync-client.ts';

/** What a server does for a request that may come again: a client whose stream and batches follow from what it is given. */
const STREAM = `${REQUEST_STREAM_TAG}${'0'.repeat(24)}`;
const ONE = { partitions: 1 };
const BIG = 'x'.repeat(400);

function requestClient(settings: Partial<ClientSettings> = {}) {
  const clock = new VirtualClock();
  const network = new FakeNetwork();
  const note = encodeFacts(factsOf({ ...WELCOME, ...ONE }));
  const spool = createMemorySpool({ stream: STREAM, assigned: new Map([[0, START]]), held: [], left: [], note });
  const client = new Client(
    { clock, random: seededRandom(3), dialer: network.dialer, spool },
    {
      ...{ token: '', producer: undefined, agent: 'test', bufferBytes: 1e9, batchBytes: 1000, lingerMs: 5 },
      ...{ onRegressed: 'stop', onDiverged: 'stop', cut: 'by size', origin: 'digest', numbered: true },
      ...settings,
    },
  );
  return { clock, network, client };
}

test('the same changes make the same frames, however long they take to come, and each names its origin', async () => {
  const made = [];
  for (const pauseMs of [0, 1000]) {
    const { clock, network, client } = requestClient();
    for (let id = 1; id <= 5; id++) {
      await client.table('cities').upsert({ id, name: BIG });
      await clock.advance(pauseMs);
    }
    client.start();
    await clock.settle();
    network.link.welcome(ONE);
    const flushed = client.flush({ until: 'stored' });
    await clock.settle();
    const frames = network.link.batches();
    made.push(frames.map(({ bytes }) => Buffer.from(bytes).toString('hex')));
    expect(frames.map(({ payload }) => decodeBatch(payload).origin)).toEqual(['digest', 'digest']);
    expect(network.link.hello).toMatchObject({ stream: STREAM, oldest: new Map([[0, 1]]) });
    network.link.stored(0, placeOf(frames[1]!));
    await flushed;
  }
  expect(made[0]).toEqual(made[1]);
});

test('other content under its numbers ends it, and nothing goes on in a new stream', async () => {
  const { clock, network, client } = requestClient();
  await client.table('cities').upsert({ id: 1, name: 'Oslo' });
  client.start();
  await clock.settle();
  const flushed = client.flush({ until: 'applied' });
  network.link.welcome({ ...ONE, stored: new Map([[0, { seq: 1, crc: 0xbad }]]) });
  network.link.applied(0, { seq: 1, crc: 0xbad });
  await expect(flushed).rejects.toMatchObject({ code: 'seq_content_mismatch' });
  await clock.advance(60_000);
  expect(network.links.map((link) => link.batches())).toEqual([[]]);
  await client.close({ flush: false });
});

test('a rejection names the places of its changes among all that were taken', async () => {
  const { clock, network, client } = requestClient();
  const rejections: unknown[] = [];
  client.on('rejected', ({ numbers }) => void rejections.push(numbers));
  for (let id = 1; id <= 5; id++) void client.take(client.table('cities').change.upsert({ id, name: BIG }));
  expect(() => client.take(client.table('cities').change.upsert({ name: 'no key' }))).toThrow('has no column "id"');
  expect(() => client.check(client.table('cities').change.upsert({ id: 6, name: '\ud800' }))).toThrow('column "name"');
  client.start();
  await clock.settle();
  network.link.welcome(ONE);
  void client.flush({ until: 'stored' });
  await clock.settle();
  const [first, second] = network.link.batches();
  network.link.rejected(0, second!.seq, { changes: [0, 1] });
  network.link.applied(0, placeOf(second!));
  expect([first!, second!].map(({ payload }) => decodeBatch(payload).groups[0]!.rows.length)).toEqual([3, 2]);
  expect(rejections).toEqual([[3, 4]]);
});

test('no stream of the network has an id that is kept for requests', () => {
  const drawn = [STREAM, 'ab'.repeat(16)];
  const fill = (target: Uint8Array) => {
    target.set(Buffer.from(drawn.shift()!, 'hex'));
  };
  expect(kindOfStream(STREAM)).toBe('request');
  expect(newStreamId({ fill, fraction: () => 0 })).toBe('ab'.repeat(16));
});
