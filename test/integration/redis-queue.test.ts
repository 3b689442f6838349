import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { openQueueReader } from '../../src/queue/open.ts';
import type { Queue, QueueEvent } from '../../src/queue/queue.ts';
import { RedisLink } from '../../src/queue/redis/link.ts';
import { openRedisQueue, type RedisQueueOptions } from '../../src/queue/redis/redis-queue.ts';
import { A, ALL, B, codeOf, entries, entry, lease, placeAt, SETTINGS, texts } from '../contract/queue.contract.ts';
import { createCertificate } from '../support/certificate.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { freeze, thaw } from '../support/freeze.ts';
import { redisAvailable, startRedis, type RedisServer, type RedisServerOptions } from '../support/redis-server.ts';

const TWO_SINKS = { ...SETTINGS, sinks: ['main', 'audit'].map((name) => ({ name, required: true })) };

describe.skipIf(!redisAvailable())('a queue in Redis', () => {
  const cleanups: (() => unknown)[] = [];
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  });

  const start = async (options: RedisServerOptions = {}): Promise<RedisServer> => {
    const server = await startRedis(options);
    cleanups.push(() => server.close());
    return server;
  };
  const open = async (url: string, options: Partial<RedisQueueOptions> = {}, settings = SETTINGS): Promise<Queue> => {
    const queue = await openRedisQueue(settings, { url, pollMs: 100, commandTimeoutMs: 1000, ...options });
    cleanups.push(() => queue.close());
    return queue;
  };
  const reason = (queue: Queue) => (queue.admission.state === 'held' ? queue.admission.reason : 'open');
  const becomes = (queue: Queue, pattern: RegExp) => eventually(() => expect(reason(queue)).toMatch(pattern));
  const drain = async (queue: Queue) => {
    const held = lease(1);
    expect(await queue.acquire(held, 'node', 60_000, 'steal')).toMatchObject({ taken: true });
    for (;;) {
      const elements = await queue.fetch('main', 1, { elements: 256, bytes: 8 << 20 });
      const last = elements.at(-1);
      if (last === undefined) break;
      const apart = [...new Set(elements.flatMap((element) => element.apart ?? []))];
      expect(await queue.trim(held, elements.length, last.identity, [], apart)).toBe(true);
      expect(await queue.renew([held], 60_000)).toEqual([true]);
    }
    expect(await queue.heal(held, new Map())).toEqual([]);
    await queue.release([held]);
  };

  const listener = (queue: Queue) => {
    const heard: string[] = [];
    queue.watch((event) => {
      if (event.type === 'announced') heard.push(event.message);
      else if (event.type === 'listening') heard.push('(listens)');
    });
    return heard;
  };

  describe('that is full', () => {
    test('refuses appends, drains by itself with its leases, and opens again', async () => {
      const server = await start({ args: ['--maxmemory', '16mb', '--maxmemory-policy', 'noeviction'] });
      const queue = await open(server.url, { pressurePercent: 100 });
      let seq = 0;
      const full = await eventually(async () => {
        for (;;) {
          const [result] = await queue.append(1, [entry(A, seq + 1, { frame: Buffer.alloc(100_000) })]);
          expect(result?.verdict).toBe('append');
          seq++;
        }
      }, 0).catch((error: unknown) => error);
      expect(full).toMatchObject({ code: 'queue_full', kind: 'transient' });
      expect(seq).toBeGreaterThan(50);
      expect(reason(queue)).toMatch(/^queue_full: /);
      // Another client takes what is left, so that not even a small write has room.
      await fill(server);
      expect(await queue.raise([{ partition: 1, stream: A, producer: 'shop', place: { seq: 0, crc: 0 } }])).toEqual([placeAt(seq)]);
      // Nodes can still find each other, and take over.
      expect((await queue.keepMember({ name: 'a', incarnation: '1', about: '' }, 60_000)).members).toMatchObject([{ name: 'a' }]);
      expect(await queue.acquire(lease(2, '1'), 'a', 60_000, 'wait')).toEqual({ taken: true, before: undefined });
      expect(await queue.acquire(lease(2, '2'), 'b', 60_000, 'take')).toEqual({ taken: true, before: 'a' });
      await drain(queue);
      expect(await queue.backlog('main')).toMatchObject([{}, { count: 0, bytes: 0 }, {}, {}]);
      await becomes(queue, /^open$/);
      expect((await queue.append(1, [entry(A, seq + 1)]))[0]?.verdict).toBe('append');
    });

    test('holds producers back before it is full, and not for every byte around the limit', async () => {
      const server = await start({ args: ['--maxmemory', '20mb', '--maxmemory-policy', 'noeviction'] });
      const queue = await open(server.url, { pressurePercent: 70 });
      let seq = 0;
      await eventually(async () => {
        await queue.append(1, [entry(A, ++seq, { frame: Buffer.alloc(200_000) })]);
        expect(reason(queue)).toMatch(/^queue_full: redis uses more than 70 %/);
      });
      // What is in flight still has room.
      expect((await queue.append(1, [entry(A, seq + 1)]))[0]?.verdict).toBe('append');
      await drain(queue);
      await becomes(queue, /^open$/);
    });
  });

  describe('that may evict', () => {
    test('holds admission at the start until the policy is noeviction', async () => {
      const server = await start({ args: ['--maxmemory', '100mb', '--maxmemory-policy', 'allkeys-lru'] });
      const queue = await open(server.url);
      expect(reason(queue)).toMatch(/^queue_evicting: .*allkeys-lru/);
      await server.command('CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
      await becomes(queue, /^open$/);
    });

    test('is noticed when the policy changes at runtime', async () => {
      const server = await start({ args: ['--maxmemory', '100mb'] });
      const queue = await open(server.url, { pollMs: 50 });
      expect(reason(queue)).toBe('open');
      await server.command('CONFIG', 'SET', 'maxmemory-policy', 'volatile-ttl');
      await becomes(queue, /^queue_evicting: .*volatile-ttl/);
    });
  });

  describe('that takes no writes', () => {
    test('as a replica: held, and open again when it is the master', async () => {
      const server = await start();
      const queue = await open(server.url);
      await queue.append(1, entries(A, 1, 1));
      await server.command('REPLICAOF', '127.0.0.1', String(await freePort()));
      expect(await codeOf(queue.append(1, entries(A, 2, 2)))).toBe('queue_readonly');
      await becomes(queue, /^queue_readonly: .*READONLY/);
      await server.command('REPLICAOF', 'NO', 'ONE');
      await becomes(queue, /^open$/);
      expect((await queue.append(1, entries(A, 2, 2)))[0]?.verdict).toBe('append');
    });

    test('because its disk takes nothing: held, still read, and open again when it can save', async () => {
      const server = await start({ args: ['--enable-protected-configs', 'yes'] });
      const queue = await open(server.url);
      await queue.append(1, entries(A, 1, 1));
      const gone = mkdtempSync(join(tmpdir(), 'syncline-no-disk-'));
      await server.command('CONFIG', 'SET', 'dir', gone);
      rmSync(gone, { recursive: true });
      // With points at which it saves, Redis refuses writes after a save that failed.
      await server.command('CONFIG', 'SET', 'save', '3600 1');
      await server.command('BGSAVE');
      await becomes(queue, /^queue_readonly: .*MISCONF/);
      expect(await codeOf(queue.append(1, entries(A, 2, 2)))).toBe('queue_readonly');
      expect(await queue.fetch('main', 1, ALL)).toHaveLength(1);
      await server.command('CONFIG', 'SET', 'dir', server.dir);
      await server.command('BGSAVE');
      await becomes(queue, /^open$/);
      expect((await queue.append(1, entries(A, 2, 2)))[0]?.verdict).toBe('append');
    });

    test('for want of replicas: held, still read, and open again when it takes writes', async () => {
      const server = await start();
      const queue = await open(server.url);
      await server.command('CONFIG', 'SET', 'min-replicas-to-write', '1');
      expect(await codeOf(queue.append(1, entries(A, 1, 1)))).toBe('queue_readonly');
      expect(await codeOf(queue.acquire(lease(1), 'node', 1000, 'steal'))).toBe('queue_readonly');
      await becomes(queue, /^queue_readonly: .*NOREPLICAS/);
      expect(await queue.fetch('main', 1, ALL)).toEqual([]);
      await server.command('CONFIG', 'SET', 'min-replicas-to-write', '0');
      await becomes(queue, /^open$/);
    });
  });

  describe('that goes and comes', () => {
    test('killed with an append-only file: nothing acknowledged is lost, and each return is reported once', async () => {
      const server = await start({ args: ['--appendonly', 'yes', '--appendfsync', 'always'] });
      const queue = await open(server.url);
      const events: QueueEvent[] = [];
      queue.watch((event) => events.push(event));
      await queue.append(1, entries(A, 1, 50));
      await server.kill('SIGKILL');
      await becomes(queue, /^queue_unavailable: /);
      expect(await codeOf(queue.append(1, entries(A, 51, 51)))).toBe('queue_unavailable');
      await server.restart();
      await becomes(queue, /^open$/);
      expect(await queue.fetch('main', 1, ALL)).toHaveLength(50);
      expect((await queue.append(1, entries(A, 50, 51))).map((result) => result.verdict)).toEqual(['duplicate', 'append']);
      const told = events.map((event) => (event.type === 'admission' ? event.admission.state : event.type));
      // The reason for being held may change on the way.
      expect(told.filter((word, i) => word !== told[i - 1])).toEqual(['held', 'connected', 'open']);
    });

    test('comes back empty: a gap, and raising the floor heals it', async () => {
      const server = await start();
      const queue = await open(server.url);
      await queue.append(1, entries(A, 1, 5));
      await server.restart();
      await becomes(queue, /^open$/);
      await eventually(async () => expect(await queue.append(1, [entry(A, 6)])).toEqual([{ verdict: 'gap', stored: { seq: 0, crc: 0 } }]));
      expect(await queue.raise([{ partition: 1, stream: A, producer: 'shop', place: placeAt(3) }])).toEqual([placeAt(3)]);
      expect((await queue.append(1, entries(A, 4, 6))).map((result) => result.verdict)).toEqual(['append', 'append', 'append']);
    });

    test('is away at the start: the queue opens, and is checked when Redis comes', async () => {
      const port = await freePort();
      const queue = await open(`redis://127.0.0.1:${port}`);
      expect(reason(queue)).toMatch(/^queue_unavailable: .*ECONNREFUSED/);
      expect(await codeOf(queue.streams(1))).toBe('queue_unavailable');
      await start({ port });
      await becomes(queue, /^open$/);
      expect((await queue.append(1, entries(A, 1, 1)))[0]?.verdict).toBe('append');
    });

    test('comes late and holds other settings: admission stays held and every append is refused', async () => {
      const server = await start({ args: ['--appendonly', 'yes', '--appendfsync', 'always'] });
      await (await open(server.url)).close();
      await server.kill('SIGKILL');
      const other = { ...SETTINGS, partitions: 16, mapping: 'x' };
      const late = await open(server.url, {}, other);
      expect(reason(late)).toMatch(/^queue_unavailable: /);
      await server.restart();
      await becomes(late, /^queue_mismatch: .*partitions 4 there, 16 here; mapping "digest" there, "x" here/);
      expect(await codeOf(late.append(1, entries(A, 1, 1)))).toBe('queue_mismatch');
      expect(await codeOf(open(server.url, {}, other))).toBe('queue_mismatch');
    });

    test('settings that change under a running node hold it and refuse its appends', async () => {
      const server = await start();
      const queue = await open(server.url);
      await server.command('FLUSHALL');
      await server.command('HSET', 'syncline:meta', 'settings', '{"partitions":99}');
      await becomes(queue, /^queue_mismatch: .*partitions 99 there, 4 here/);
      expect(await codeOf(queue.append(1, entries(A, 1, 1)))).toBe('queue_mismatch');
    });

    test('a partition that another set of sinks has written refuses appends and floors', async () => {
      const server = await start();
      const queue = await open(server.url);
      await server.command('HSET', 'syncline:{1}:meta', 'settings', '{"partitions":99}');
      expect(await codeOf(queue.append(1, entries(A, 1, 1)))).toBe('queue_mismatch');
      expect(await codeOf(queue.raise([{ partition: 1, stream: A, producer: 'shop', place: placeAt(3) }]))).toBe('queue_mismatch');
      expect((await queue.append(2, entries(A, 1, 1)))[0]?.verdict).toBe('append');
    });

    test('loads its files for a while: held until it is done', async () => {
      const server = await start({
        args: ['--appendonly', 'yes', '--key-load-delay', '1000', '--loading-process-events-interval-bytes', '1024'],
      });
      const queue = await open(server.url);
      await queue.append(1, entries(A, 1, 3));
      await server.command('EVAL', 'for i = 1, 1500 do redis.call("SET", "filler:" .. i, string.rep("x", 100)) end', '0');
      await server.command('BGREWRITEAOF');
      await eventually(async () =>
        expect(await server.command('INFO', 'persistence')).toMatch(/aof_rewrite_in_progress:0[^]*aof_last_bgrewrite_status:ok/),
      );
      const restarted = server.restart();
      await becomes(queue, /^queue_unavailable: .*LOADING/);
      await restarted;
      await becomes(queue, /^open$/);
      expect(await queue.fetch('main', 1, ALL)).toHaveLength(3);
    });

    test('stands still: a call ends at its deadline, and made again it is a duplicate', async () => {
      const server = await start();
      const queue = await open(server.url, { commandTimeoutMs: 300 });
      await queue.append(1, entries(A, 1, 1));
      await freeze(server.pid);
      expect(await codeOf(queue.append(1, entries(A, 2, 3)))).toBe('queue_unavailable');
      await becomes(queue, /^queue_unavailable: /);
      thaw(server.pid);
      await becomes(queue, /^open$/);
      await eventually(async () =>
        expect((await queue.append(1, entries(A, 2, 3))).map((result) => result.verdict)).toEqual(['duplicate', 'duplicate']),
      );
      expect(texts(await queue.fetch('main', 1, ALL))).toEqual(['a1', 'a2', 'a3']);
    });

    test('after closing, every call ends and nothing keeps trying', async () => {
      const server = await start();
      const queue = await open(server.url);
      const late = queue.append(1, entries(A, 1, 1)).then(
        () => 'stored',
        (error: { code: string }) => error.code,
      );
      await queue.close();
      await queue.close();
      expect(['stored', 'queue_unavailable']).toContain(await late);
      expect(await codeOf(queue.append(1, entries(A, 2, 2)))).toBe('queue_unavailable');
      await eventually(async () => expect(await server.command('CLIENT', 'LIST')).not.toContain('name=syncline'));
    });
  });

  test('scripts that Redis has forgotten are sent again', async () => {
    const server = await start();
    const queue = await open(server.url);
    await queue.append(1, entries(A, 1, 1));
    await server.command('SCRIPT', 'FLUSH');
    expect((await queue.append(1, entries(A, 2, 2)))[0]?.verdict).toBe('append');
    await server.command('SCRIPT', 'FLUSH');
    expect(await queue.fetch('main', 1, ALL)).toHaveLength(2);
  });

  test('whose head is damaged gives no age of it, and it is trimmed and healed', async () => {
    const server = await start();
    const queue = await open(server.url);
    await queue.append(1, [...entries(A, 1, 1), entry(B, 1)]);
    // The first byte of the stream.
    await server.command(
      'EVAL',
      `local head = redis.call('LINDEX', KEYS[1], 0)
       local flipped = string.char(bit.bxor(string.byte(head, 31), 64))
       return redis.call('LSET', KEYS[1], 0, string.sub(head, 1, 30) .. flipped .. string.sub(head, 32))`,
      '1',
      'syncline:{1}:list:main',
    );
    expect((await queue.backlog('main'))[1]).toMatchObject({ count: 2, headStoredAtUs: 0 });
    const elements = await queue.fetch('main', 1, ALL);
    expect(elements.map(({ kind, stream }) => [kind, stream])).toEqual([
      ['damaged', ''],
      ['frame', B],
    ]);
    const held = lease(1);
    await queue.acquire(held, 'node', 60_000, 'steal');
    expect(await queue.trim(held, 1, elements[0]!.identity, [])).toBe(true);
    const nothing = { seq: 0, crc: 0 };
    expect(
      await queue.heal(
        held,
        new Map([
          [A, nothing],
          [B, nothing],
        ]),
      ),
    ).toEqual([A]);
  });

  test('numbers pushes beyond 32 bits', async () => {
    const server = await start();
    const queue = await open(server.url);
    await queue.append(1, entries(A, 1, 1));
    await server.command('HSET', 'syncline:{1}:meta', 'ordinal', String(3 * 2 ** 32 + 5));
    await queue.append(1, entries(A, 2, 2));
    expect((await queue.fetch('main', 1, ALL)).map(({ kind, ordinal }) => [kind, ordinal])).toEqual([
      ['frame', 1],
      ['frame', 3 * 2 ** 32 + 6],
    ]);
  });

  test('two installations share a server under two prefixes', async () => {
    const server = await start();
    const one = await open(server.url, { prefix: 'one:' });
    const two = await open(server.url, { prefix: 'two:' }, { ...SETTINGS, partitions: 2 });
    await one.append(1, entries(A, 1, 3));
    expect((await two.append(1, entries(A, 1, 1)))[0]?.verdict).toBe('append');
    expect(await one.fetch('main', 1, ALL)).toHaveLength(3);
    expect(await two.fetch('main', 1, ALL)).toHaveLength(1);
    const keys = (await server.command('KEYS', '*')).match(/(one|two):[^\r]*/g)?.sort();
    expect(keys).toEqual([
      'one:meta',
      'one:{1}:list:main',
      'one:{1}:meta',
      'one:{1}:streams',
      'two:meta',
      'two:{1}:list:main',
      'two:{1}:meta',
      'two:{1}:streams',
    ]);
  });

  test('an unwise server is told about, once', async () => {
    const server = await start();
    const warnings: string[] = [];
    const queue = await open(server.url, { warn: (message) => warnings.push(message), pollMs: 20 });
    await server.restart();
    await becomes(queue, /^open$/);
    expect(warnings).toEqual([expect.stringContaining('appendonly no'), expect.stringContaining('no maxmemory')]);
  });

  describe('that several nodes share', () => {
    test('tells all of them what one announces, and again after each return of Redis', async () => {
      const server = await start();
      const [one, two] = [await open(server.url, { shared: true }), await open(server.url, { shared: true })];
      const [alone, elsewhere] = [await open(server.url), await open(server.url, { shared: true, prefix: 'other:' })];
      const [heard, alsoHeard, nothing, strange] = [listener(one), listener(two), listener(alone), listener(elsewhere)];
      const arrives = (message: string) =>
        eventually(() => {
          one.announce(message);
          expect([heard.at(-1), alsoHeard.at(-1)]).toEqual([message, message]);
        });
      await arrives('first');
      alone.announce('not said');
      await server.restart();
      await arrives('second');
      expect(heard.lastIndexOf('(listens)')).toBeGreaterThan(heard.indexOf('first'));
      expect(heard.lastIndexOf('(listens)')).toBeLessThan(heard.indexOf('second'));
      expect([nothing, heard.includes('not said'), strange.filter((line) => line !== '(listens)')]).toEqual([[], false, []]);
    });

    test('lists nobody and keeps no lease for longer than they last, when the clock of Redis was set back', async () => {
      const server = await start();
      const queue = await open(server.url);
      const aheadMs = Date.now() + 3_600_000;
      await server.command('HSET', 'syncline:members', 'gone', `1 ${aheadMs} ${aheadMs + 3_000} 3000 active 1.0.0 ready `);
      await server.command('SET', 'syncline:{1}:lease:main', `${'1'.repeat(32)} gone`, 'PX', '3600000');
      expect((await queue.keepMember({ name: 'here', incarnation: '2', about: '' }, 3_000)).members).toMatchObject([{ name: 'here' }]);
      expect(await queue.acquire(lease(1, '2'), 'here', 3_000, 'wait')).toMatchObject({ taken: true });
    });
  });

  describe('with access control', () => {
    const password = 'cor/rect%horse@1';
    const secretUrl = (port: number, user: string) => `redis://${user}:${encodeURIComponent(password)}@127.0.0.1:${port}/0`;

    test('works with the permissions that docs/queue.md lists, and no others', async () => {
      const documented = /```\n(user syncline [^`]*)```/.exec(
        readFileSync(new URL('../../docs/queue.md', import.meta.url), 'utf8'),
      )?.[1] as string;
      const rules = documented.trim().replace('>PASSWORD', `>${password}`).split(/\s+/).slice(2);
      const server = await start();
      await server.command('ACL', 'SETUSER', 'syncline', ...rules);
      const warnings: string[] = [];
      const queue = await open(secretUrl(server.port, 'syncline'), { warn: (message) => warnings.push(message) });
      const reader = await openQueueReader({ url: secretUrl(server.port, 'syncline') }, { folder: tmpdir() });
      cleanups.push(() => reader.close());
      expect(reason(queue)).toBe('open');
      await queue.append(1, [...entries(A, 1, 3), ...entries(B, 1, 1)]);
      expect(await reader.fetch('main', 1, ALL)).toHaveLength(4);
      await queue.raise([{ partition: 1, stream: A, producer: 'shop', place: placeAt(4) }]);
      expect((await queue.streams(1)).size).toBe(2);
      await drain(queue);
      expect(await queue.acquire(lease(1), 'node', 60_000, 'wait')).toMatchObject({ taken: true });
      expect(await queue.heal(lease(1), new Map([[A, placeAt(1)]]))).toEqual([A]);
      await queue.forget(1, [A]);
      await queue.backlog('main');
      expect(warnings).toEqual([expect.stringContaining('appendonly'), expect.stringContaining('maxmemory')]);
      const shared = await open(secretUrl(server.port, 'syncline'), { shared: true });
      const heard = listener(shared);
      await eventually(() => {
        shared.announce('hello');
        expect(heard).toContain('hello');
      });
      expect(await shared.acquire(lease(1, '2'), 'other', 1000, 'wait')).toMatchObject({ taken: false, holder: 'node' });
      expect((await shared.keepMember({ name: 'a', incarnation: '1', about: '' }, 1000)).members).toHaveLength(1);
      expect((await shared.keepMember({ name: 'a', incarnation: '1', about: '' }, 0)).members).toHaveLength(0);
      const two = await open(secretUrl(server.port, 'syncline'), { prefix: 'syncline:two:' }, TWO_SINKS);
      expect((await two.append(1, [entry(A, 1, { frame: Buffer.alloc(20_000) })]))[0]?.verdict).toBe('append');
      await drain(two);
      const denied = (await server.command('ACL', 'LOG')).includes('syncline');
      expect(denied).toBe(false);
      const outside = await open(secretUrl(server.port, 'syncline'), { prefix: 'other:' });
      expect(reason(outside)).toMatch(/^queue_unavailable: .*NOPERM/);
      expect(await codeOf(outside.append(1, entries(A, 1, 1)))).toBe('queue_unavailable');
    });

    test('without INFO it works with a warning', async () => {
      const server = await start();
      await server.command('ACL', 'SETUSER', 'syncline', 'on', `>${password}`, '~syncline:*', '+@all', '-info');
      const warnings: string[] = [];
      const queue = await open(secretUrl(server.port, 'syncline'), { warn: (message) => warnings.push(message) });
      expect(reason(queue)).toBe('open');
      expect(warnings).toEqual([expect.stringContaining('grant +info')]);
      expect((await queue.append(1, entries(A, 1, 1)))[0]?.verdict).toBe('append');
    });

    test('a database that it may not select, or that is not there, is never another one', async () => {
      const server = await start();
      await server.command('ACL', 'SETUSER', 'syncline', 'on', `>${password}`, '~*', '+@all', '-select');
      const forbidden = await open(secretUrl(server.port, 'syncline').replace(/0$/, '3'));
      expect(reason(forbidden)).toMatch(/^queue_unavailable: .*select/);
      const missing = await open(`${server.url}/99`);
      expect(reason(missing)).toMatch(/^queue_unavailable: .*DB index is out of range/);
      for (const queue of [forbidden, missing]) expect(await codeOf(queue.append(1, entries(A, 1, 1)))).toBe('queue_unavailable');
      expect(await server.command('DBSIZE')).toBe(':0');
      // As soon as it may, it does.
      await server.command('ACL', 'SETUSER', 'syncline', '+select');
      await becomes(forbidden, /^open$/);
      expect((await forbidden.append(1, entries(A, 1, 1)))[0]?.verdict).toBe('append');
      expect(await server.command('DBSIZE')).toBe(':0');
    });

    test('the password is in no message, whatever goes wrong', async () => {
      const server = await start({ args: ['--requirepass', 'another'] });
      const queue = await open(secretUrl(server.port, 'default'));
      const problems: unknown[] = [reason(queue), await queue.append(1, entries(A, 1, 1)).catch(inFull)];
      await server.kill('SIGKILL');
      await eventually(() => expect(reason(queue)).toMatch(/ECONNREFUSED/));
      problems.push(reason(queue), await queue.streams(1).catch(inFull));
      for (const url of [
        `redis://u:${password}@@/x`,
        `redis://u:${encodeURIComponent(password)}@host:1/x`,
        `redis://u:%zz${password}@host:1/0`,
        `mysql://u:${password}@host`,
        `redis://u:${password}`,
      ]) {
        problems.push(await openRedisQueue(SETTINGS, { url }).catch(inFull));
      }
      expect(problems[0]).toMatch(/^queue_unavailable: .*WRONGPASS/);
      for (const problem of problems) {
        expect(problem).not.toContain(password);
        expect(problem).not.toContain(encodeURIComponent(password));
        expect(problem).not.toContain('horse');
      }
    });
  });

  test('over TLS, with a certificate that is checked', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'syncline-tls-'));
    cleanups.push(() => rmSync(folder, { recursive: true, force: true }));
    const certificate = createCertificate(folder, 'redis');
    const ca = readFileSync(certificate.ca, 'utf8');
    const server = await start({ tls: certificate });
    const queue = await open(server.url, { tls: { ca } });
    expect(reason(queue)).toBe('open');
    expect((await queue.append(1, entries(A, 1, 1)))[0]?.verdict).toBe('append');
    const byName = await open(`rediss://localhost:${server.port}`, { tls: { ca } });
    expect(reason(byName)).toBe('open');
    const distrustful = await open(server.url);
    expect(reason(distrustful)).toMatch(/^queue_unavailable: .*certificate/);
    // So is a master that had to be found.
    const found = { find: async () => ({ host: '127.0.0.1', port: server.port }), watch: () => () => {} };
    const up = Promise.withResolvers<void>();
    const link = new RedisLink({ url: 'rediss+sentinel://127.0.0.1/main', tls: { ca } }, { up: up.resolve, down: up.reject }, undefined, {
      finder: found,
    });
    cleanups.push(() => link.close());
    await up.promise;
    expect(String(await link.command('PING', []))).toBe('PONG');
    const careless = await open(server.url, { tls: { rejectUnauthorized: false } });
    expect(reason(careless)).toBe('open');
    expect(await codeOf(open(server.url, { tls: { ca: 'no certificate', cert: 'nor this', key: 'nor this' } }))).toBe('bad_config');
  });
});

/** Takes memory until not even a small key can be set. */
async function fill(server: RedisServer): Promise<void> {
  for (let size = 100_000; size >= 10; size = Math.floor(size / 10)) {
    for (let i = 0; ; i++) {
      const refused = await server.command('SET', `filler:${size}:${i}`, 'x'.repeat(size)).then(
        () => false,
        () => true,
      );
      if (refused) break;
    }
  }
}

function inFull(error: unknown): string {
  const { message, stack, cause } = error as Error;
  return `${message} ${stack} ${JSON.stringify(cause)} ${JSON.stringify(error)}`;
}
