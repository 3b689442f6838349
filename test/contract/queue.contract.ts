import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { SyncError, type ErrorCode } from '../../src/core/errors.ts';
import type { Lease } from '../../src/core/lease.ts';
import { START, type Place } from '../../src/core/stream.ts';
import type { AppendEntry, Element, Queue, QueueReader, QueueSettings } from '../../src/queue/queue.ts';
import { eventually } from '../support/eventually.ts';

/** One kind of queue under test. */
export interface QueueSubject {
  readonly name: string;
  /** Why it cannot run here. */
  readonly skip?: string | undefined;
  /** Whether what it holds is there again after {@link OpenedQueue.reopen}. */
  readonly durable: boolean;
  /** Whether bytes in the backlog are exact. */
  readonly exactBytes: boolean;
  start(): Promise<void>;
  stop(): Promise<void>;
  /** An empty queue. */
  open(settings: QueueSettings): Promise<OpenedQueue>;
}

export interface OpenedQueue {
  readonly queue: Queue;
  readonly reader: QueueReader;
  /** Closes the queue, kills and starts what is behind it, and opens it again, with other settings if given. */
  reopen(settings?: QueueSettings): Promise<Queue>;
  close(): Promise<void>;
}

export const SETTINGS: QueueSettings = { partitions: 4, sinks: [{ name: 'main', required: true }], mapping: 'digest' };
export const A = 'a'.repeat(32);
export const B = 'b'.repeat(32);
export const C = 'c'.repeat(32);
export const ALL = { elements: 10_000, bytes: 1e9 };

/** The crc that the frame at `seq` of a stream has in these tests. */
export function crcAt(seq: number, salt = 0): number {
  return seq === 0 ? 0 : (seq * 2654435761 + salt) >>> 0;
}

export function placeAt(seq: number): Place {
  return { seq, crc: crcAt(seq) };
}

export function entry(stream: string, seq: number, options: Partial<AppendEntry> = {}): AppendEntry {
  return {
    stream,
    producer: 'shop',
    seq,
    prev: crcAt(seq - 1),
    crc: crcAt(seq),
    frame: Buffer.from(`${stream[0]}${seq}`),
    kind: 'frame',
    ...options,
  };
}

export function entries(stream: string, from: number, to: number): AppendEntry[] {
  return Array.from({ length: to - from + 1 }, (_, i) => entry(stream, from + i));
}

export function lease(partition: number, token = '1'): Lease {
  return { sink: 'main', partition, token: token.repeat(32) };
}

export function texts(elements: readonly Element[]): string[] {
  return elements.map((element) => Buffer.from(element.frame).toString());
}

export async function codeOf(promise: Promise<unknown>): Promise<ErrorCode> {
  const error: unknown = await promise.then(
    () => new Error('it did not fail'),
    (reason: unknown) => reason,
  );
  if (!(error instanceof SyncError)) throw error;
  return error.code;
}

