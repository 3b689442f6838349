import { beforeEach, describe, expect, test } from 'vitest';
import { VirtualClock } from '../../test/support/virtual-clock.ts';
import { SyncError } from '../core/errors.ts';
import { systemRandom } from '../core/random.ts';
import { createMemoryQueue, type MemoryQueue } from '../queue/memory.ts';
import type { Queue } from '../queue/queue.ts';
import type { Claim } from './claims.ts';
import { LeaseKeeper } from './lease-keeper.ts';

const LEASE_MS = 3_000;
const PARTITIONS = 4;
const AWAY = new SyncError('queue_unavailable', 'the test said so');

let clock: VirtualClock;
let memory: MemoryQueue;

beforeEach(() => {
  clock = new VirtualClock();
  memory = createMemoryQueue(
    { partitions: PARTITIONS, sinks: [{ name: 'main', required: true }], mapping: '' },
    { clock, random: systemRandom },
  );
});

/** A keeper whose events are written down, over a queue whose answers a test may hold back, lose or refuse. */
class World {
  readonly told: string[] = [];
  readonly keeper: LeaseKeeper;
  claims: (partition: number) => Claim = () => 'wait';
  acquires = 0;
  /** What is done with the answer to `acquire` and `renew`. */
  answer: <T>(answer: () => Promise<T>) => Promise<T> = (answer) => answer();
  yielding: Promise<void> = Promise.resolve();

  constructor(holder: string) {
    const queue = new Proxy<Queue>(memory, {
      get: (target, name: keyof Queue) => {
        const member: unknown = target[name];
        if (typeof member !== 'function') return member;
        const call = member.bind(target) as (...args: unknown[]) => Promise<unknown>;
        if (name !== 'acquire' && name !== 'renew') return call;
        return (...args: unknown[]) => {
          if (name === 'acquire') this.acquires++;
          return this.answer(() => call(...args));
        };
      },
    });
    this.keeper = new LeaseKeeper({
      queue,
      sink: 'main',
      clock,
      random: systemRandom,
      holder,
      leaseMs: LEASE_MS,
      claim: (partition) => this.claims(partition),
      events: {
        gained: ({ partition }) => this.told.push(`gained ${partition}`),
        lost: (partition) => this.told.push(`lost ${partition}`),
        refused: (partition, by) => this.told.push(`refused ${partition} by ${by}`),
        failed: (partition, message) => this.told.push(`failed ${partition}: ${message}`),
        tookOver: (partition, before) => this.told.push(`took over ${partition} from ${before}`),
        yield: () => this.yielding,
        released: (partitions) => this.told.push(`released ${partitions.join(' ')}`),
      },
    });
  }

  async start(): Promise<void> {
    const connected = this.keeper.connected();
    this.keeper.start();
    await connected;
  }
}

describe('a lease that another holds', () => {
  test('is asked for again when it ends, not at intervals, and is known to be taken over', async () => {
    const [one, two] = [new World('one'), new World('two')];
    one.claims = two.claims = (partition) => (partition === 0 ? 'wait' : 'none');
    await one.start();
    await two.start();
    one.answer = () => Promise.reject(AWAY);
    expect(two.told).toEqual(['refused 0 by one']);
    await clock.advance(LEASE_MS - 1);
    expect(two.acquires).toBe(1);
    await clock.advance(10);
    expect(two.told.slice(1)).toEqual(['took over 0 from one', 'gained 0']);
    expect(one.keeper.holds(0)).toBe(false);
  });

  test('is asked for at once when it is given back, and then nothing is taken over', async () => {
    const [one, two] = [new World('one'), new World('two')];
    await one.start();
    await two.start();
    await one.keeper.close();
    expect(one.told.at(-1)).toBe('released 0 1 2 3');
    two.told.length = 0;
    for (const partition of [0, 1, 2, 3]) two.keeper.heardReleased(partition);
    await clock.settle();
    expect(two.told).toEqual(['gained 0', 'gained 1', 'gained 2', 'gained 3']);
  });

  test('that is heard to be free while the question is under way is asked for once more', async () => {
    const [one, two] = [new World('one'), new World('two')];
    one.claims = two.claims = (partition) => (partition === 0 ? 'wait' : 'none');
    await one.start();
    const gate = Promise.withResolvers<void>();
    two.answer = async (answer) => {
      const result = await answer();
      await gate.promise;
      return result;
    };
    void two.start();
    await clock.settle();
    await one.keeper.close();
    two.keeper.heardReleased(0);
    gate.resolve();
    await clock.settle();
    expect(two.told).toEqual(['refused 0 by one', 'gained 0']);
  });

  test('is left to its holder for a while after the queue may have lost it', async () => {
    const [one, two] = [new World('one'), new World('two')];
    await one.start();
    await two.start();
    two.told.length = 0;
    // The queue lost the leases.
    await memory.release(await leasesOf(one));
    const twoConnects = two.keeper.connected();
    const oneConnects = one.keeper.connected();
    await Promise.all([twoConnects, oneConnects]);
    await clock.advance(LEASE_MS);
    expect(one.keeper.held).toEqual([0, 1, 2, 3]);
    expect(two.told.every((line) => line.startsWith('refused'))).toBe(true);
  });
});

