import { expect, test } from 'vitest';
import { replicationWarnings } from './replication-warnings.ts';

const NOT_ENOUGH = /min-replicas-to-write 0: a master that is cut off/;
const TOO_MANY = /one replica: without that one it takes no writes/;

/** What INFO says of a server with so many replicas; `needs` as with min-replicas-to-write 1. */
function warningsOf(connected: number, needs: 'none' | 'one'): string {
  const info = new Map([['connected_slaves', String(connected)]]);
  if (needs === 'one') info.set('min_slaves_good_slaves', String(connected));
  return replicationWarnings(info, 0).join('\n');
}

test('two replicas can do without one, so one should be asked for', () => {
  expect(warningsOf(2, 'none')).toMatch(NOT_ENOUGH);
  expect(warningsOf(2, 'one')).toBe('');
});

test('of one replica none should be asked for: the other would stop with either', () => {
  expect(warningsOf(1, 'one')).toMatch(TOO_MANY);
  expect(warningsOf(1, 'none')).toBe('');
});

test('of none there is nothing to say', () => {
  expect(warningsOf(0, 'none')).toBe('');
});
