import { beforeEach, expect, test } from 'vitest';
import { VirtualClock } from '../../test/support/virtual-clock.ts';
import { handOver, type DepartureParts } from './departure.ts';

const clock = new VirtualClock();
let calls: string[];
let hasSuccessor: boolean;
let isPrimary: boolean;
/** Ends the handing over one by one, and the giving back of the rest. */
let left: () => void;
let drained: () => void;

beforeEach(() => {
  calls = [];
  hasSuccessor = true;
  isPrimary = true;
});

const parts: DepartureParts = {
  clock,
  cluster: {
    get hasSuccessor() {
      return hasSuccessor;
    },
    get isPrimary() {
      return isPrimary;
    },
    clientsFollow: () => void calls.push('clients follow'),
    leaving: () => {
      calls.push('leaving');
      return new Promise((resolve) => (left = resolve));
    },
  },
  scheduler: {
    drain: (becomes) => {
      calls.push(`drain: ${becomes}`);
      return new Promise((resolve) => (drained = resolve));
    },
  },
  sessions: {
    empty: async (timeoutMs) => void calls.push(`empty ${timeoutMs}`),
  },
};

test('partitions go first, clients stay while others begin with them, and then balancers have time', async () => {
  const done = handOver(parts);
  await clock.advance(400);
  expect(calls).toEqual(['leaving']);
  left();
  await clock.advance(100);
  expect(calls).toEqual(['leaving', 'drain: elsewhere']);
  drained();
  await clock.advance(499);
  expect(calls).toEqual(['leaving', 'drain: elsewhere']);
  await clock.advance(1);
  await done;
  expect(calls).toEqual(['leaving', 'drain: elsewhere', 'clients follow', 'empty 1000', 'clients follow']);
  expect(clock.timerCount).toBe(0);
});

test('clients of a node that balancers do not name have nothing to stay for', async () => {
  isPrimary = false;
  const done = handOver(parts);
  left();
  await clock.settle();
  drained();
  await done;
  expect(calls).toEqual(['leaving', 'drain: elsewhere', 'clients follow', 'empty 1000', 'clients follow']);
});

test('neither a node that takes nothing over nor a slice that does not end keeps clients here', async () => {
  const done = handOver(parts);
  await clock.advance(2_000);
  left();
  await clock.advance(900);
  expect(calls).toEqual(['leaving', 'drain: elsewhere']);
  await clock.advance(100);
  await clock.advance(500);
  await done;
  expect(calls).toEqual(['leaving', 'drain: elsewhere', 'clients follow', 'empty 1000', 'clients follow']);
});

test('without another node, all stays as it is', async () => {
  const done = handOver(parts);
  await clock.settle();
  // Known only now: it leaves as well.
  hasSuccessor = false;
  left();
  await done;
  expect(calls).toEqual(['leaving', 'clients follow']);
  await handOver({ ...parts, cluster: undefined });
  expect(calls).toEqual(['leaving', 'clients follow']);
});

test('a node that is put back meanwhile keeps what it has', async () => {
  const putBack = new AbortController();
  const done = handOver(parts, putBack.signal);
  await clock.settle();
  putBack.abort();
  left();
  await done;
  expect(calls).toEqual(['leaving']);
});

test('a node that is put back while it gives back its partitions keeps its clients', async () => {
  const putBack = new AbortController();
  const done = handOver(parts, putBack.signal);
  await clock.settle();
  left();
  await clock.settle();
  putBack.abort();
  drained();
  await done;
  expect(calls).toEqual(['leaving', 'drain: elsewhere']);
  expect(clock.timerCount).toBe(0);
});

test('a node that is put back while others begin keeps its clients', async () => {
  const putBack = new AbortController();
  const done = handOver(parts, putBack.signal);
  left();
  await clock.settle();
  drained();
  await clock.advance(100);
  putBack.abort();
  await done;
  expect(calls).toEqual(['leaving', 'drain: elsewhere']);
  expect(clock.timerCount).toBe(0);
});
