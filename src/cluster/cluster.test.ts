import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { VirtualClock } from '../../test/support/virtual-clock.ts';
import { SyncError } from '../core/errors.ts';
import { systemRandom } from '../core/random.ts';
import { createMemoryQueue, type MemoryQueue } from '../queue/memory.ts';
import { QueueEvents } from '../queue/queue-events.ts';
import type { Queue } from '../queue/queue.ts';
import { Cluster, CLIENTS_FOLLOW_MS } from './cluster.ts';
import { encodeHint } from './hints.ts';
import type { ClusterMode } from './member.ts';

const LEASE_MS = 3_000;
const PARTITIONS = 16;
const ALL = Array.from({ length: PARTITIONS }, (_, i) => i);

let clock: VirtualClock;
let memory: MemoryQueue;
/** Who hears what is announced. */
let listeners: QueueEvents[];
let hintsArrive: boolean;
let nodes: TestNode[];

beforeEach(() => {
  clock = new VirtualClock();
  memory = createMemoryQueue(
    { partitions: PARTITIONS, sinks: [{ name: 'main', required: true }], mapping: '' },
    { clock, random: systemRandom },
  );
  listeners = [];
  hintsArrive = true;
  nodes = [];
});

afterEach(async () => {
  for (const node of nodes) await node.stop();
  expect(clock.timerCount).toBe(0);
});

class TestNode {
  readonly cluster: Cluster;
  readonly told: string[] = [];
  readonly fenced: string[] = [];
  readonly incarnation: string;
  away = false;
  #stopped = false;

  constructor(name: string, mode: Exclude<ClusterMode, 'standalone'>, incarnation: string) {
    this.incarnation = incarnation;
    const events = new QueueEvents({ state: 'open' });
    listeners.push(events);
    const queue = new Proxy<Queue>(memory, {
      get: (target, key: keyof Queue) => {
        if (key === 'watch') return events.watch.bind(events);
        if (key === 'announce')
          return (message: string) => clock.defer(() => hintsArrive && listeners.forEach((one) => one.announced(message)));
        const member: unknown = target[key];
        if (typeof member !== 'function') return member;
        return (...args: unknown[]) =>
          this.away ? Promise.reject(new SyncError('queue_unavailable', 'the test said so')) : (member.apply(target, args) as unknown);
      },
    });
    this.cluster = new Cluster({
      settings: { mode, incarnation, version: '1.0.0', admin: () => '' },
      queue,
      sink: 'main',
      clock,
      random: systemRandom,
      name,
      leaseMs: LEASE_MS,
      log: { info: () => {}, warn: () => {}, error: () => {} },
      events: {
        gained: () => {},
        lost: () => {},
        refused: () => {},
        failed: () => {},
        yield: async () => {},
        wake: (partition) => this.told.push(`wake ${partition}`),
        heal: (partition) => this.told.push(`heal ${partition}`),
        advancedElsewhere: () => {},
        fence: async (other) => void this.fenced.push(other),
      },
    });
    this.cluster.watchNews({
      applied: (streams) => this.told.push(`applied ${streams.join(' ')}`),
      missed: () => this.told.push('missed'),
    });
  }

  async start(): Promise<void> {
    await this.cluster.join();
    const ready = this.cluster.ready();
    await this.cluster.leases.connected();
    this.cluster.leases.start();
    await ready;
    await clock.settle();
  }

