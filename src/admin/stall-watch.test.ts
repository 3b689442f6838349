import { expect, test } from 'vitest';
import { VirtualClock } from '../../test/support/virtual-clock.ts';
import { StallWatch, type BacklogReading } from './stall-watch.ts';

const EMPTY: BacklogReading = { count: 0, headStoredAtUs: undefined };
const waiting = (headStoredAtUs: number): BacklogReading => ({ count: 5, headStoredAtUs });

function createWatch() {
  const clock = new VirtualClock();
  return { clock, watch: new StallWatch(clock) };
}

test('an empty partition does not stall, however long', async () => {
  const { clock, watch } = createWatch();
  watch.read([EMPTY]);
  await clock.advance(60_000);
  watch.read([EMPTY]);
  expect(watch.stalledMs(0)).toBe(0);
  expect(watch.stalledMs(7)).toBe(0);
});

test('counts from when batches began to wait', async () => {
  const { clock, watch } = createWatch();
  watch.read([EMPTY, waiting(1)]);
  await clock.advance(5_000);
  watch.read([EMPTY, waiting(1)]);
  expect([watch.stalledMs(0), watch.stalledMs(1)]).toEqual([0, 5_000]);
});

test('begins anew when the head moves, whoever moved it', async () => {
  const { clock, watch } = createWatch();
  watch.read([waiting(1)]);
  await clock.advance(5_000);
  watch.read([waiting(2)]);
  await clock.advance(100);
  expect(watch.stalledMs(0)).toBe(100);
});

test('begins anew when something was applied here, though many share one store time', async () => {
  const { clock, watch } = createWatch();
  watch.read([waiting(1)]);
  await clock.advance(5_000);
  watch.advanced(0);
  watch.read([waiting(1)]);
  expect(watch.stalledMs(0)).toBe(0);
});

test('ends when nothing waits', async () => {
  const { clock, watch } = createWatch();
  watch.read([waiting(1)]);
  await clock.advance(5_000);
  watch.read([EMPTY]);
  expect(watch.stalledMs(0)).toBe(0);
});
