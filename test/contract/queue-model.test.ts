import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { SyncError } from '../../src/core/errors.ts';
import { systemRandom } from '../../src/core/random.ts';
import { START, type Place } from '../../src/core/stream.ts';
import { createMemoryQueue } from '../../src/queue/memory.ts';
import type { Element, Queue, QueueReader } from '../../src/queue/queue.ts';
import { queueSubjects } from './queue-subjects.ts';
import { A, ALL, B, C, crcAt, entry, lease, SETTINGS } from './queue.contract.ts';

interface Placed {
  stream: string;
  seq: number;
  salt: number;
}

/** One call, described so that it means the same to every queue. */
type Step =
  | { type: 'append'; partition: number; entries: { stream: string; step: number; salt: number; producer: string }[] }
  | { type: 'raise'; partition: number; floors: { stream: string; step: number; salt: number; producer: string }[] }
  | { type: 'trim'; partition: number; token: string; count: number; lastOf: number; resets: Placed[] }
  | { type: 'heal'; partition: number; token: string; watermarks: Placed[] }
  | { type: 'acquire'; partition: number; token: string; how: 'steal' | 'take' | 'wait' }
  | { type: 'release'; partition: number; token: string }
  | { type: 'forget'; partition: number; stream: string };

const stream = fc.constantFrom(A, B, C);
const partition = fc.constantFrom(0, 1);
// Mostly right, so that sequences get somewhere.
const salt = fc.constantFrom(0, 0, 0, 1);
const producer = fc.constantFrom('shop', 'shop', 'shop', 'shop', 'other');
const token = fc.constantFrom('1', '1', '1', '2');
const placed: fc.Arbitrary<Placed> = fc.record({ stream, seq: fc.nat(6), salt: fc.constantFrom(0, 1) });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      type: fc.constant('append'),
      partition,
      entries: fc.array(fc.record({ stream, step: fc.constantFrom(1, 1, 1, 0, 2, -1), salt, producer }), { maxLength: 6 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant('raise'),
      partition,
      floors: fc.array(fc.record({ stream, step: fc.integer({ min: -2, max: 3 }), salt, producer }), { maxLength: 3 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant('trim'),
      partition,
      token,
      count: fc.integer({ min: 1, max: 5 }),
      lastOf: fc.constantFrom(0, 0, 0, 0, 1),
      resets: fc.uniqueArray(placed, { maxLength: 2, selector: (reset) => reset.stream }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('heal'), partition, token, watermarks: fc.array(placed, { maxLength: 3 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant('acquire'),
      partition,
      token,
      how: fc.constantFrom('steal' as const, 'take' as const, 'wait' as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('release'), partition, token }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('forget'), partition, stream }) },
);

const LEASES: readonly Step[] = [0, 1].map((at) => ({ type: 'acquire', partition: at, token: '1', how: 'wait' }));
/** An embedded queue takes some 100 ms to open and close, and shares its rules with the model. */
const RUNS: Readonly<Record<string, number>> = { embedded: 30, redis: 150, 'redis under sentinel': 30, 'redis cluster': 30 };

for (const subject of queueSubjects().filter(({ name }) => name !== 'memory')) {
  describe.skipIf(subject.skip !== undefined)(`${subject.name}, against the memory queue`, () => {
    beforeAll(() => subject.start());
    afterAll(() => subject.stop());

    test('any sequence of calls has the same results and leaves the same', async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
          const opened = await subject.open(SETTINGS);
          const model = createMemoryQueue(SETTINGS, { clock: systemClock, random: systemRandom });
          try {
            for (const one of [...LEASES, ...steps]) {
              const wanted = await run(model, model, one);
              expect(await run(opened.queue, opened.reader, one), JSON.stringify(one)).toEqual(wanted);
              expect(await view(opened.queue, opened.reader)).toEqual(await view(model, model));
            }
          } finally {
            await opened.close();
          }
        }),
        { numRuns: RUNS[subject.name] as number },
      );
    });
  });
}

async function run(queue: Queue, reader: QueueReader, one: Step): Promise<unknown> {
  switch (one.type) {
    case 'append': {
      // Seqs count from what is recorded, so that most frames follow.
      const recorded = await queue.streams(one.partition);
      const next = new Map<string, number>();
      const entries = one.entries.map(({ stream: id, step: by, salt: salted, producer: name }) => {
        const seq = Math.max(1, (next.get(id) ?? recorded.get(id)?.seq ?? 0) + by);
        next.set(id, seq);
        return entry(id, seq, { prev: crcAt(seq - 1, salted), producer: name });
      });
      return queue.append(one.partition, entries);
    }
    case 'raise': {
      // Of one partition: when another producer owns one stream, it depends on the queue whether those of others were raised.
      const recorded = await queue.streams(one.partition);
      const floors = one.floors.map(({ stream: id, step: by, salt: salted, producer: name }) => {
        const seq = Math.max(0, (recorded.get(id)?.seq ?? 0) + by);
        return { partition: one.partition, stream: id, producer: name, place: seq === 0 ? START : { seq, crc: crcAt(seq, salted) } };
      });
      return outcome(queue.raise(floors));
    }
    case 'trim': {
      const elements = await reader.fetch('main', one.partition, ALL);
      const last = elements[one.count - 1 + one.lastOf]?.identity ?? new Uint8Array(24);
      return queue.trim(
        lease(one.partition, one.token),
        one.count,
        last,
        one.resets.map((reset) => ({ stream: reset.stream, place: placeOf(reset) })),
      );
    }
    case 'heal':
      return (
        await queue.heal(
          lease(one.partition, one.token),
          new Map(one.watermarks.map((watermark) => [watermark.stream, placeOf(watermark)])),
        )
      ).sort();
    case 'acquire':
      return {
        ...(await queue.acquire(lease(one.partition, one.token), `node ${one.token}`, 600_000, one.how)),
        leftMs: undefined,
      };
    case 'release':
      return [
        await queue.release([lease(one.partition, one.token)]),
        await queue.renew([lease(0), lease(1), lease(0, '2'), lease(1, '2')], 600_000),
      ];
    case 'forget':
      return queue.forget(one.partition, [one.stream]);
  }
}

function placeOf({ seq, salt: salted }: Placed): Place {
  return seq === 0 ? START : { seq, crc: crcAt(seq, salted) };
}

/** Everything that can be seen of a queue, without what is random or the time. */
async function view(queue: Queue, reader: QueueReader): Promise<unknown> {
  const plain = ({ kind, stream: id, producer: name, ordinal, frame }: Element) => ({ kind, id, name, ordinal, frame: String(frame) });
  return {
    lists: [(await reader.fetch('main', 0, ALL)).map(plain), (await reader.fetch('main', 1, { elements: 3, bytes: 120 })).map(plain)],
    streams: [sorted(await queue.streams(0)), sorted(await queue.streams(1))],
    counts: (await queue.backlog('main')).map(({ count }) => count),
  };
}

function sorted(places: ReadonlyMap<string, unknown>): unknown {
  return [...places].sort(([one], [other]) => (one < other ? -1 : 1));
}

async function outcome(promise: Promise<unknown>): Promise<unknown> {
  return promise.catch((error: unknown) => {
    if (error instanceof SyncError) return error.code;
    throw error;
  });
}
