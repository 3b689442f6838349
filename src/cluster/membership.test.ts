import { beforeEach, describe, expect, test } from 'vitest';
import { VirtualClock } from '../../test/support/virtual-clock.ts';
import { SyncError } from '../core/errors.ts';
import { systemRandom } from '../core/random.ts';
import { createMemoryQueue } from '../queue/memory.ts';
import type { MemberList, Queue } from '../queue/queue.ts';
import type { About } from './member.ts';
import { Membership } from './membership.ts';

const TTL_MS = 3_000;

let clock: VirtualClock;
let queue: Queue;
let log: string[];

/** What is done with the list before a node reads it. */
let read: (list: MemberList) => MemberList;

beforeEach(() => {
  clock = new VirtualClock();
  log = [];
  read = (list) => list;
  const memory = createMemoryQueue(
    { partitions: 4, sinks: [{ name: 'main', required: true }], mapping: '' },
    { clock, random: systemRandom },
  );
  queue = Object.assign(Object.create(memory) as Queue, {
    keepMember: async (...call: Parameters<Queue['keepMember']>) => read(await memory.keepMember(...call)),
  });
});

function member(name: string, incarnation: string, about: Partial<About> = {}): Membership {
  const line = (fields: object, message: string) => void log.push(`${name}: ${message} ${JSON.stringify(fields)}`);
  return new Membership({
    queue,
    clock,
    name,
    incarnation,
    ttlMs: TTL_MS,
    about: () => ({ mode: 'active', version: '1.2.3', state: 'ready', admin: '', ...about }),
    log: { info: line, warn: line, error: line },
    changed: () => {},
  });
}

const names = ({ members }: Membership) => members.map(({ name }) => name);

describe('a node joins', () => {
  test('and all know each other', async () => {
    const [one, two] = [member('one', '1'), member('two', '2')];
    await one.join();
    await two.join();
    await clock.advance(TTL_MS / 3);
    expect([names(one), names(two)]).toEqual([
      ['one', 'two'],
      ['one', 'two'],
    ]);
    await two.leave();
    await one.refresh();
    expect(names(one)).toEqual(['one']);
  });

  test('after waiting for the record that its last start left', async () => {
    await queue.keepMember({ name: 'one', incarnation: 'killed', about: 'active 1.2.3 ready ' }, TTL_MS);
    const one = member('one', '1');
    let joined = false;
    const joining = one.join().then(() => (joined = true));
    await clock.advance(TTL_MS - 1);
    expect(joined).toBe(false);
    await clock.advance(20);
    await joining;
    expect([one.isListed, names(one)]).toEqual([true, ['one']]);
  });

  test('not while another of its name is alive, and says where that one is', async () => {
    const first = member('one', '1', { admin: '10.0.0.1:9500' });
    await first.join();
    const second = member('one', '2').join();
    const refused = expect(second).rejects.toMatchObject({
      code: 'node_conflict',
      kind: 'startup',
      message: expect.stringMatching(/another node named one is running \(admin 10\.0\.0\.1:9500\)/),
    });
    await clock.advance(2 * TTL_MS);
    await refused;
    expect([first.isListed, names(first)]).toEqual([true, ['one']]);
  });

  test.each([
    ['major version', { version: '2.0.0' }, /version 1\.2\.3 .* version 2\.0\.0/],
    ['mode', { mode: 'standby' as const }, /cluster\.mode active.* in standby/],
  ])('not where the others have another %s, and leaves no trace', async (_, about, message) => {
    const one = member('one', '1');
    await one.join();
    await expect(member('two', '2', about).join()).rejects.toMatchObject({
      code: 'node_conflict',
      message: expect.stringMatching(message),
    });
    await one.refresh();
    expect(names(one)).toEqual(['one']);
    await expect(member('two', '2', { version: '1.9.0' }).join()).resolves.toBeUndefined();
  });

  test('later, when the queue is away', async () => {
    const { keepMember } = queue;
    queue.keepMember = () => Promise.reject(new SyncError('queue_unavailable', 'the test said so'));
    const one = member('one', '1');
    await one.join();
    expect(one.isListed).toBe(false);
    queue.keepMember = keepMember;
    await clock.advance(TTL_MS);
    expect(one.isListed).toBe(true);
  });
});

