import { describe, expect, test } from 'vitest';
import { progressLine, type Progress } from './progress.ts';
import { Refusals } from './send-report.ts';
import { duration, printable, size, textTable } from './text.ts';

const halfway: Progress = {
  readBytes: 500,
  totalBytes: 1000,
  readRows: 4000,
  appliedRows: 3000,
  elapsedMs: 1500,
  lagRows: 1000,
  lagMs: 42,
  trouble: undefined,
};

describe('the progress of a transfer', () => {
  test('shows how much of the file is applied, the speed and the lag', () => {
    expect(progressLine(halfway)).toBe(' 37% [========            ]  3,000 applied  2,000 rows/s  lag 1,000 rows, 42 ms');
  });

  test('has no bar where nobody knows how much comes', () => {
    expect(progressLine({ ...halfway, totalBytes: undefined, lagRows: 0 })).toBe('3,000 applied  2,000 rows/s  no lag');
  });

  test('says why nothing moves', () => {
    expect(progressLine({ ...halfway, trouble: 'held back: queue_full' })).toMatch(/held back: queue_full$/);
  });
});

describe('refusals', () => {
  test('are counted by code, with the first examples of each', () => {
    const refusals = new Refusals();
    for (let id = 1; id <= 5; id++) {
      refusals.rejected({
        sink: 'main',
        code: 'too_long',
        message: 'name is too long',
        partition: 0,
        seq: id,
        changes: [0],
        table: 't',
        rows: [{ table: 't', op: 'insert', row: { id: BigInt(id), name: 'x\u001b[31m' } }],
      });
    }
    refusals.unreadable(7, 'is not valid JSON');
    expect(refusals.total).toBe(6);
    expect(refusals.describe()).toBe(
      '5 × too_long\n' +
        [1, 2, 3].map((id) => `    name is too long: insert t {"id":"${id}","name":"x\\u001b[31m"}\n`).join('') +
        '1 × not sent\n    line 7 is not valid JSON\n',
    );
  });

  test('of a batch that is no longer held count at least one', () => {
    const refusals = new Refusals();
    refusals.rejected({
      sink: 'main',
      code: 'malformed_payload',
      message: 'why',
      partition: 0,
      seq: 1,
      changes: [],
      table: undefined,
      rows: [],
    });
    expect(refusals.total).toBe(1);
    expect(refusals.describe()).toContain('why');
  });
});

test('amounts are shown for people', () => {
  expect([0, 1023, 1536, 5_000_000, 3 * 1024 ** 4].map(size)).toEqual(['0 B', '1023 B', '1.5 KiB', '4.8 MiB', '3.0 TiB']);
  expect([5, 999, 3210, 600_000, 10_000_000, 500_000_000].map(duration)).toEqual(['5 ms', '999 ms', '3.2 s', '10 min', '3 h', '6 d']);
});

test('what others wrote cannot steer the terminal', () => {
  expect(printable('a\u001b[2Jb\u009bc\u202ed\né')).toBe('a\\u001b[2Jb\\u009bc\\u202ed\\u000aé');
});

test('tables line up, numbers to the right', () => {
  expect(
    textTable(
      ['id', 'name'],
      [
        ['1', 'a'],
        ['1,000', 'long'],
      ],
    ),
  ).toBe('  id     name\n      1  a\n  1,000  long');
});
