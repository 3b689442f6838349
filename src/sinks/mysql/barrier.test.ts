import { beforeEach, expect, test } from 'vitest';
import { VirtualClock } from '../../../test/support/virtual-clock.ts';
import { Barrier } from './barrier.ts';

const clock = new VirtualClock();
/** Barriers that were begun: each is ended by hand. */
let begun: PromiseWithResolvers<void>[];
let barrier: Barrier;
let passed: string[];

beforeEach(() => {
  begun = [];
  passed = [];
  const use = () => {
    const one = Promise.withResolvers<void>();
    begun.push(one);
    return one.promise as Promise<never>;
  };
  barrier = new Barrier({ use }, clock);
});

function ask(name: string): void {
  barrier.pass().then(
    () => passed.push(name),
    () => passed.push(`${name} failed`),
  );
}

test('who asks while one runs waits for one that begins later, together with others', async () => {
  ask('first');
  ask('second');
  ask('third');
  await clock.settle();
  expect(begun.length).toBe(1);
  begun[0]!.resolve();
  await clock.settle();
  expect([passed, begun.length]).toEqual([['first'], 2]);
  ask('fourth');
  begun[1]!.resolve();
  await clock.settle();
  expect([passed, begun.length]).toEqual([['first', 'second', 'third'], 3]);
  begun[2]!.resolve();
  await clock.settle();
  expect(passed).toEqual(['first', 'second', 'third', 'fourth']);
  ask('fifth');
  expect(begun.length).toBe(4);
});

test('one that fails is nobody else’s', async () => {
  ask('first');
  ask('second');
  begun[0]!.reject(new Error('away'));
  await clock.settle();
  begun[1]!.resolve();
  await clock.settle();
  expect(passed).toEqual(['first failed', 'second']);
});

test('one that hangs is not waited for', async () => {
  ask('first');
  await clock.advance(999);
  ask('second');
  expect(begun.length).toBe(1);
  await clock.advance(1);
  ask('third');
  expect(begun.length).toBe(2);
  begun[1]!.resolve();
  await clock.settle();
  expect(passed).toEqual(['third']);
  begun[0]!.resolve();
  await clock.settle();
  begun[2]!.resolve();
  await clock.settle();
  expect(passed).toEqual(['third', 'first', 'second']);
});
