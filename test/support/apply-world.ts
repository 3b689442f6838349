import type { ChangeGroup, Op, Row } from '../../src/core/change.ts';
import { systemRandom } from '../../src/core/random.ts';
import type { StreamId } from '../../src/core/stream.ts';
import type { Scheduler } from '../../src/apply/scheduler.ts';
import { runSlices, type SliceContext } from '../../src/apply/slice.ts';
import type { SliceResult, SliceTask } from '../../src/apply/task.ts';
import { LeaseKeeper } from '../../src/cluster/lease-keeper.ts';
import { encodeBatch } from '../../src/protocol/batch.ts';
import { encodeFrame, FRAME, frameCrc } from '../../src/protocol/frame.ts';
import { createMemoryQueue, type MemoryQueue } from '../../src/queue/memory.ts';
import type { AppendEntry } from '../../src/queue/queue.ts';
import { createMemorySink } from '../../src/sinks/memory.ts';
import { createMemoryStore, type MemoryStore } from '../../src/sinks/memory-store.ts';
import type { Sink } from '../../src/sinks/sink.ts';
import { VirtualClock } from './virtual-clock.ts';

export const STREAM_A: StreamId = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa';
export const STREAM_B: StreamId = 'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb';

/** A memory queue before a memory sink with a few tables, for tests of what lies between. */
export interface ApplyWorld {
  readonly clock: VirtualClock;
  readonly queue: MemoryQueue;
  readonly store: MemoryStore;
  readonly sink: Sink;
  readonly context: SliceContext;
}

export async function createApplyWorld(partitions = 1): Promise<ApplyWorld> {
  const clock = new VirtualClock();
  const queue = createMemoryQueue({ partitions, sinks: [{ name: 'main', required: true }], mapping: '' }, { clock, random: systemRandom });
  const store = createMemoryStore([
    { name: 'item', key: ['id'], columns: { id: { type: 'int', notNull: true }, name: { type: 'text' } } },
    { name: 'parent', key: ['id'], columns: { id: { type: 'int', notNull: true } } },
    {
      name: 'child',
      key: ['id'],
      columns: { id: { type: 'int', notNull: true }, parent: { type: 'int' } },
      references: [{ columns: ['parent'], table: 'parent' }],
    },
  ]);
  const sink = createMemorySink({ name: 'main', clock, store });
  await sink.prepare({ partitions, mapping: '' });
  const context: SliceContext = {
    queue,
    sink,
    clock,
    partitionCount: partitions,
    partitionBy: ALL_TOGETHER,
    maxFrameBytes: 1 << 20,
    budgetMs: 10_000,
  };
  return { clock, queue, store, sink, context };
}

/** No check of partitions: tests put rows where they need them. Its columns are in no group, so nothing is compared. */
const ALL_TOGETHER = new Map(['item', 'parent', 'child'].map((table) => [table, { group: 'test', columns: ['nowhere'] }]));

/** The frames of one stream in one partition, each naming the one before. */
export class StreamWriter {
  readonly #stream: StreamId;
  readonly #partition: number;
  readonly #queue: MemoryQueue;
  seq = 0;
  crc = 0;

  constructor(queue: MemoryQueue, partition = 0, stream = STREAM_A) {
    this.#queue = queue;
    this.#partition = partition;
    this.#stream = stream;
  }

  entry(groups: readonly ChangeGroup[]): AppendEntry {
    const frame = encodeFrame({
      type: FRAME.batch,
      partition: this.#partition,
      seq: this.seq + 1,
      prev: this.crc,
      payload: encodeBatch({ groups }),
    });
    const entry: AppendEntry = {
      stream: this.#stream,
      producer: 'test',
      seq: ++this.seq,
      prev: this.crc,
      crc: frameCrc(frame),
      frame,
      kind: 'frame',
    };
    this.crc = entry.crc;
    return entry;
  }

  /** Appends a batch of its own for these groups. */
  async append(...groups: ChangeGroup[]): Promise<AppendEntry> {
    const entry = this.entry(groups);
    await this.appendEntry(entry);
    return entry;
  }

  async appendEntry(entry: AppendEntry): Promise<void> {
    const [result] = await this.#queue.append(this.#partition, [entry]);
    if (result?.verdict !== 'append') throw new Error(`the queue says ${result?.verdict}`);
  }
}

export function items(op: Op, ...rows: Row[]): ChangeGroup {
  return { table: 'item', op, keyCount: 1, columns: op === 'delete' ? ['id'] : ['id', 'name'], rows };
}

export function parents(op: Op, ...rows: Row[]): ChangeGroup {
  return { table: 'parent', op, keyCount: 1, columns: ['id'], rows };
}

export function children(op: Op, ...rows: Row[]): ChangeGroup {
  return { table: 'child', op, keyCount: 1, columns: ['id', 'parent'], rows };
}

/** The leases of node n1, which tell the scheduler; `wait` for those that others hold, or take all as a node that is alone. */
export function leasesOf(
  { queue, clock }: Pick<ApplyWorld, 'queue' | 'clock'>,
  scheduler: () => Scheduler,
  claim: 'wait' | 'alone',
): LeaseKeeper {
  return new LeaseKeeper({
    queue,
    sink: 'main',
    clock,
    random: systemRandom,
    holder: 'n1',
    leaseMs: 3000,
    events: {
      gained: (lease) => scheduler().gained(lease),
      lost: (partition) => scheduler().lost(partition),
      refused: (partition, holder) => scheduler().refused(partition, holder),
      failed: (partition, message) => scheduler().failed(partition, message),
    },
    ...(claim === 'alone' ? {} : { claim: () => claim }),
  });
}

/** Runs one slice alone. */
export async function runSlice(task: SliceTask, context: SliceContext): Promise<SliceResult> {
  return (await runSlices([task], context))[0] as SliceResult;
}
