import { beforeEach, expect, test } from 'vitest';
import { DutyRoster } from './duty.ts';

let calls: string[];
let finish: (() => void)[];
let roster: DutyRoster;
beforeEach(() => {
  calls = [];
  finish = [];
  roster = new DutyRoster({
    drain: () => {
      calls.push('drain');
      return new Promise((resolve) => finish.push(resolve));
    },
    resume: () => calls.push('resume'),
  });
});

test('draining twice drains once, and both wait for it', async () => {
  const both = Promise.all([roster.drain(), roster.drain()]);
  expect([roster.duty, calls]).toEqual(['draining', ['drain']]);
  finish[0]?.();
  await both;
  await roster.drain();
  expect([roster.duty, calls]).toEqual(['drained', ['drain']]);
});

test('putting back is for those that are out of service', async () => {
  roster.resume();
  expect(calls).toEqual([]);
  void roster.drain();
  finish[0]?.();
  await roster.drain();
  roster.resume();
  roster.resume();
  expect([roster.duty, calls]).toEqual(['serving', ['drain', 'resume']]);
});

test('what was drained before it was put back does not count for the next time', async () => {
  const first = roster.drain();
  roster.resume();
  const second = roster.drain();
  finish[0]?.();
  await first;
  expect(roster.duty).toBe('draining');
  finish[1]?.();
  await second;
  expect(roster.duty).toBe('drained');
});

test('nothing brings back what is stopping', async () => {
  const draining = roster.drain();
  roster.stop();
  roster.resume();
  finish[0]?.();
  await draining;
  await roster.drain();
  expect([roster.duty, calls]).toEqual(['stopping', ['drain']]);
});
