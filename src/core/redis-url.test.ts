import { expect, test } from 'vitest';
import { parseRedisUrl } from './redis-url.ts';

const at = (host: string, port: number) => ({ host, port });

test('one server, with and without user, port, database and TLS', () => {
  const plain = { kind: 'single', secure: false, addresses: [at('r', 6379)], master: '', db: 0 };
  expect(parseRedisUrl('redis://r')).toEqual(plain);
  expect(parseRedisUrl('redis://r:7000/3')).toEqual({ ...plain, addresses: [at('r', 7000)], db: 3 });
  expect(parseRedisUrl('rediss://:p%40ss@[::1]')).toEqual({ ...plain, secure: true, addresses: [at('::1', 6379)], password: 'p@ss' });
  expect(parseRedisUrl('redis://u:p:q@r/')).toEqual({ ...plain, username: 'u', password: 'p:q' });
});

test('Sentinels, the name of the master, and a database', () => {
  const plain = { kind: 'sentinel', secure: false, addresses: [at('a', 26_379), at('b', 7)], master: 'mymaster', db: 0 };
  expect(parseRedisUrl('redis+sentinel://a,b:7/mymaster')).toEqual(plain);
  expect(parseRedisUrl('rediss+sentinel://u:p@a,b:7/mymaster?db=2')).toEqual({
    ...plain,
    secure: true,
    username: 'u',
    password: 'p',
    db: 2,
  });
});

test('nodes of a cluster', () => {
  expect(parseRedisUrl('redis+cluster://:p@a:1,[::2]:3')).toEqual({
    kind: 'cluster',
    secure: false,
    addresses: [at('a', 1), at('::2', 3)],
    password: 'p',
    master: '',
    db: 0,
  });
});

test.each([
  ['redis://', 'must name a host'],
  ['redis://a,b', 'names several servers; write redis+sentinel://'],
  ['redis://a/shop', 'must end in the number of a Redis database'],
  ['redis://u:secret#1@a', 'is not a valid URL'],
  ['redis://a:70000', 'is not a valid URL'],
  ['redis://a:b:c', 'is not a valid URL'],
  ['redis://u:100%secret@a', 'has a % that begins no escape'],
  ['redis+sentinel://a,b', 'must end in the name of the master'],
  ['redis+sentinel://a,,b/m', 'is not a valid URL'],
  ['redis+sentinel://a/m?password=secret', 'may have db'],
  ['redis+cluster://a/1', 'a cluster has database 0 only'],
])('%s: why it is none, without what may be a password', (url, why) => {
  const found = parseRedisUrl(url);
  expect(found).toContain(why);
  expect(found).not.toContain('secret');
});