/** What every queue must do, whatever is behind it. */
export function queueContract(subject: QueueSubject): void {
  describe.skipIf(subject.skip !== undefined)(`${subject.name}${subject.skip === undefined ? '' : ` (${subject.skip})`}`, () => {
    let opened: OpenedQueue;
    let queue: Queue;
    beforeAll(() => subject.start());
    afterAll(() => subject.stop());
    beforeEach(async () => {
      opened = await subject.open(SETTINGS);
      queue = opened.queue;
    });
    afterEach(() => opened.close());

    const verdicts = async (partition: number, ...list: AppendEntry[]) =>
      (await queue.append(partition, list)).map((result) => result.verdict);
    const list = (partition: number) => opened.reader.fetch('main', partition, ALL);
    const hold = async (partition: number, token = '1') => {
      expect(await queue.acquire(lease(partition, token), 'node', 60_000, 'steal')).toMatchObject({ taken: true });
      return lease(partition, token);
    };
    const seqs = async (partition: number) => new Map([...(await queue.streams(partition))].map(([stream, place]) => [stream, place.seq]));

    describe('append', () => {
      test('stores frames that follow and answers with the place recorded', async () => {
        const results = await queue.append(1, entries(A, 1, 3));
        expect(results).toEqual([1, 2, 3].map((seq) => ({ verdict: 'append', stored: placeAt(seq) })));
        expect(texts(await list(1))).toEqual(['a1', 'a2', 'a3']);
        expect(await list(0)).toEqual([]);
      });

      test('keeps every field of an element', async () => {
        await queue.append(1, [entry(A, 1), entry(A, 2, { kind: 'refusal', frame: Buffer.from([0, 255, 10, 13]) })]);
        await queue.append(1, [entry(B, 1, { producer: 'büro ✓' })]);
        const elements = await list(1);
        expect(elements.map(({ kind, stream, producer, ordinal }) => ({ kind, stream, producer, ordinal }))).toEqual([
          { kind: 'frame', stream: A, producer: 'shop', ordinal: 1 },
          { kind: 'refusal', stream: A, producer: 'shop', ordinal: 2 },
          { kind: 'frame', stream: B, producer: 'büro ✓', ordinal: 3 },
        ]);
        expect([...(elements[1] as Element).frame]).toEqual([0, 255, 10, 13]);
        expect(new Set(elements.map((element) => Buffer.from(element.identity).toString('hex'))).size).toBe(3);
        expect(elements.map((element) => element.identity.byteLength)).toEqual([24, 24, 24]);
        const times = elements.map((element) => element.storedAtUs);
        expect(times).toEqual([...times].sort((a, b) => a - b));
        expect(Math.abs((times[0] as number) / 1000 - Date.now())).toBeLessThan(60_000);
      });

      test('answers duplicates with what is recorded and stores them once', async () => {
        await queue.append(1, entries(A, 1, 3));
        expect(await queue.append(1, [entry(A, 2), entry(A, 3), entry(A, 4)])).toEqual([
          { verdict: 'duplicate', stored: placeAt(3) },
          { verdict: 'duplicate', stored: placeAt(3) },
          { verdict: 'append', stored: placeAt(4) },
        ]);
        expect(texts(await list(1))).toEqual(['a1', 'a2', 'a3', 'a4']);
      });

      test('refuses a gap and judges what follows by itself', async () => {
        expect(await queue.append(1, [entry(A, 2), entry(A, 1), entry(A, 3), entry(A, 2)])).toEqual([
          { verdict: 'gap', stored: START },
          { verdict: 'append', stored: placeAt(1) },
          { verdict: 'gap', stored: placeAt(1) },
          { verdict: 'append', stored: placeAt(2) },
        ]);
        expect(texts(await list(1))).toEqual(['a1', 'a2']);
      });

      test('refuses the next frame when it names another crc', async () => {
        expect(await verdicts(1, entry(A, 1, { prev: 7 }))).toEqual(['mismatch']);
        expect(await verdicts(1, entry(A, 1), entry(A, 2, { prev: 7 }), entry(A, 2))).toEqual(['append', 'mismatch', 'append']);
      });

      test('refuses a stream that belongs to another producer', async () => {
        expect(await verdicts(1, entry(A, 1), entry(A, 2, { producer: 'thief' }), entry(A, 2))).toEqual([
          'append',
          'owned_by_other',
          'append',
        ]);
        expect(await queue.append(1, [entry(A, 3, { producer: 'thief' })])).toEqual([{ verdict: 'owned_by_other', stored: placeAt(2) }]);
        expect(texts(await list(1))).toEqual(['a1', 'a2']);
      });

      test('keeps several streams and partitions apart', async () => {
        expect(await verdicts(1, entry(A, 1), entry(B, 1), entry(A, 2), entry(C, 2), entry(B, 2))).toEqual([
          'append',
          'append',
          'append',
          'gap',
          'append',
        ]);
        expect(await verdicts(2, entry(B, 1))).toEqual(['append']);
        expect(texts(await list(1))).toEqual(['a1', 'b1', 'a2', 'b2']);
        expect(await seqs(1)).toEqual(
          new Map([
            [A, 2],
            [B, 2],
          ]),
        );
        expect(await seqs(2)).toEqual(new Map([[B, 1]]));
      });

      test('calls that are made together take effect in order', async () => {
        const calls = Array.from({ length: 20 }, (_, i) => queue.append(1, entries(A, i * 5 + 1, i * 5 + 5)));
        for (const results of await Promise.all(calls))
          expect(new Set(results.map((result) => result.verdict))).toEqual(new Set(['append']));
        expect(await list(1)).toHaveLength(100);
      });

      test('takes 2000 entries and 12 MB in one call', async () => {
        const many = Array.from({ length: 2000 }, (_, i) => entry(A, i + 1, { frame: Buffer.alloc(6000, i) }));
        const results = await queue.append(1, many);
        expect(results).toHaveLength(2000);
        expect(results.at(-1)).toEqual({ verdict: 'append', stored: placeAt(2000) });
        const elements = await list(1);
        expect(elements.map((element) => element.ordinal)).toEqual(many.map((_, i) => i + 1));
        expect(elements.every((element, i) => element.frame.length === 6000 && element.frame[0] === (i & 255))).toBe(true);
      });

      test('takes a frame of 4 MiB byte for byte', async () => {
        const frame = Buffer.alloc(4 * 1024 * 1024 + 7);
        for (let i = 0; i < frame.length; i += 4093) frame[i] = i;
        expect(await verdicts(1, entry(A, 1), entry(A, 2, { frame }), entry(A, 3))).toEqual(['append', 'append', 'append']);
        const [, big] = await list(1);
        expect(Buffer.compare((big as Element).frame, frame)).toBe(0);
      });

      test('frames that are views of a larger buffer are stored without their surroundings', async () => {
        const whole = Buffer.from('xxframexx');
        await queue.append(1, [entry(A, 1, { frame: new Uint8Array(whole.buffer, whole.byteOffset + 2, 5) })]);
        expect(texts(await list(1))).toEqual(['frame']);
      });

      test('counts exactly up to 2^53 − 1', async () => {
        const top = Number.MAX_SAFE_INTEGER;
        await queue.raise([{ partition: 1, stream: A, producer: 'shop', place: { seq: top - 2, crc: 4294967295 } }]);
        const results = await queue.append(1, [
          entry(A, top - 1, { prev: 4294967295, crc: 4294967294 }),
          entry(A, top - 1),
          entry(A, top, { prev: 4294967294, crc: 1 }),
        ]);
        expect(results.map((result) => result.verdict)).toEqual(['append', 'duplicate', 'append']);
        expect(await queue.streams(1)).toEqual(new Map([[A, { seq: top, crc: 1 }]]));
      });

      test('an empty call does nothing', async () => {
        expect(await queue.append(1, [])).toEqual([]);
      });
    });

    describe('raise', () => {
      const floor = (seq: number, crc = crcAt(seq), producer = 'shop') => ({ partition: 1, stream: A, producer, place: { seq, crc } });

      test('with START only reads', async () => {
        expect(await queue.raise([floor(0, 0)])).toEqual([START]);
        expect(await queue.streams(1)).toEqual(new Map());
        await queue.append(1, entries(A, 1, 2));
        expect(await queue.raise([floor(0, 0)])).toEqual([placeAt(2)]);
      });

      test('the higher place wins', async () => {
        expect(await queue.raise([floor(5)])).toEqual([placeAt(5)]);
        expect(await queue.raise([floor(3)])).toEqual([placeAt(5)]);
        expect(await verdicts(1, entry(A, 5), entry(A, 7), entry(A, 6))).toEqual(['duplicate', 'gap', 'append']);
      });

      test('at equal seq the crc of the floor wins', async () => {
        await queue.append(1, entries(A, 1, 2));
        expect(await queue.raise([floor(2, 99)])).toEqual([{ seq: 2, crc: 99 }]);
        expect(await verdicts(1, entry(A, 3), entry(A, 3, { prev: 99 }))).toEqual(['mismatch', 'append']);
      });

      test('answers floors of several partitions and streams in their order', async () => {
        await queue.append(2, entries(B, 1, 4));
        const floors = [
          { partition: 3, stream: A, producer: 'shop', place: placeAt(9) },
          { partition: 2, stream: B, producer: 'shop', place: placeAt(2) },
          { partition: 3, stream: B, producer: 'shop', place: START },
          { partition: 2, stream: A, producer: 'shop', place: placeAt(1) },
          { partition: 3, stream: A, producer: 'shop', place: placeAt(4) },
        ];
        expect(await queue.raise(floors)).toEqual([placeAt(9), placeAt(4), START, placeAt(1), placeAt(9)]);
        expect(await queue.raise([])).toEqual([]);
      });

      test('rejects when the stream belongs to another producer', async () => {
        await queue.append(1, entries(A, 1, 2));
        expect(await codeOf(queue.raise([floor(9, 9, 'thief')]))).toBe('stream_owned_by_other');
        expect(await codeOf(queue.raise([floor(0, 0, 'thief')]))).toBe('stream_owned_by_other');
        expect(await queue.streams(1)).toEqual(new Map([[A, placeAt(2)]]));
      });
    });

    describe('fetch', () => {
      beforeEach(async () => {
        await queue.append(
          1,
          Array.from({ length: 50 }, (_, i) => entry(A, i + 1, { frame: Buffer.alloc(1000, i) })),
        );
      });

      test('gives at most as many elements as asked for', async () => {
        for (const elements of [1, 15, 16, 17, 33, 50, 60]) {
          expect(await opened.reader.fetch('main', 1, { elements, bytes: 1e9 })).toHaveLength(Math.min(elements, 50));
        }
      });

      test('stops when the bytes are reached, but gives one at least', async () => {
        const elementBytes = 1000 + 47 + 4;
        expect(await opened.reader.fetch('main', 1, { elements: 50, bytes: 1 })).toHaveLength(1);
        expect(await opened.reader.fetch('main', 1, { elements: 50, bytes: elementBytes })).toHaveLength(1);
        expect(await opened.reader.fetch('main', 1, { elements: 50, bytes: elementBytes + 1 })).toHaveLength(2);
        expect(await opened.reader.fetch('main', 1, { elements: 50, bytes: 20 * elementBytes })).toHaveLength(20);
        expect(await opened.reader.fetch('main', 1, { elements: 50, bytes: 20 * elementBytes + 1 })).toHaveLength(21);
      });

      test('mixes small and large elements within the limits', async () => {
        const sizes = [10, 100_000, 20, 20, 300_000, 5, 5, 5];
        await queue.append(
          2,
          sizes.map((size, i) => entry(A, i + 1, { frame: Buffer.alloc(size) })),
        );
        const lengths = (await opened.reader.fetch('main', 2, { elements: 100, bytes: 200_000 })).map((element) => element.frame.length);
        expect(lengths).toEqual([10, 100_000, 20, 20, 300_000]);
      });

      test('the queue itself reads the same', async () => {
        expect((await queue.fetch('main', 1, ALL)).map((element) => element.ordinal)).toEqual(
          (await list(1)).map((element) => element.ordinal),
        );
      });
    });

    describe('trim', () => {
      let elements: Element[];
      beforeEach(async () => {
        await queue.append(1, [...entries(A, 1, 3), ...entries(B, 1, 2)]);
        elements = await list(1);
      });
      const identity = (index: number) => (elements[index] as Element).identity;

      test('removes a prefix', async () => {
        const held = await hold(1);
        expect(await queue.trim(held, 2, identity(1), [])).toBe(true);
        expect(texts(await list(1))).toEqual(['a3', 'b1', 'b2']);
        expect(await queue.trim(held, 3, identity(4), [])).toBe(true);
        expect(await list(1)).toEqual([]);
        expect(await seqs(1)).toEqual(
          new Map([
            [A, 3],
            [B, 2],
          ]),
        );
      });

      test('does nothing without the lease', async () => {
        expect(await queue.trim(lease(1), 1, identity(0), [])).toBe(false);
        await hold(1);
        expect(await queue.trim(lease(1, '2'), 1, identity(0), [{ stream: A, place: START }])).toBe(false);
        expect(await list(1)).toHaveLength(5);
        expect((await seqs(1)).get(A)).toBe(3);
      });

      test('does nothing when the element at the count is another', async () => {
        const held = await hold(1);
        expect(await queue.trim(held, 2, identity(2), [{ stream: A, place: START }])).toBe(false);
        expect(await queue.trim(held, 3, identity(1), [])).toBe(false);
        expect(await list(1)).toHaveLength(5);
        expect((await seqs(1)).get(A)).toBe(3);
      });

      test('does nothing when the list is shorter, or the same was removed already', async () => {
        const held = await hold(1);
        expect(await queue.trim(held, 6, identity(4), [])).toBe(false);
        expect(await queue.trim(held, 2, identity(1), [])).toBe(true);
        expect(await queue.trim(held, 2, identity(1), [])).toBe(false);
        expect(await list(1)).toHaveLength(3);
      });

      test('sets back a record that is at or above the place, and no other', async () => {
        const held = await hold(1);
        await queue.raise([{ partition: 1, stream: C, producer: 'shop', place: placeAt(1) }]);
        const resets = [
          { stream: A, place: { seq: 1, crc: 77 } },
          { stream: B, place: { seq: 2, crc: 88 } },
          { stream: C, place: placeAt(5) },
          { stream: 'd'.repeat(32), place: placeAt(1) },
        ];
        expect(await queue.trim(held, 1, identity(0), resets)).toBe(true);
        expect(await queue.streams(1)).toEqual(
          new Map([
            [A, { seq: 1, crc: 77 }],
            [B, { seq: 2, crc: 88 }],
            [C, placeAt(1)],
          ]),
        );
        expect(await verdicts(1, entry(A, 3), entry(A, 2, { prev: 77 }))).toEqual(['gap', 'append']);
        expect(await verdicts(1, entry(A, 3, { producer: 'thief' }))).toEqual(['owned_by_other']);
      });

      test('ordinals go on after the list was emptied', async () => {
        const held = await hold(1);
        await queue.trim(held, 5, identity(4), []);
        await queue.append(1, [entry(A, 4)]);
        expect((await list(1)).map((element) => element.ordinal)).toEqual([6]);
      });
    });

    describe('heal', () => {
      test('sets every stream back to its watermark when the list is empty', async () => {
        await queue.append(1, [...entries(A, 1, 3), ...entries(B, 1, 2)]);
        const elements = await list(1);
        const held = await hold(1);
        await queue.trim(held, 5, (elements[4] as Element).identity, []);
        expect(
          await queue.heal(
            held,
            new Map([
              [A, placeAt(2)],
              [B, placeAt(2)],
              [C, START],
            ]),
          ),
        ).toEqual([A]);
        expect(await queue.streams(1)).toEqual(
          new Map([
            [A, placeAt(2)],
            [B, placeAt(2)],
          ]),
        );
        expect(await verdicts(1, entry(A, 3))).toEqual(['append']);
      });

      test('leaves streams alone whose elements may still lie in the list', async () => {
        await queue.append(1, [...entries(A, 1, 2), entry(B, 1), entry(A, 3), entry(C, 1)]);
        const elements = await list(1);
        const held = await hold(1);
        // The head is now b1: A was pushed after it.
        await queue.trim(held, 2, (elements[1] as Element).identity, []);
        const watermarks = new Map([
          [A, START],
          [B, START],
          [C, START],
        ]);
        expect(await queue.heal(held, watermarks)).toEqual([]);
        // The head is now c1: what A and B had is gone.
        await queue.trim(held, 2, (elements[3] as Element).identity, []);
        expect((await queue.heal(held, watermarks)).sort()).toEqual([A, B]);
        expect(await queue.streams(1)).toEqual(
          new Map([
            [A, START],
            [B, START],
            [C, placeAt(1)],
          ]),
        );
      });

      test('a stream that was only raised has no elements', async () => {
        await queue.append(1, [entry(B, 1)]);
        await queue.raise([{ partition: 1, stream: A, producer: 'shop', place: placeAt(5) }]);
        expect(
          await queue.heal(
            await hold(1),
            new Map([
              [A, placeAt(3)],
              [B, START],
            ]),
          ),
        ).toEqual([A]);
        expect((await queue.streams(1)).get(A)).toEqual(placeAt(3));
      });

      test('does nothing without the lease', async () => {
        await queue.raise([{ partition: 1, stream: A, producer: 'shop', place: placeAt(5) }]);
        await hold(1, '2');
        expect(await queue.heal(lease(1), new Map([[A, START]]))).toEqual([]);
        expect((await queue.streams(1)).get(A)).toEqual(placeAt(5));
      });

      test('takes more streams than fit in one call', async () => {
        const streams = Array.from({ length: 2500 }, (_, i) => i.toString(16).padStart(32, '0'));
        await queue.raise(streams.map((stream) => ({ partition: 1, stream, producer: 'shop', place: placeAt(2) })));
        const healed = await queue.heal(await hold(1), new Map(streams.map((stream, i) => [stream, placeAt(i % 2 === 0 ? 2 : 1)])));
        expect(healed).toHaveLength(1250);
        expect((await queue.streams(1)).size).toBe(2500);
      });
    });

    describe('leases', () => {
      const taken = (before?: string) => ({ taken: true, before });
      const heldBy = (holder: string) => ({ taken: false, holder, leftMs: expect.toSatisfy((ms: number) => ms > 0 && ms <= 60_000) });

      test('one holder at a time, until it gives it back', async () => {
        expect(await queue.acquire(lease(1, '1'), 'first', 60_000, 'wait')).toEqual(taken());
        expect(await queue.acquire(lease(1, '2'), 'second', 60_000, 'wait')).toEqual(heldBy('first'));
        expect(await queue.acquire(lease(2, '2'), 'second', 60_000, 'wait')).toEqual(taken());
        await queue.release([lease(1, '2')]);
        expect(await queue.acquire(lease(1, '2'), 'second', 60_000, 'wait')).toEqual(heldBy('first'));
        await queue.release([lease(1, '1'), lease(3, '1')]);
        expect(await queue.acquire(lease(1, '2'), 'second', 60_000, 'wait')).toEqual(taken());
      });

      test('taking it again with the same token succeeds', async () => {
        expect(await queue.acquire(lease(1), 'first', 60_000, 'wait')).toEqual(taken());
        expect(await queue.acquire(lease(1), 'first', 60_000, 'wait')).toEqual(taken());
      });

      test('can be stolen, and then the first has lost it', async () => {
        await queue.acquire(lease(1, '1'), 'first', 60_000, 'wait');
        expect(await queue.acquire(lease(1, '2'), 'second node', 60_000, 'take')).toEqual(taken('first'));
        expect(await queue.renew([lease(1, '1'), lease(1, '2'), lease(2, '1')], 60_000)).toEqual([false, true, false]);
        await queue.release([lease(1, '1')]);
        expect(await queue.acquire(lease(1, '3'), 'third', 60_000, 'wait')).toEqual(heldBy('second node'));
      });

      test('ends by itself, and the next holder is told whose it was', async () => {
        await queue.acquire(lease(1, '1'), 'first', 50, 'wait');
        await eventually(async () => expect(await queue.acquire(lease(1, '2'), 'second', 60_000, 'wait')).toEqual(taken('first')));
        expect(await queue.renew([lease(1, '1')], 60_000)).toEqual([false]);
      });

      test('the next holder is not told of one that gave it back, nor of itself', async () => {
        await queue.acquire(lease(1, '1'), 'first', 60_000, 'wait');
        await queue.release([lease(1, '1')]);
        expect(await queue.acquire(lease(1, '2'), 'second', 60_000, 'wait')).toEqual(taken());
        expect(await queue.acquire(lease(1, '3'), 'second', 60_000, 'take')).toEqual(taken());
      });

      test('whoever steals is neither told nor remembered', async () => {
        await queue.acquire(lease(1, '1'), 'first', 60_000, 'wait');
        expect(await queue.acquire(lease(1, '2'), 'second', 60_000, 'steal')).toEqual(taken());
        expect(await queue.acquire(lease(1, '3'), 'third', 60_000, 'take')).toEqual(taken('first'));
      });

      test('renewing prolongs it', async () => {
        await queue.acquire(lease(1, '1'), 'first', 1000, 'wait');
        expect(await queue.renew([lease(1, '1')], 60_000)).toEqual([true]);
        await new Promise((resolve) => setTimeout(resolve, 1050));
        expect(await queue.acquire(lease(1, '2'), 'second', 60_000, 'wait')).toEqual(heldBy('first'));
      });
    });

    describe('members', () => {
      const member = (name: string, incarnation: string, about = 'x y') => ({ name, incarnation, about });
      const names = async (...call: Parameters<Queue['keepMember']>) =>
        (await queue.keepMember(...call)).members.map(({ name, incarnation }) => `${name} ${incarnation}`).sort();

      test('are listed for as long as they renew, with what they tell about themselves', async () => {
        expect(await names(member('a', '1'), 60_000)).toEqual(['a 1']);
        const list = await queue.keepMember(member('b', '2', 'two  words'), 50);
        expect(list.wasListed).toBe(false);
        expect(Math.abs(list.nowMs - Date.now())).toBeLessThan(60_000);
        expect(list.members.find(({ name }) => name === 'b')).toMatchObject({ incarnation: '2', about: 'two  words' });
        for (const { ageMs, leftMs } of list.members) {
          expect(ageMs).toBeGreaterThanOrEqual(0);
          expect(leftMs).toBeGreaterThan(0);
        }
        await eventually(async () => expect(await names(member('a', '1'), 60_000)).toEqual(['a 1']));
        expect((await queue.keepMember(member('a', '1', 'new'), 60_000)).members).toMatchObject([{ about: 'new' }]);
      });

      test('leave the list when they say so', async () => {
        await names(member('a', '1'), 60_000);
        await names(member('b', '2'), 60_000);
        expect(await names(member('b', '3'), 0)).toEqual(['a 1', 'b 2']);
        expect(await queue.keepMember(member('b', '2'), 0)).toMatchObject({ wasListed: true, members: [{ name: 'a' }] });
      });

      test('a name is one incarnation at a time', async () => {
        await names(member('a', '1'), 60_000);
        expect(await names(member('a', '2'), 60_000)).toEqual(['a 1']);
        expect(await queue.keepMember(member('a', '1'), 50)).toMatchObject({ wasListed: true });
        await eventually(async () => expect(await names(member('a', '2'), 60_000)).toEqual(['a 2']));
      });
    });

    describe('backlog and records', () => {
      test('counts elements and names the age of the head', async () => {
        await queue.append(1, entries(A, 1, 4));
        await queue.append(3, entries(A, 1, 1));
        const elements = await list(1);
        const backlog = await queue.backlog('main');
        expect(backlog.map(({ count }) => count)).toEqual([0, 4, 0, 1]);
        expect(backlog.map(({ bytes }) => bytes)).toEqual([0, 4 * (47 + 4 + 2), 0, 47 + 4 + 2]);
        expect(backlog.map(({ headStoredAtUs }) => headStoredAtUs)).toEqual([
          undefined,
          elements[0]?.storedAtUs,
          undefined,
          (await list(3))[0]?.storedAtUs,
        ]);
      });

      test('shrinks with trimming, to zero', async () => {
        await queue.append(1, [
          entry(A, 1, { frame: Buffer.alloc(949) }),
          entry(A, 2, { frame: Buffer.alloc(1949) }),
          entry(A, 3, { frame: Buffer.alloc(949) }),
        ]);
        const elements = await list(1);
        const held = await hold(1);
        await queue.trim(held, 1, (elements[0] as Element).identity, []);
        const [, half] = await queue.backlog('main');
        expect(half?.count).toBe(2);
        if (subject.exactBytes) expect(half?.bytes).toBe(3000);
        else expect(half?.bytes).toBeGreaterThan(0);
        await queue.trim(held, 2, (elements[2] as Element).identity, []);
        expect((await queue.backlog('main'))[1]).toEqual({ count: 0, bytes: 0, headStoredAtUs: undefined });
      });

      test('forgets records, and a stream then begins anew', async () => {
        await queue.append(1, [...entries(A, 1, 2), ...entries(B, 1, 2)]);
        await queue.forget(1, [A, C]);
        expect(await seqs(1)).toEqual(new Map([[B, 2]]));
        expect(await list(1)).toHaveLength(4);
        expect(await verdicts(1, entry(A, 3), entry(A, 1, { producer: 'other' }))).toEqual(['gap', 'append']);
        await queue.forget(1, []);
      });
    });

    describe('two sinks', () => {
      test('each has a list of its own', async () => {
        await opened.close();
        opened = await subject.open({
          ...SETTINGS,
          sinks: [
            { name: 'main', required: true },
            { name: 'audit', required: false },
          ],
        });
        ({ queue } = opened);
        await queue.append(1, entries(A, 1, 3));
        const elements = await list(1);
        await queue.trim(await hold(1), 2, (elements[1] as Element).identity, []);
        expect(texts(await opened.reader.fetch('main', 1, ALL))).toEqual(['a3']);
        expect(texts(await opened.reader.fetch('audit', 1, ALL))).toEqual(['a1', 'a2', 'a3']);
        expect((await queue.backlog('audit'))[1]?.count).toBe(3);
      });
    });

    test('admission is open, and watching ends when it is ended', async () => {
      const events: unknown[] = [];
      const stop = queue.watch((event) => events.push(event));
      stop();
      expect(queue.admission).toEqual({ state: 'open' });
      await queue.append(1, entries(A, 1, 1));
      expect(events).toEqual([]);
    });

    // What is not durable has nothing to restart from: no case, rather than one that is always skipped.
    if (!subject.durable) return;
    describe('a restart', () => {
      test('keeps elements, records, ordinals and backlog', async () => {
        await queue.append(1, [...entries(A, 1, 5), ...entries(B, 1, 1)]);
        const elements = await list(1);
        await queue.trim(await hold(1), 2, (elements[1] as Element).identity, []);
        const backlog = await queue.backlog('main');
        queue = await opened.reopen();
        const again = await eventually(async () => list(1));
        expect(again.map(({ identity, frame }) => [Buffer.from(identity).toString('hex'), String(frame)])).toEqual(
          elements.slice(2).map(({ identity, frame }) => [Buffer.from(identity).toString('hex'), String(frame)]),
        );
        expect(await queue.backlog('main')).toEqual(backlog);
        expect(await seqs(1)).toEqual(
          new Map([
            [A, 5],
            [B, 1],
          ]),
        );
        expect(await verdicts(1, entry(A, 5), entry(A, 6))).toEqual(['duplicate', 'append']);
        expect((await list(1)).at(-1)?.ordinal).toBe(7);
      });

      test('with other settings is refused', async () => {
        await queue.append(1, entries(A, 1, 1));
        expect(await codeOf(opened.reopen({ ...SETTINGS, partitions: 8 }))).toBe('queue_mismatch');
        expect(await codeOf(opened.reopen({ ...SETTINGS, mapping: 'another' }))).toBe('queue_mismatch');
        const message = await opened.reopen({ ...SETTINGS, sinks: [{ name: 'other', required: true }] }).then(String, String);
        expect(message).toContain('required ["main"] there, ["other"] here');
        queue = await opened.reopen();
        // A replica may still have to follow again.
        await eventually(async () => expect(await verdicts(1, entry(A, 2))).toHaveLength(1), 10_000);
        expect(await seqs(1)).toEqual(new Map([[A, 2]]));
      });
    });
  });
}
