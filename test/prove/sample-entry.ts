import type { LedgerEntry } from './ledger-entry.ts';

/** An entry of a ledger, but for what a test is about. */
export function entry(different: Partial<LedgerEntry>): LedgerEntry {
  return {
    part: 'kills',
    source: 'now',
    commit: 'abcdef012345',
    from: 1,
    count: 10,
    target: 100,
    seconds: 1,
    violations: [],
    figures: {},
    machine: { cpu: 'a processor', cores: 2, node: '24.21.0', os: 'Debian' },
    date: '2026-01-31T12:00:00.000Z',
    ...different,
  };
}
