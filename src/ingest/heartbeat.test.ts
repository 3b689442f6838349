import { expect, test } from 'vitest';
import type { Clock } from '../core/clock.ts';
import { Heartbeat } from './heartbeat.ts';

/** A heartbeat of 100 ms on a clock whose timers fire only when the test says so, however late. */
function watch(startMs = 0) {
  let nowMs = startMs;
  let due: { readonly atMs: number; readonly run: () => void } | undefined;
  const clock: Pick<Clock, 'monotonicMs' | 'setTimer'> = {
    monotonicMs: () => nowMs,
    setTimer(delayMs, run) {
      const timer = { atMs: nowMs + delayMs, run };
      due = timer;
      return { cancel: () => void (due === timer && (due = undefined)) };
    },
  };
  const events: string[] = [];
  const heartbeat = new Heartbeat({ ...clock, wallMs: () => 0, defer: () => {} }, 100, {
    beat: () => {},
    ping: () => void events.push(`ping ${nowMs}`),
    lost: () => void events.push(`lost ${nowMs}`),
  });
  heartbeat.start();
  return {
    heartbeat,
    events,
    /** Lets the timer that is set fire, `lateMs` after it was due. */
    fire(lateMs = 0) {
      const timer = due;
      due = undefined;
      nowMs = (timer?.atMs ?? nowMs) + lateMs;
      timer?.run();
    },
  };
}

test('a silent peer is asked after one interval and lost after two and a half', () => {
  const { events, fire } = watch();
  for (let i = 0; i < 3; i++) fire();
  expect(events).toEqual(['ping 100', 'ping 200', 'lost 250']);
});

test('after this process has stood still nobody is lost who was not asked', () => {
  const { heartbeat, events, fire } = watch();
  fire(10_000);
  expect(events).toEqual(['ping 10100']);
  heartbeat.heard();
  fire();
  expect(events).toEqual(['ping 10100', 'ping 10200']);
  // The answer to that is on its way while we stand still again.
  fire(10_000);
  expect(events.at(-1)).toBe('ping 20300');
});

test('who was asked and does not answer is lost, however late the question was', () => {
  const { events, fire } = watch();
  fire(10_000);
  fire();
  fire();
  expect(events).toEqual(['ping 10100', 'ping 10200', 'lost 10250']);
});

test('peers that came at different times are asked at the same, never before it is time', () => {
  const [one, other] = [watch(0.25), watch(0.75)];
  for (const { fire } of [one, other]) for (let i = 0; i < 3; i++) fire();
  expect(one.events).toEqual(['ping 101', 'ping 201', 'lost 251']);
  expect(other.events).toEqual(one.events);
});

test('a timer that fires early is set again', () => {
  const { events, fire } = watch(0.75);
  fire(-0.5);
  expect(events).toEqual([]);
  fire();
  expect(events).toEqual(['ping 101']);
});
