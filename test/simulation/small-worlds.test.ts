import { expect, test } from 'vitest';
import { countBytes, countMessages, FAULT_KINDS, withCut, withFaults } from './small-worlds.ts';

test.each(FAULT_KINDS)('at every message of a small history: %s', { timeout: 120_000 }, async (kind) => {
  const count = await countMessages();
  expect(count).toBeGreaterThan(100);
  const broken: string[] = [];
  for (let at = 1; at <= count; at++) {
    const { violations } = await withFaults([{ at, kind }]);
    if (violations.length > 0) broken.push(`${kind} at ${at}: ${violations[0]}`);
  }
  expect(broken.slice(0, 10)).toEqual([]);
});

test.each(['to the node', 'to the client'] as const)(
  'the connection is cut in the middle of what it carries %s',
  { timeout: 120_000 },
  async (direction) => {
    const bytes = await countBytes(direction);
    expect(bytes).toBeGreaterThan(300);
    const broken: string[] = [];
    for (let at = 0; at < bytes; at++) {
      const { violations } = await withCut(direction, at);
      if (violations.length > 0) broken.push(`cut after ${at} bytes: ${violations[0]}`);
    }
    expect(broken.slice(0, 10)).toEqual([]);
  },
);
