import { describe, expect, test } from 'vitest';
import { PartitionWork } from './partition-work.ts';

describe('an element that waits for other partitions', () => {
  const STORED_AT_US = 500;

  function since(work: PartitionWork, nowMs: number): number {
    return work.waits(STORED_AT_US, STORED_AT_US, nowMs).sinceMs;
  }

  test('has waited since it was seen in the list', () => {
    const work = new PartitionWork(0);
    work.see(5, 1_000);
    work.see(7, 2_000);
    expect(since(work, 9_000)).toBe(1_000);
  });

  test('waits from now on where nothing was seen, or may be gone', () => {
    const work = new PartitionWork(0);
    expect(since(work, 9_000)).toBe(9_000);
    const forgetful = new PartitionWork(0);
    forgetful.see(5, 1_000);
    forgetful.forgetSeen();
    expect(since(forgetful, 9_000)).toBe(9_000);
  });

  test('waits anew in a list that is shorter than it was: others may stand there', () => {
    const work = new PartitionWork(0);
    work.see(5, 1_000);
    work.see(4, 2_000);
    expect(since(work, 9_000)).toBe(2_000);
  });
});

describe('looking for losses', () => {
  test('is done when it was, and again when it failed or was asked for meanwhile', async () => {
    const work = new PartitionWork(0);
    await expect(work.heal(() => Promise.reject(new Error('the test said so')))).rejects.toThrow();
    expect(work.needsHeal).toBe(true);
    const look = Promise.withResolvers<'intact' | 'lost'>();
    const healing = work.heal(() => look.promise);
    work.distrustList();
    look.resolve('intact');
    await healing;
    expect(work.needsHeal).toBe(true);
    await work.heal(async () => 'lost');
    expect(work.needsHeal).toBe(false);
  });
});
