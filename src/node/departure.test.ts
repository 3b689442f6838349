import { beforeEach, expect, test } from 'vitest';
import { VirtualClock } from '../../test/support/virtual-clock.ts';
import { handOver, type DepartureParts } from './departure.ts';

const clock = new VirtualClock();
let calls: string[];
/** Ends the handing over one by one. */
let handedOver: () => void;

beforeEach(() => {
  calls = [];
});

function partsOf(hasSuccessor: boolean): DepartureParts {
  return {
    clock,
    cluster: {
      hasSuccessor,
      leaving: () => {
        calls.push('leaving');
        return new Promise((resolve) => (handedOver = resolve));
      },
    },
    scheduler: { drain: async () => void calls.push('drain') },
    sessions: {
      empty: (timeoutMs) => {
        calls.push(`empty ${timeoutMs}`);
        return Promise.resolve();
      },
    },
  };
}

test('partitions go first, and then balancers have time', async () => {
  const done = handOver(partsOf(true), () => false);
  await clock.advance(400);
  expect(calls).toEqual(['leaving']);
  handedOver();
  await done;
  expect(calls).toEqual(['leaving', 'drain', 'empty 1100']);
  expect(clock.timerCount).toBe(0);
});

test('what is not taken over one by one is given back at once', async () => {
  const done = handOver(partsOf(true), () => false);
  await clock.advance(3_000);
  await done;
  expect(calls).toEqual(['leaving', 'drain', 'empty -1500']);
});

test('without another node, all stays as it is', async () => {
  await handOver(partsOf(false), () => false);
  expect(calls).toEqual(['leaving']);
  await handOver({ ...partsOf(true), cluster: undefined }, () => false);
  expect(calls).toEqual(['leaving']);
});

test('a node that is put back meanwhile keeps what it has', async () => {
  let isStaying = false;
  const done = handOver(partsOf(true), () => isStaying);
  await clock.settle();
  isStaying = true;
  handedOver();
  await done;
  expect(calls).toEqual(['leaving']);
});
