import { describe, expect, test } from 'vitest';
import { codeOf, endsConnection, failureOf, type ServerError } from './errors.ts';

const error = (errno: number, message = '', sqlState = 'HY000'): ServerError => ({ errno, message, sqlState });
const subject = { table: 'orders', keyIndex: 'PRIMARY', columns: ['id', 'total'] };

describe('errors of the server', () => {
  test('have the code that says what to do', () => {
    const codes = [1452, 4025, 1264, 1406, 1048, 1364, 1366, 1146, 1054, 1205, 1213, 1290, 1836, 1114, 1040, 2013, 1142, 1045, 1153].map(
      (errno) => codeOf(error(errno)),
    );
    expect(codes).toEqual([
      'foreign_key',
      'check_failed',
      'out_of_range',
      'too_long',
      'null_not_allowed',
      'null_not_allowed',
      'wrong_type',
      'unknown_table',
      'unknown_column',
      'sink_busy',
      'sink_busy',
      'sink_readonly',
      'sink_readonly',
      'sink_full',
      'sink_unavailable',
      'sink_unavailable',
      'sink_denied',
      'sink_denied',
      'row_too_large',
    ]);
  });

  test('that are not listed are permanent only when the SQLSTATE blames the data', () => {
    expect(['22007', '23000', '44000'].map((state) => failureOf(error(5999, '', state), subject).kind)).toEqual([
      'permanent',
      'permanent',
      'permanent',
    ]);
    expect(['42000', 'HY000', '08S01', '40001', 'XA100'].map((state) => failureOf(error(5999, '', state), subject).kind)).toEqual(
      Array(5).fill('transient'),
    );
  });

  test('about text that a charset lacks are about the change', () => {
    for (const errno of [1267, 1270, 1271]) expect(failureOf(error(errno), subject).code).toBe('wrong_type');
  });

  test('of the storage engine are looked at for a full disk', () => {
    expect(codeOf(error(1030, 'Got error 28 "No space left on device" from storage engine InnoDB'))).toBe('sink_full');
    expect(codeOf(error(3, 'Error writing file \'./binlog.000001\' (Errcode: 28 "No space left on device")'))).toBe('sink_full');
    expect(codeOf(error(1030, 'Got error 168 "Unknown (generic) error from engine" from storage engine InnoDB'))).toBe('sink_unavailable');
  });

  test('about a duplicate tell the key of the change from another unique index, whatever the value says', () => {
    const duplicate = (message: string) => failureOf(error(1062, message, '23000'), subject);
    expect(duplicate("Duplicate entry '1' for key 'PRIMARY'").code).toBe('duplicate_key');
    expect(duplicate("Duplicate entry '1' for key 'orders.PRIMARY'").code).toBe('duplicate_key');
    const other = duplicate("Duplicate entry 'x' for key 'PRIMARY' for key 'number'");
    expect([other.code, other.message]).toEqual(['duplicate_unique', 'orders: another row has the same value in unique index number']);
  });

  test('name table, column and constraint, and nothing of the row', () => {
    const message = (errno: number, text: string) => failureOf(error(errno, text, '22007'), subject).message;
    expect(message(1366, "Incorrect integer value: 'secret for column `a`.`b`.`c`' for column `shop`.`orders`.`total` at row 3")).toMatch(
      /^orders\.total: /,
    );
    expect(message(1406, "Data too long for column 'total' at row 1")).toMatch(/^orders\.total: /);
    expect(message(1048, "Column 'total' cannot be null")).toMatch(/^orders\.total: /);
    expect(message(1364, "Field 'total' doesn't have a default value")).toMatch(/^orders\.total: /);
    expect(message(1292, "Truncated incorrect DOUBLE value: 'secret' for column 'secret'")).toMatch(/^orders: /);
    expect(message(4025, 'CONSTRAINT `positive` failed for `shop`.`orders`')).toMatch(/^orders, constraint positive: /);
    expect(message(3819, "Check constraint 'positive' is violated.")).toMatch(/^orders, constraint positive: /);
    expect(
      message(
        1452,
        'Cannot add or update a child row: a foreign key constraint fails (`shop`.`orders`, CONSTRAINT `buyer` FOREIGN KEY (`b`) REFERENCES `c` (`id`))',
      ),
    ).toMatch(/^orders, constraint buyer: /);
    expect(message(1644, 'CONSTRAINT `secret` said the trigger')).not.toContain('secret');
    expect(failureOf(error(1064, "near 'secret' at line 1", '42000'), subject).message).not.toContain('secret');
  });

  test('of statements that are about no change are never permanent', () => {
    for (const errno of [1146, 1062, 1452, 1366, 1153, 1267]) expect(failureOf(error(errno, 'x', '22000')).kind).toBe('transient');
    const missing = failureOf(error(1146, "Table 'shop.syncline_meta' doesn't exist"), undefined, () => '; it is created again');
    expect(missing.message).toMatch(/'shop\.syncline_meta' doesn't exist; it is created again$/);
    expect(failureOf(error(1366, "Incorrect string value: 'secret'")).message).not.toContain('secret');
  });

  test('end the connection only when it is of no more use', () => {
    expect([2006, 1927, 1053, 1205, 1062, 1064].map((errno) => endsConnection(error(errno)))).toEqual([
      true,
      true,
      true,
      false,
      false,
      false,
    ]);
  });
});