describe('a connection that is lost again and again', () => {
  test.each([
    ['to the queue', (world: World) => void world.keeper.connected()],
    ['for what is announced', (world: World) => world.keeper.mayHaveMissed()],
  ])('%s does not put off for ever that a lease is asked for', async (_, reconnect) => {
    const [one, two] = [new World('one'), new World('two')];
    one.claims = two.claims = (partition) => (partition === 0 ? 'wait' : 'none');
    await one.start();
    await two.start();
    one.answer = () => Promise.reject(AWAY);
    for (let ms = 0; ms < 2 * LEASE_MS; ms += 500) {
      reconnect(two);
      await clock.advance(500);
    }
    expect(two.keeper.held).toEqual([0]);
  });
});

describe('what a node counts as its own', () => {
  test('ends by its own clock when renewals are not answered', async () => {
    const one = new World('one');
    await one.start();
    await clock.advance(10_000);
    expect(one.keeper.held).toEqual([0, 1, 2, 3]);
    one.answer = () => Promise.reject(AWAY);
    await clock.advance(LEASE_MS);
    expect(one.keeper.held).toEqual([]);
    one.answer = (answer) => answer();
    await clock.advance(LEASE_MS);
    expect(one.keeper.held).toEqual([0, 1, 2, 3]);
  });

  test('is counted from when it was asked for, not from when the answer came', async () => {
    const one = new World('one');
    one.answer = async (answer) => {
      const result = await answer();
      await new Promise<void>((resolve) => void clock.setTimer(2_000, resolve));
      return result;
    };
    void one.start();
    await clock.advance(2_500);
    expect(one.keeper.holds(0)).toBe(true);
    one.answer = () => Promise.reject(AWAY);
    await clock.advance(600);
    expect(one.keeper.holds(0)).toBe(false);
  });

  test('is nothing when the answer took longer than the lease, until it was asked for again', async () => {
    const one = new World('one');
    one.claims = (partition) => (partition === 0 ? 'wait' : 'none');
    one.answer = async (answer) => {
      const result = await answer();
      await new Promise<void>((resolve) => void clock.setTimer(LEASE_MS + 1, resolve));
      return result;
    };
    void one.start();
    await clock.advance(LEASE_MS + 1);
    expect(one.told).toEqual(['failed 0: the queue answered after the lease had ended']);
    one.answer = (answer) => answer();
    await clock.advance(LEASE_MS);
    expect(one.told.slice(1)).toEqual(['gained 0']);
  });

  test('is not in its own way when the first question had its effect and no answer', async () => {
    const one = new World('one');
    one.answer = async (answer) => {
      await answer();
      throw AWAY;
    };
    await one.start();
    one.answer = (answer) => answer();
    await clock.advance(LEASE_MS / 3);
    expect(one.told.slice(PARTITIONS)).toEqual(['gained 0', 'gained 1', 'gained 2', 'gained 3']);
  });
});

