import { beforeEach, expect, test } from 'vitest';
import { VirtualClock } from '../../test/support/virtual-clock.ts';
import { FailedAttempts, type Refusal } from './failed-attempts.ts';

let clock: VirtualClock;
let attempts: FailedAttempts;
let told: Refusal[];
beforeEach(() => {
  clock = new VirtualClock();
  told = [];
  attempts = new FailedAttempts({ clock, random: { fill: () => {}, fraction: () => 0 }, onRefused: (refusal) => told.push(refusal) });
});

const refusal = (address: string, claimedId?: string): Refusal => ({ reason: 'unknown_token', address, claimedId, producer: undefined });

/** After how many ms a failure now would be answered. */
async function delayOf(one: Refusal): Promise<number> {
  const fromMs = clock.monotonicMs();
  const answered: number[] = [];
  void attempts.refused(one).then(() => answered.push(clock.monotonicMs()));
  for (let ms = 0; ms < 10_000 && answered.length === 0; ms += 100) await clock.advance(100);
  return answered[0]! - fromMs;
}

test('an answer waits, twice as long after ten failures of one address, and four seconds at most', async () => {
  const delays: number[] = [];
  for (let i = 0; i < 60; i++) delays.push(await delayOf(refusal('10.0.0.1')));
  expect([...new Set(delays)]).toEqual([100, 200, 400, 800]);
  expect(delays.slice(8, 12)).toEqual([100, 100, 200, 200]);
  expect(await delayOf(refusal('10.0.0.2'))).toBe(100);
  expect(told).toHaveLength(61);
});

test('guesses at one token from many addresses count together', async () => {
  for (let i = 0; i < 10; i++) await delayOf(refusal(`10.0.0.${i}`, 'shop-1'));
  expect(await delayOf(refusal('10.0.1.1', 'shop-1'))).toBe(200);
  expect(await delayOf(refusal('10.0.1.2', 'shop-2'))).toBe(100);
});

test('what failed long ago is forgotten', async () => {
  for (let i = 0; i < 20; i++) await delayOf(refusal('10.0.0.1'));
  await clock.advance(60_001);
  expect(await delayOf(refusal('10.0.0.1'))).toBe(100);
});

test('no more than 512 answers wait: who has waited longest is answered early', async () => {
  const answered: number[] = [];
  for (let i = 0; i < 600; i++) void attempts.refused(refusal(`10.0.${i >> 8}.${i & 255}`)).then(() => answered.push(i));
  await clock.settle();
  expect(attempts.waiting).toBe(512);
  expect(clock.timerCount).toBe(512);
  expect(answered).toEqual(Array.from({ length: 88 }, (_, i) => i));
});

test('one that guesses too fast has its own answers early, and nobody else has', async () => {
  const answered: string[] = [];
  const ask = (address: string) => void attempts.refused(refusal(address)).then(() => answered.push(address));
  ask('10.0.0.1');
  for (let i = 0; i < 1_000; i++) ask(`2001:db8::${i.toString(16)}`);
  ask('10.0.0.2');
  await clock.settle();
  expect(attempts.waiting).toBe(512);
  expect(answered.filter((address) => address.startsWith('10.'))).toEqual([]);
  await clock.advance(100);
  expect(answered.filter((address) => address.startsWith('10.'))).toEqual(['10.0.0.1', '10.0.0.2']);
});

test('only so many addresses are remembered, the latest', async () => {
  for (let i = 0; i < 10; i++) await delayOf(refusal('10.9.9.9'));
  for (let i = 0; i < 4_096; i++) void attempts.refused(refusal(`10.0.${i >> 8}.${i & 255}`));
  expect(await delayOf(refusal('10.9.9.9'))).toBe(100);
});

test('nobody waits any more once it is closed', async () => {
  const waiting = attempts.refused(refusal('10.0.0.1'));
  attempts.close();
  await waiting;
  expect(clock.timerCount).toBe(0);
});
