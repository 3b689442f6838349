import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Queue } from '../../src/queue/queue.ts';
import { openRedisQueue } from '../../src/queue/redis/redis-queue.ts';
import { recordOfSettings } from '../../src/queue/settings.ts';
import { A, ALL, B, codeOf, entries, entry, lease, placeAt, SETTINGS } from '../contract/queue.contract.ts';
import { eventually } from '../support/eventually.ts';
import { redisAvailable, startRedis, type RedisServer } from '../support/redis-server.ts';

describe.skipIf(!redisAvailable())('what a newer version has written in Redis', () => {
  let server: RedisServer;
  let queue: Queue;
  beforeEach(async () => {
    server = await startRedis();
    queue = await openRedisQueue(SETTINGS, { url: server.url, pollMs: 100 });
    await queue.append(1, [...entries(A, 1, 3), ...entries(B, 1, 1)]);
    await queue.acquire(lease(1), 'node', 60_000, 'steal');
  });
  afterEach(async () => {
    await queue.close();
    await server.close();
  });

  /** Everything of partition 1, as Redis has it. */
  const contents = () =>
    Promise.all([
      server.command('HGET', 'syncline:{1}:streams', A),
      server.command('HGET', 'syncline:{1}:streams', B),
      server.command('LLEN', 'syncline:{1}:list:main'),
      server.command('HGET', 'syncline:{1}:meta', 'ordinal'),
    ]);

  test('as the record of a stream: nothing is judged, raised, trimmed or healed by it, and nothing is changed', async () => {
    await server.command('HSET', 'syncline:{1}:streams', A, 'v2;seq=3');
    const elements = await queue.fetch('main', 1, ALL);
    const before = await contents();
    expect(await codeOf(queue.append(1, [entry(B, 2), entry(A, 4)]))).toBe('newer_format');
    expect(await codeOf(queue.raise([{ partition: 1, stream: A, producer: 'shop', place: placeAt(9) }]))).toBe('newer_format');
    expect(await codeOf(queue.streams(1))).toBe('newer_format');
    const last = elements.at(-1)?.identity as Uint8Array;
    const resets = [
      { stream: B, place: placeAt(0) },
      { stream: A, place: placeAt(1) },
    ];
    expect(await codeOf(queue.trim(lease(1), elements.length, last, resets))).toBe('newer_format');
    expect(await contents()).toEqual(before);
    expect(await queue.trim(lease(1), elements.length, last, [])).toBe(true);
    expect(await codeOf(queue.heal(lease(1), new Map([[A, placeAt(0)]])))).toBe('newer_format');
  });

  test('at the head of a list: no stream is set back because of it', async () => {
    // Its ordinal, as this version would read it, is beyond every other.
    await server.command(
      'EVAL',
      "return redis.call('LPUSH', KEYS[1], string.char(77) .. string.rep('z', 60))",
      '1',
      'syncline:{1}:list:main',
    );
    expect(await codeOf(queue.fetch('main', 1, ALL))).toBe('newer_format');
    expect(await queue.heal(lease(1), new Map([[A, placeAt(0)]]))).toEqual([]);
    expect(await queue.streams(1)).toEqual(
      new Map([
        [A, placeAt(3)],
        [B, placeAt(1)],
      ]),
    );
  });

  test('as the settings: a node that runs takes nothing more, and says which version to run; one that starts does not', async () => {
    const newer = recordOfSettings(SETTINGS).replace('"format":1', '"format":2');
    await server.command('HSET', 'syncline:meta', 'settings', newer);
    await server.command('HSET', 'syncline:{1}:meta', 'settings', newer);
    expect(await codeOf(queue.append(1, [entry(A, 4)]))).toBe('queue_mismatch');
    await eventually(() =>
      expect(queue.admission).toMatchObject({ reason: expect.stringMatching(/^queue_mismatch: .*format 2.* newer version/) }),
    );
    expect(await codeOf(openRedisQueue(SETTINGS, { url: server.url }))).toBe('queue_mismatch');
  });
});