describe('handing over', () => {
  test('goes one by one, each after what is in flight and when the one before is in other hands', async () => {
    const one = new World('one');
    await one.start();
    const flight = Promise.withResolvers<void>();
    one.yielding = flight.promise;
    one.claims = (partition) => (partition < 2 ? 'none' : 'wait');
    one.told.length = 0;
    void one.keeper.claimsChanged();
    await clock.advance(1_000);
    expect(one.told).toEqual([]);
    expect(one.keeper.held).toEqual([0, 1, 2, 3]);
    flight.resolve();
    await clock.settle();
    expect(one.told).toEqual(['released 0']);
    one.keeper.heardTaken(0);
    await clock.settle();
    expect(one.told).toEqual(['released 0', 'released 1']);
    expect(one.keeper.held).toEqual([2, 3]);
  });

  test('goes on when nobody takes what was given back', async () => {
    const one = new World('one');
    await one.start();
    one.claims = () => 'none';
    void one.keeper.claimsChanged();
    await clock.advance(LEASE_MS * 2);
    expect(one.told.slice(PARTITIONS)).toEqual(['released 0', 'released 1', 'released 2', 'released 3']);
  });

  test('waits for nobody where a partition is to be ours again', async () => {
    const one = new World('one');
    await one.start();
    one.claims = (partition) => (partition === 0 ? 'none' : 'wait');
    one.told.length = 0;
    void one.keeper.claimsChanged();
    await clock.settle();
    expect(one.told).toEqual(['released 0']);
    one.claims = () => 'wait';
    await one.keeper.claimsChanged();
    await clock.settle();
    expect(one.told).toEqual(['released 0', 'gained 0']);
    await one.keeper.close();
    expect(clock.timerCount).toBe(0);
  });

  test('does not give back what is to be ours again by the time that nothing is in flight', async () => {
    const one = new World('one');
    await one.start();
    const flight = Promise.withResolvers<void>();
    one.yielding = flight.promise;
    one.claims = (partition) => (partition === 0 ? 'none' : 'wait');
    one.told.length = 0;
    void one.keeper.claimsChanged();
    await clock.settle();
    one.claims = () => 'wait';
    void one.keeper.claimsChanged();
    flight.resolve();
    await clock.settle();
    // What yielded begins again.
    expect(one.told).toEqual(['gained 0']);
    expect(one.keeper.held).toEqual([0, 1, 2, 3]);
  });

  test('of a lease that ends meanwhile gives nothing back', async () => {
    const [one, two] = [new World('one'), new World('two')];
    await one.start();
    const flight = Promise.withResolvers<void>();
    one.yielding = flight.promise;
    one.claims = (partition) => (partition === 0 ? 'none' : 'wait');
    void one.keeper.claimsChanged();
    two.claims = (partition) => (partition === 0 ? 'take' : 'none');
    await two.start();
    await clock.advance(LEASE_MS);
    flight.resolve();
    await clock.advance(LEASE_MS);
    expect(one.told).toContain('lost 0');
    expect(one.told.some((line) => line.startsWith('released'))).toBe(false);
    expect(two.keeper.held).toEqual([0]);
  });
});

test('a renewal that is answered after the lease was given back changes nothing', async () => {
  const one = new World('one');
  await one.start();
  const gate = Promise.withResolvers<void>();
  one.answer = async (answer) => {
    const result = await answer();
    await gate.promise;
    return result;
  };
  const renewal = one.keeper.renew();
  one.claims = () => 'none';
  void one.keeper.claimsChanged();
  await clock.settle();
  gate.resolve();
  await renewal;
  await clock.advance(2 * LEASE_MS);
  expect(one.told.filter((line) => line.startsWith('lost'))).toEqual([]);
  expect(one.keeper.held).toEqual([]);
  await one.keeper.close();
  expect(clock.timerCount).toBe(0);
});

test('until what is in flight at the end has ended, leases are kept', async () => {
  const [one, two] = [new World('one'), new World('two')];
  await one.start();
  await two.start();
  one.keeper.stop();
  await clock.advance(3 * LEASE_MS);
  expect([one.keeper.held, two.keeper.held]).toEqual([[0, 1, 2, 3], []]);
  await one.keeper.close();
  await clock.advance(LEASE_MS + 10);
  expect([one.keeper.held, two.keeper.held]).toEqual([[], [0, 1, 2, 3]]);
  expect(two.told.filter((line) => line.startsWith('took over'))).toEqual([]);
});

/** The leases that the queue has for `world`: those that it would renew. */
async function leasesOf({ keeper }: World) {
  const leases: { sink: string; partition: number; token: string }[] = [];
  const renew = memory.renew.bind(memory);
  memory.renew = async (asked, ttlMs) => {
    leases.push(...asked);
    return renew(asked, ttlMs);
  };
  await keeper.renew();
  memory.renew = renew;
  return leases;
}
