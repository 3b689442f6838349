import { describe, expect, test } from 'vitest';
import { auditFaults, auditLetters, splitRepeats, staleKeys, type AuditRow } from './audit.ts';

const history = { spooled: new Map([[1, 4]]), refused: new Set<string>(), complaints: [] };
const [n1, n2, n3, n4] = [
  { gen: 1, n: 1, id: 7 },
  { gen: 1, n: 2, id: 8 },
  { gen: 1, n: 3, id: 7 },
  { gen: 1, n: 4, id: 8 },
] as const;
const audit = [n1, n2, n3, n4];
const faultsOf = (rows: readonly AuditRow[], items: readonly AuditRow[] = [n3, n4]) => auditFaults(history, rows, items, 2);

describe('the audit', () => {
  test('finds nothing wrong with a history in which every row took effect once and in order', () => {
    expect(faultsOf(audit)).toEqual([]);
    expect(faultsOf([n2, n1, n3, n4])).toEqual([]);
  });

  test('finds nothing wrong with rows that the client had not yet made sure of', () => {
    expect(faultsOf([...audit, { gen: 1, n: 6, id: 8 }], [n3, { gen: 1, n: 6, id: 8 }])).toEqual([]);
  });

  test('finds a row that took effect twice', () => {
    expect(faultsOf([...audit, n4])).toContain('generation 1: n 4 took effect 2 times');
  });

  test('finds a row that is missing in the middle', () => {
    expect(faultsOf([n2, n3, n4])).toContain('generation 1: n 1 is missing, the client had made sure of 4');
    expect(faultsOf([n2, n3, n4])).toContain('key 7: n 3 took effect after nothing');
  });

  test('finds a row that is missing at the end although the client had made sure of it', () => {
    expect(faultsOf([n1, n2, n3], [n3, n2])).toEqual(['generation 1: n 4 is missing, the client had made sure of 4']);
  });

  test('finds two rows of a key in the wrong order', () => {
    expect(faultsOf([n3, n2, n1, n4], [n1, n4])).toContain('key 7: n 1 took effect after 3');
  });

  test('finds a table that does not hold the last row of a key', () => {
    expect(faultsOf(audit, [n1, n4])).toEqual(['key 7: holds n 1, the last one applied was 3']);
  });

  test('finds a row that went away', () => {
    expect(faultsOf(audit, [n4])).toEqual(['1 rows remain of 2 keys']);
  });

  test('passes on what the client complained about', () => {
    expect(auditFaults({ ...history, complaints: ['rejected {}'] }, audit, [n3, n4], 2)).toEqual(['rejected {}']);
  });
});

describe('the search for stale keys', () => {
  const sure = { spooled: new Map([[1, 5]]), refused: new Set<string>(), complaints: [] };

  test('accepts newer rows than the client had made sure of', () => {
    expect(
      staleKeys(
        sure,
        [
          { gen: 1, n: 6, id: 2 },
          { gen: 1, n: 5, id: 3 },
        ],
        2,
      ),
    ).toEqual([]);
  });

  test('finds an older row and a missing one', () => {
    expect(staleKeys(sure, [{ gen: 1, n: 3, id: 3 }], 2)).toEqual([
      'key 2: holds n nothing, the client had made sure of 4',
      'key 3: holds n 3, the client had made sure of 5',
    ]);
  });
});

describe('the audit of dead letters', () => {
  const told = { spooled: new Map([[1, 5]]), refused: new Set(['1 2', '1 4']), complaints: [] };
  const letters = [
    { gen: 1, n: 2 },
    { gen: 1, n: 4 },
  ];

  test('finds nothing wrong when each refused row is a dead letter once and was told', () => {
    expect(auditLetters(told, letters, 2)).toEqual({ lost: [], duplicated: [], outOfOrder: [], other: [] });
  });

  test('finds one that is missing, one that is there twice, and one that nobody was told of', () => {
    expect(auditLetters(told, letters.slice(1), 2).lost).toEqual(['refused row 1 2 is no dead letter']);
    expect(auditLetters(told, [...letters, ...letters.slice(1)], 2).duplicated).toEqual(['refused row 1 4 is a dead letter 2 times']);
    expect(auditLetters({ ...told, refused: new Set(['1 2']) }, letters, 2).lost).toEqual(['refused row 1 4 was not told to the client']);
  });
});

describe('what an old copy of the client held', () => {
  const repeatable = new Set(['1 1', '1 3']);
  const split = (rows: readonly AuditRow[], items: readonly AuditRow[]) => splitRepeats(rows, items, repeatable);

  test('may take effect once more, in its order, and the rest is audited as if it had not', () => {
    const { audit: firsts, items, outOfOrder } = split([...audit, n1, n3], [n3, n4]);
    expect([firsts, items, outOfOrder]).toEqual([audit, [n3, n4], []]);
    expect(faultsOf(firsts, items)).toEqual([]);
  });

  test('may have put an older row in place of a newer one', () => {
    const { audit: firsts, items } = split([...audit, n1], [n1, n4]);
    expect(faultsOf(firsts, items)).toEqual([]);
    expect(faultsOf(split([...audit, n1], [n3, n4]).audit, split([...audit, n1], [n1, n2]).items)).not.toEqual([]);
  });

  test('may not come a third time, nor may anything else come twice, nor in another order', () => {
    expect(faultsOf(split([...audit, n1, n1], [n1, n4]).audit)).toContain('generation 1: n 1 took effect 2 times');
    expect(faultsOf(split([...audit, n4], [n3, n4]).audit)).toContain('generation 1: n 4 took effect 2 times');
    expect(split([...audit, n3, n1], [n1, n4]).outOfOrder).toEqual(['key 7: n 1 took effect again after 3']);
  });
});
