import { describe, expect, test } from 'vitest';
import { createWorld, STREAM } from '../../test/support/ingest-world.ts';
import type { AppendEntry, AppendResult } from '../queue/queue.ts';
import { ENTRY_OVERHEAD_BYTES, type Submitter } from './appender.ts';

class Recorder implements Submitter {
  readonly results: { readonly partition: number; readonly seq: number; readonly verdict: AppendResult['verdict'] }[] = [];
  gone = false;
  roomCount = 0;

  judged(partition: number, { seq }: AppendEntry, { verdict }: AppendResult): void {
    this.results.push({ partition, seq, verdict });
  }

  roomFound(): void {
    this.roomCount++;
  }

  get seqs(): number[] {
    return this.results.map(({ seq }) => seq);
  }
}

/** Frames whose crc is their seq. */
function entry(seq: number, bytes = 100, stream = STREAM): AppendEntry {
  const frame = Buffer.alloc(bytes);
  return { stream, producer: 'shop', seq, prev: seq - 1, crc: seq, frame, kind: 'frame' };
}

const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

describe('the appender', () => {
  test('makes one call at a time for a partition, each with what has come meanwhile, and tells results in order', async () => {
    const { appender, queue, clock } = createWorld();
    const recorder = new Recorder();
    let opened = () => {};
    queue.gate = new Promise((resolve) => void (opened = resolve));
    appender.submit(0, entry(1), recorder);
    appender.submit(0, entry(2), recorder);
    await clock.settle();
    for (const seq of numbers(3, 9)) {
      appender.submit(0, entry(seq), recorder);
      await clock.settle();
    }
    expect(queue.appends.map(({ seqs }) => seqs)).toEqual([[1, 2]]);
    opened();
    queue.gate = undefined;
    await clock.settle();
    expect(queue.appends.map(({ seqs }) => seqs)).toEqual([[1, 2], numbers(3, 9)]);
    expect(recorder.seqs).toEqual(numbers(1, 9));
    expect(appender.counters).toMatchObject({ frames: 9, bytes: 900, stored: 9, storedBytes: 900, calls: 2 });
  });

  test('lets partitions go side by side', async () => {
    const { appender, queue, clock } = createWorld();
    const recorder = new Recorder();
    let opened = () => {};
    queue.gate = new Promise((resolve) => void (opened = resolve));
    for (const partition of [0, 1, 2]) appender.submit(partition, entry(1), recorder);
    await clock.settle();
    expect(queue.appends.map(({ partition }) => partition)).toEqual([0, 1, 2]);
    opened();
    await clock.settle();
    expect(recorder.results.map(({ partition }) => partition)).toEqual([0, 1, 2]);
  });

  test('carries at most 1024 entries and 8 MB in a call, in order', async () => {
    const { appender, queue, clock } = createWorld({ maxInFlightBytes: 1e9 });
    const recorder = new Recorder();
    for (const seq of numbers(1, 3_000)) appender.submit(0, entry(seq), recorder);
    const large = 3 * 1024 * 1024;
    for (const seq of numbers(1, 5)) appender.submit(1, entry(seq, large), recorder);
    appender.submit(2, entry(1, 9 * 1024 * 1024), recorder);
    await clock.settle();
    const sizes = (partition: number) => queue.appends.filter((call) => call.partition === partition).map(({ seqs }) => seqs.length);
    expect(sizes(0)).toEqual([1_024, 1_024, 952]);
    expect(sizes(1)).toEqual([2, 2, 1]);
    expect(sizes(2)).toEqual([1]);
    expect(recorder.results.filter(({ partition }) => partition === 0).map(({ seq }) => seq)).toEqual(numbers(1, 3_000));
    expect(recorder.results.every(({ verdict }) => verdict === 'append')).toBe(true);
    expect(appender.inFlightBytes).toBe(0);
  });

  test('makes a call that failed again until it succeeds, also when it had its effect', async () => {
    const { appender, queue, clock, woken } = createWorld();
    const recorder = new Recorder();
    queue.fault = 'after';
    appender.submit(0, entry(1), recorder);
    await clock.advance(10_000);
    expect(recorder.results).toEqual([]);
    expect(appender.counters.failures).toBeGreaterThan(10);
    expect(appender.counters.failures).toBeLessThan(40);
    queue.fault = 'none';
    await clock.advance(1_000);
    expect(recorder.results.map(({ seq, verdict }) => `${seq} ${verdict}`)).toEqual(['1 duplicate']);
    expect(woken).toEqual([0]);
  });

  test('after a failure drops what nobody waits for, and keeps the order of the rest', async () => {
    const { appender, queue, clock } = createWorld();
    const [gone, present] = [new Recorder(), new Recorder()];
    queue.fault = 'before';
    for (const seq of numbers(1, 4)) {
      appender.submit(0, entry(seq), gone);
      appender.submit(0, entry(seq, 100, 'f'.repeat(32)), present);
    }
    await clock.advance(10);
    gone.gone = true;
    await clock.advance(2_000);
    expect(appender.inFlightBytes).toBe(4 * (100 + ENTRY_OVERHEAD_BYTES));
    queue.fault = 'none';
    await clock.advance(2_000);
    expect([gone.seqs, present.seqs, appender.inFlightBytes]).toEqual([[], [1, 2, 3, 4], 0]);
  });

  test('counts what was refused by what came, and all of it is gone when it is judged', async () => {
    const { appender, clock } = createWorld();
    const recorder = new Recorder();
    appender.submit(0, { ...entry(1), kind: 'refusal', chargedBytes: 50_000 }, recorder);
    appender.submit(1, entry(1), recorder);
    expect(appender.inFlightBytes).toBe(50_000 + 100 + 2 * ENTRY_OVERHEAD_BYTES);
    await clock.advance(10);
    expect([recorder.seqs, appender.inFlightBytes]).toEqual([[1, 1], 0]);
  });

  test('is full of small frames by what they take in memory', () => {
    const { appender } = createWorld({ maxInFlightBytes: 1_000_000 });
    const recorder = new Recorder();
    let count = 0;
    while (!appender.isFull) appender.submit(0, entry(++count, 41), recorder);
    expect(count).toBeLessThan(2_000);
  });

  test('tells those who wait for room in turn, once a quarter of the budget is free', async () => {
    const { appender, queue, clock } = createWorld({ maxInFlightBytes: 1_000 });
    const waiting = numbers(1, 3).map(() => new Recorder());
    let opened = () => {};
    queue.gate = new Promise((resolve) => void (opened = resolve));
    for (const seq of numbers(1, 10)) appender.submit(0, entry(seq), waiting[0]!);
    expect(appender.isFull).toBe(true);
    for (const recorder of waiting) appender.waitForRoom(recorder);
    await clock.settle();
    expect(waiting.map(({ roomCount }) => roomCount)).toEqual([0, 0, 0]);
    opened();
    await clock.settle();
    expect(waiting.map(({ roomCount }) => roomCount)).toEqual([1, 1, 1]);
  });
});
