import { describe, expect, test } from 'vitest';
import { driverOptions, parseAddress } from './address.ts';

describe('the address of a database', () => {
  test('is read from its URL', () => {
    expect(parseAddress('mysql://us%40er:p%3Ass@db.example:3307/my%20shop')).toEqual({
      host: 'db.example',
      port: 3307,
      user: 'us@er',
      password: 'p:ss',
      database: 'my shop',
      socket: undefined,
    });
    expect(parseAddress('mariadb://root@[::1]/d')).toMatchObject({ host: '::1', port: 3306, password: '' });
    expect(parseAddress('mysql://root@localhost/d?socket=/run/mysqld/mysqld.sock').socket).toBe('/run/mysqld/mysqld.sock');
  });

  test('is refused without repeating what it held', () => {
    for (const url of [
      'mysql://user:hunter2@',
      'mysql://user:hunter2@host',
      'mysql://user:hunter2@host/',
      'mysql://user:hunter2%@host/d',
      'mysql://user:hunter2@host/a/b',
      'http://user:hunter2@host/d',
      'hunter2',
    ]) {
      let message = '';
      try {
        parseAddress(url);
      } catch (error) {
        message = String(error);
      }
      expect(message).toMatch(/sink URL/);
      expect(message).not.toContain('hunter2');
    }
  });

  test('becomes options that neither read local files nor run several statements nor evaluate code', async () => {
    const options = await driverOptions(parseAddress('mysql://u@h/d'), undefined);
    expect(options).toMatchObject({
      disableEval: true,
      multipleStatements: false,
      compress: false,
      flags: expect.arrayContaining(['-LOCAL_FILES']),
    });
    expect(options.ssl).toBeUndefined();
    expect((await driverOptions(parseAddress('mysql://u@h/d'), {})).ssl).toMatchObject({
      rejectUnauthorized: true,
      verifyIdentity: true,
      minVersion: 'TLSv1.2',
    });
    expect((await driverOptions(parseAddress('mysql://u@h/d'), { rejectUnauthorized: false })).ssl).toMatchObject({
      rejectUnauthorized: false,
      verifyIdentity: false,
    });
  });
});