describe('another record of the same name, found when the queue is back', () => {
  const joinAway = async (name: string, incarnation: string) => {
    const { keepMember } = queue;
    queue.keepMember = () => Promise.reject(new SyncError('queue_unavailable', 'the test said so'));
    const one = member(name, incarnation);
    await one.join();
    queue.keepMember = keepMember;
    return one;
  };

  test('is no trouble when it runs out: an earlier start left it', async () => {
    const one = await joinAway('one', '2');
    await queue.keepMember({ name: 'one', incarnation: 'killed', about: 'active 1.2.3 ready ' }, TTL_MS);
    await clock.advance(2 * TTL_MS);
    expect(one.isListed).toBe(true);
    expect(log.filter((line) => line.includes('another node'))).toEqual([]);
  });

  test('is warned of, once, when it is kept', async () => {
    await joinAway('one', '2');
    await member('one', '1').join();
    await clock.advance(3 * TTL_MS);
    expect(log.filter((line) => line.includes('another node named one is running'))).toHaveLength(1);
  });
});

describe('the list', () => {
  test('is read anew at the moment when a record ends that is not renewed', async () => {
    const [one, two] = [member('one', '1'), member('two', '2')];
    await one.join();
    await clock.advance(700);
    await two.join();
    two.stop();
    await one.refresh();
    await clock.advance(TTL_MS - 10);
    expect(names(one)).toEqual(['one', 'two']);
    await clock.advance(30);
    expect(names(one)).toEqual(['one']);
  });

  test('may be lost: the others are kept in mind until they have had time to come back', async () => {
    const [one, two, gone] = [member('one', '1'), member('two', '2'), member('gone', '3')];
    for (const each of [one, two, gone]) await each.join();
    await one.refresh();
    gone.stop();
    for (const [name, incarnation] of [
      ['one', '1'],
      ['two', '2'],
      ['gone', '3'],
    ] as const)
      await queue.keepMember({ name, incarnation, about: '' }, 0);
    await one.refresh();
    expect(names(one)).toEqual(['gone', 'one', 'two']);
    await one.refresh();
    expect(names(one)).toEqual(['gone', 'one', 'two']);
    await clock.advance(TTL_MS + 100);
    expect(names(one)).toEqual(['one', 'two']);
  });

  test('that cannot be read leaves who is alive for sure', async () => {
    const [one, two] = [member('one', '1'), member('two', '2')];
    await one.join();
    await two.join();
    await one.refresh();
    queue.keepMember = () => Promise.reject(new SyncError('queue_unavailable', 'the test said so'));
    await clock.advance(TTL_MS / 2);
    expect(names(one)).toEqual(['one', 'two']);
    await clock.advance(TTL_MS);
    expect([names(one), one.isListed]).toEqual([[], false]);
  });
});

test('a clock that is off is told of once, and again only after it was right', async () => {
  const warnings = () => log.filter((line) => line.includes('clock')).length;
  const one = member('one', '1');
  read = (list) => ({ ...list, nowMs: list.nowMs - 90_000 });
  await one.join();
  await clock.advance(5 * TTL_MS);
  expect([one.clockDifferenceMs, warnings()]).toEqual([90_000, 1]);
  read = (list) => list;
  await clock.advance(TTL_MS);
  expect(one.clockDifferenceMs).toBe(0);
  read = (list) => ({ ...list, nowMs: list.nowMs + 61_000 });
  await clock.advance(TTL_MS);
  expect(warnings()).toBe(2);
});