  /** As at SIGTERM. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    void this.cluster.leaving();
    await clock.settle();
    await this.cluster.leases.close();
    await this.cluster.close();
  }

  get held(): readonly number[] {
    return this.cluster.leases.held;
  }
}

let count = 0;

async function started(name: string, mode: Exclude<ClusterMode, 'standalone'>): Promise<TestNode> {
  const node = new TestNode(name, mode, (++count).toString(16).padStart(32, '0'));
  nodes.push(node);
  await node.start();
  return node;
}

describe('a pair', () => {
  test('has one that leads and holds everything', async () => {
    const [one, two] = [await started('one', 'standby'), await started('two', 'standby')];
    expect([one.held, two.held]).toEqual([ALL, []]);
    expect([one.cluster.isPrimary, two.cluster.isPrimary]).toEqual([true, false]);
    expect([one.cluster.view().leader, two.cluster.view().leader]).toEqual(['one', 'one']);
  });

  test('hands over at once when the leader ends, and cuts nobody off', async () => {
    const [one, two] = [await started('one', 'standby'), await started('two', 'standby')];
    await one.stop();
    await clock.settle();
    expect([two.held, two.cluster.isPrimary, two.fenced]).toEqual([ALL, true, []]);
    expect(two.cluster.view()).toMatchObject({ takeovers: 0, members: [{ name: 'two' }] });
  });

  test('has one primary for the balancer, a while after the other leads that one, and none where nobody could lead', async () => {
    const one = await started('one', 'standby');
    await one.cluster.leaving();
    expect(one.cluster.isPrimary).toBe(false);
    one.cluster.returning();
    const two = await started('two', 'standby');
    await one.cluster.leaving();
    expect([one.cluster.isPrimary, two.cluster.isPrimary]).toEqual([true, false]);
    await one.cluster.leases.suspend();
    await clock.settle();
    expect(two.held).toEqual(ALL);
    await clock.advance(CLIENTS_FOLLOW_MS - 1);
    expect([one.cluster.isPrimary, two.cluster.isPrimary]).toEqual([true, false]);
    await clock.advance(1);
    one.cluster.clientsFollow();
    expect([one.cluster.isPrimary, two.cluster.isPrimary]).toEqual([false, true]);
  });

  test('has the other one as its primary at once when the first stays after all, or is gone', async () => {
    const [one, two] = [await started('one', 'standby'), await started('two', 'standby')];
    await one.cluster.leaving();
    await one.cluster.leases.suspend();
    await clock.settle();
    expect([one.cluster.isPrimary, two.cluster.isPrimary]).toEqual([true, false]);
    one.cluster.returning();
    one.cluster.leases.resume();
    await clock.settle();
    expect([one.cluster.isPrimary, two.cluster.isPrimary]).toEqual([false, true]);
    await two.stop();
    await clock.settle();
    expect([one.held, one.cluster.isPrimary]).toEqual([ALL, true]);
  });

  test('keeps its primary, whoever says that the lead is free', async () => {
    const [one, two] = [await started('one', 'standby'), await started('two', 'standby')];
    await two.cluster.leaving();
    listeners[0]!.announced(encodeHint(two.incarnation, { type: 'released', partitions: ALL }));
    await clock.settle();
    expect([one.held, one.cluster.isPrimary, two.cluster.isPrimary]).toEqual([ALL, true, false]);
  });

  test('has a primary at once when the lead was not handed over', async () => {
    const [one, two] = [await started('one', 'standby'), await started('two', 'standby')];
    one.away = true;
    await clock.advance(LEASE_MS + 10);
    expect([two.held, two.cluster.isPrimary]).toEqual([ALL, true]);
  });

  test('has another leader when the first is silent, which is cut off, and never two', async () => {
    const [one, two] = [await started('one', 'standby'), await started('two', 'standby')];
    one.away = true;
    for (let ms = 0; ms < 2 * LEASE_MS; ms += 10) {
      await clock.advance(10);
      expect(one.cluster.isPrimary && two.cluster.isPrimary).toBe(false);
    }
    expect([one.held, two.held, new Set(two.fenced)]).toEqual([[], ALL, new Set([one.incarnation])]);
    one.away = false;
    await clock.advance(LEASE_MS);
    expect([one.held, one.cluster.view().leader]).toEqual([[], 'two']);
  });

  test('is not led by a node whose sink cannot be used, whatever it hears', async () => {
    const one = await started('one', 'standby');
    const two = new TestNode('two', 'standby', 'f'.repeat(32));
    nodes.push(two);
    await two.cluster.join();
    await one.stop();
    await clock.advance(2 * LEASE_MS);
    expect([two.held, two.cluster.isPrimary]).toEqual([[], false]);
  });

  test('does without hints, at the end of the lease', async () => {
    hintsArrive = false;
    const [one, two] = [await started('one', 'standby'), await started('two', 'standby')];
    await one.stop();
    await clock.settle();
    expect(two.held).toEqual([]);
    await clock.advance(LEASE_MS + 10);
    expect(two.held).toEqual(ALL);
  });
});

describe('many', () => {
  const sorted = (...some: TestNode[]) => some.flatMap(({ held }) => held).toSorted((a, b) => a - b);

  test('share the partitions, and again when one comes and goes; nothing is taken that was not given', async () => {
    const [one, two] = [await started('one', 'active'), await started('two', 'active')];
    await clock.advance(3 * LEASE_MS);
    expect([sorted(one, two), one.held.length]).toEqual([ALL, 8]);
    const three = await started('three', 'active');
    await clock.advance(3 * LEASE_MS);
    expect(sorted(one, two, three)).toEqual(ALL);
    expect(three.held.length).toBeGreaterThanOrEqual(5);
    await three.stop();
    await clock.settle();
    expect(sorted(one, two)).toEqual(ALL);
    for (const node of [one, two, three]) expect([node.fenced, node.cluster.view().takeovers]).toEqual([[], 0]);
  });

  test('hand over what they have when they leave, but for the last, which keeps it', async () => {
    const [one, two] = [await started('one', 'active'), await started('two', 'active')];
    await clock.advance(3 * LEASE_MS);
    expect(two.cluster.hasSuccessor).toBe(true);
    void one.cluster.leaving();
    await clock.settle();
    expect([one.held, two.held, two.cluster.hasSuccessor]).toEqual([[], ALL, false]);
    expect([one.cluster.isPrimary, two.cluster.isPrimary]).toEqual([true, true]);
    expect(one.cluster.keepsClients).toBe(true);
    one.cluster.clientsFollow();
    expect([one.cluster.isPrimary, two.cluster.isPrimary, one.cluster.keepsClients]).toEqual([false, true, false]);
    void two.cluster.leaving();
    await clock.advance(3 * LEASE_MS);
    expect(two.held).toEqual(ALL);
  });

  test("each leaves no more than one partition in nobody's hands while they share anew", async () => {
    const [one, two] = [await started('one', 'active'), await started('two', 'active')];
    await clock.advance(3 * LEASE_MS);
    const three = await started('three', 'active');
    for (let ms = 0; ms < 3 * LEASE_MS; ms += 5) {
      await clock.advance(5);
      expect(sorted(one, two, three).length).toBeGreaterThanOrEqual(PARTITIONS - 2);
    }
    expect(three.held.length).toBeGreaterThanOrEqual(5);
  });

  test('give nothing to one that comes and goes every second', async () => {
    const [one, two] = [await started('one', 'active'), await started('two', 'active')];
    await clock.advance(3 * LEASE_MS);
    for (let i = 0; i < 5; i++) {
      const restless = await started('restless', 'active');
      await clock.advance(1_000);
      expect(restless.held).toEqual([]);
      await restless.stop();
    }
    expect(sorted(one, two)).toEqual(ALL);
  });

  test('take over from one that is silent, and share again when it is back', async () => {
    const [one, two] = [await started('one', 'active'), await started('two', 'active')];
    await clock.advance(3 * LEASE_MS);
    one.away = true;
    await clock.advance(2 * LEASE_MS);
    expect([one.held, two.held.length, new Set(two.fenced)]).toEqual([[], PARTITIONS, new Set([one.incarnation])]);
    one.away = false;
    await clock.advance(5 * LEASE_MS);
    expect([sorted(one, two), one.held.length]).toEqual([ALL, 8]);
  });
});

test('when the queue was away for all for long, each asks for what it had', async () => {
  const [one, two] = [await started('one', 'active'), await started('two', 'active')];
  await clock.advance(3 * LEASE_MS);
  const before = [one.held, two.held];
  one.away = two.away = true;
  await clock.advance(3 * LEASE_MS);
  expect([one.held, two.held]).toEqual([[], []]);
  one.away = two.away = false;
  await Promise.all([one.cluster.leases.connected(), two.cluster.leases.connected()]);
  expect([one.held, two.held]).toEqual(before);
  await clock.advance(5 * LEASE_MS);
  expect([one.held, two.held]).toEqual(before);
});

test('hints reach the others, and not whoever gives them', async () => {
  const [one, two] = [await started('one', 'active'), await started('two', 'active')];
  one.told.length = two.told.length = 0;
  one.cluster.wakeElsewhere(3);
  one.cluster.healElsewhere(4);
  one.cluster.applied(5, ['a'.repeat(32), 'b'.repeat(32)]);
  one.cluster.applied(5, []);
  await clock.settle();
  expect(one.told).toEqual([]);
  expect(two.told).toEqual(['wake 3', 'heal 4', `applied ${'a'.repeat(32)} ${'b'.repeat(32)}`]);
  listeners[1]!.listening();
  expect(two.told.at(-1)).toBe('missed');
});
