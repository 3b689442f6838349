import type { Random } from '../../src/core/random.ts';
import { connect, type Client, type ConnectOptions } from '../../src/client/client.ts';
import { createMemorySpool } from '../../src/client/memory-spool.ts';
import type { Spool, SpooledFrame, SpoolState } from '../../src/client/spool.ts';
import type { Place } from '../../src/core/stream.ts';
import type { Welcome } from '../../src/protocol/messages.ts';
import { decodeBatch } from '../../src/protocol/batch.ts';
import type { Frame } from '../../src/protocol/frame.ts';
import { type FakeLink, FakeNetwork } from './fake-network.ts';
import { SeededRandom } from './seeded-random.ts';
import { VirtualClock } from './virtual-clock.ts';

/** A client on time and a network that the test moves. */
export interface ClientWorld {
  readonly clock: VirtualClock;
  readonly network: FakeNetwork;
  readonly client: Client;
  /** Every event of the client, by name, in order. */
  readonly events: { readonly name: string; readonly event: unknown }[];
  named(name: string): unknown[];
  /** The next connection, after the given time; WELCOME is the test's business. */
  reconnected(afterMs?: number): Promise<FakeLink>;
}

const EVENTS = [
  'connected',
  'disconnected',
  'held',
  'resumed',
  'rejected',
  'rewind',
  'diverged',
  'stream-started',
  'regressed',
  'error',
] as const;

/** A client that waits for WELCOME. */
export async function startClient(options: ConnectOptions = {}): Promise<ClientWorld> {
  const clock = new VirtualClock();
  const network = new FakeNetwork();
  const client = await connect({ clock, random: seededRandom(11), dialer: network.dialer, token: 'a token', offline: true, ...options });
  const events: { name: string; event: unknown }[] = [];
  for (const name of EVENTS) client.on(name, (event: unknown) => void events.push({ name, event }));
  await clock.settle();
  return {
    clock,
    network,
    client,
    events,
    named: (name) => events.filter((one) => one.name === name).map((one) => one.event),
    reconnected: async (afterMs = 100) => {
      const before = network.links.length;
      await clock.advance(afterMs);
      if (network.links.length === before) throw new Error(`the client did not dial within ${afterMs} ms`);
      return network.link;
    },
  };
}

/** A client that the server has taken in. */
export async function openClient(options: ConnectOptions = {}, welcome: Partial<Welcome> = {}): Promise<ClientWorld> {
  const world = await startClient(options);
  world.network.link.welcome(welcome);
  await world.clock.settle();
  return world;
}

export function seededRandom(seed: number): Random {
  const seeded = new SeededRandom(seed);
  return {
    fill: (target) => {
      for (let i = 0; i < target.length; i++) target[i] = seeded.below(256);
    },
    fraction: () => seeded.fraction(),
  };
}

/** The rows of a batch as `table op {column: value}`. */
export function rowsOf(frame: Frame): string[] {
  return decodeBatch(frame.payload).groups.flatMap(({ table, op, columns, rows }) =>
    rows.map((row) => `${table} ${op} ${columns.map((column, i) => `${column}=${String(row[i])}`).join(' ')}`),
  );
}

/** A memory that outlives clients: what a spool holds when a process is killed. */
export class SurvivingSpool implements Spool {
  restored: SpoolState = createMemorySpool().restored;
  /** Set: calls reject with it and keep nothing. */
  failure: Error | undefined;
  #stream: string | undefined;
  #note: string | undefined;
  #left: readonly string[] = [];
  readonly #assigned = new Map<number, Place>();
  #held: SpooledFrame[] = [];

  /** What a new process finds. */
  reopen(): SurvivingSpool {
    const next = new SurvivingSpool();
    next.#stream = this.#stream;
    next.#note = this.#note;
    next.#left = this.#left;
    for (const [partition, place] of this.#assigned) next.#assigned.set(partition, place);
    next.#held = this.#held.map((frame) => ({ ...frame, bytes: Uint8Array.from(frame.bytes) }));
    next.#held.sort((a, b) => a.partition - b.partition || a.seq - b.seq);
    next.restored = { stream: next.#stream, assigned: new Map(next.#assigned), held: next.#held, left: next.#left, note: next.#note };
    return next;
  }

  async append(frames: readonly SpooledFrame[]): Promise<void> {
    await Promise.resolve();
    if (this.failure !== undefined) throw this.failure;
    for (const frame of frames) this.#keep(frame);
  }

  applied(partition: number, place: Place): void {
    this.#held = this.#held.filter((frame) => frame.partition !== partition || frame.seq > place.seq);
  }

  async reset(stream: string, frames: readonly SpooledFrame[], left: readonly string[]): Promise<void> {
    await Promise.resolve();
    if (this.failure !== undefined) throw this.failure;
    this.#stream = stream;
    this.#left = left;
    this.#assigned.clear();
    this.#held = [];
    for (const frame of frames) this.#keep(frame);
  }

  remember(note: string): Promise<void> {
    this.#note = note;
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #keep(frame: SpooledFrame): void {
    const { partition, seq, crc, bytes } = frame;
    this.#held.push({ partition, seq, crc, bytes: Uint8Array.from(bytes) });
    this.#assigned.set(partition, { seq, crc });
  }
}
