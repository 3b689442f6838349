import { describe, expect, test } from 'vitest';
import { changesOf, type Workload } from '../workload.ts';
import { checkContents, expectedContents, itemChecksum } from './expected.ts';

const workload = (kind: Workload['kind'], changes = 500): Workload => ({ kind, changes, seed: 7 });

describe('what a table must hold', () => {
  test('is one row for every insert', () => {
    let checksum = 0;
    for (const item of changesOf(workload('inserts'))) checksum += itemChecksum(item);
    expect(expectedContents(workload('inserts'))).toEqual({ rows: 500, checksum });
  });

  test('is the last version of every row that was updated, and the first of the others', () => {
    const { rows, checksum } = expectedContents(workload('hot-keys'));
    expect(rows).toBe(500);
    expect(checksum).not.toBe(expectedContents(workload('updates')).checksum);
  });

  test('differs when one value of one row does', () => {
    const found = expectedContents(workload('inserts'));
    expect(() => checkContents(found, workload('inserts'))).not.toThrow();
    const [item] = changesOf(workload('inserts')) as unknown as Iterable<readonly unknown[]>;
    const changed = found.checksum - itemChecksum(item as readonly unknown[]) + itemChecksum([...(item as readonly unknown[])].with(4, 77));
    expect(() => checkContents({ ...found, checksum: changed }, workload('inserts'))).toThrow('does not hold what was sent');
    expect(() => checkContents({ ...found, rows: found.rows - 1 }, workload('inserts'))).toThrow('499 rows');
  });
});
