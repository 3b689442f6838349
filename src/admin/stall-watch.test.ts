import { expect, test } from 'vitest';
import type { Clock } from '../core/clock.ts';
import { StallWatch, type BacklogReading } from './stall-watch.ts';

const EMPTY: BacklogReading = { count: 0, headStoredAtUs: undefined };
const waiting = (headStoredAtUs: number): BacklogReading => ({ count: 5, headStoredAtUs });

function watchAt() {
  const time = { nowMs: 1_000 };
  const clock: Clock = { wallMs: () => 0, monotonicMs: () => time.nowMs, setTimer: () => ({ cancel() {} }), defer: () => {} };
  return { time, watch: new StallWatch(clock) };
}

test('an empty partition does not stall, however long', () => {
  const { time, watch } = watchAt();
  watch.read([EMPTY]);
  time.nowMs += 60_000;
  watch.read([EMPTY]);
  expect(watch.stalledMs(0)).toBe(0);
  expect(watch.stalledMs(7)).toBe(0);
});

test('counts from when batches began to wait', () => {
  const { time, watch } = watchAt();
  watch.read([EMPTY, waiting(1)]);
  time.nowMs += 5_000;
  watch.read([EMPTY, waiting(1)]);
  expect([watch.stalledMs(0), watch.stalledMs(1)]).toEqual([0, 5_000]);
});

test('begins anew when the head moves, whoever moved it', () => {
  const { time, watch } = watchAt();
  watch.read([waiting(1)]);
  time.nowMs += 5_000;
  watch.read([waiting(2)]);
  time.nowMs += 100;
  expect(watch.stalledMs(0)).toBe(100);
});

test('begins anew when something was applied here, though many share one store time', () => {
  const { time, watch } = watchAt();
  watch.read([waiting(1)]);
  time.nowMs += 5_000;
  watch.advanced(0);
  watch.read([waiting(1)]);
  expect(watch.stalledMs(0)).toBe(0);
});

test('ends when nothing waits', () => {
  const { time, watch } = watchAt();
  watch.read([waiting(1)]);
  time.nowMs += 5_000;
  watch.read([EMPTY]);
  expect(watch.stalledMs(0)).toBe(0);
});
