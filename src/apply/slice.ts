import type { Clock } from '../core/clock.ts';
import { SyncError } from '../core/errors.ts';
import type { PartitionBy } from '../core/partition.ts';
import type { QueueReader } from '../queue/queue.ts';
import type { Sink, SinkTransaction } from '../sinks/sink.ts';
import { coalesce, type CoalesceInput } from './coalesce.ts';
import { deadLettersOf, type FailedBatch } from './dead-letters.ts';
import { PartitionSlice, type Accepted, type Plan } from './partition-slice.ts';
import type { Item } from './read-element.ts';
import type { SliceResult, SliceTask } from './task.ts';

/** What a thread that runs slices has. */
export interface SliceContext {
  readonly queue: QueueReader;
  readonly sink: Sink;
  readonly clock: Clock;
  readonly partitionCount: number;
  readonly partitionBy: ReadonlyMap<string, PartitionBy>;
  /** Bound on a payload once it is expanded, bytes. */
  readonly maxFrameBytes: number;
  /** After this time of applying, a slice stops at the next commit and leaves the rest to the next one, ms. */
  readonly budgetMs: number;
  /** Reads the sink's schema anew if it is older than a slice may rely on. */
  readonly renewSchema?: () => Promise<void>;
}

/**
 * Runs slices: fetch → decode → check → coalesce → write and watermark → commit. Returns a result for each task.
 *
 * Several are tried in one transaction, the whole of each. When anything in it fails for good, that is rolled back, and each
 * is `deferred`: to be run again alone.
 *
 * One that is alone is tried in one transaction too. When anything in it fails for good, that is rolled back and a half is
 * tried, down to a single batch, which then runs change by change in its original order inside savepoints: the good changes
 * commit, the bad ones become dead letters in the same transaction. Nothing but that is ever final.
 *
 * Never throws for what the world does: the results say what was committed and what is in the way.
 */
export async function runSlices(tasks: readonly SliceTask[], context: SliceContext): Promise<SliceResult[]> {
  const slices = tasks.map((task) => new PartitionSlice(task, context));
  const [first] = slices;
  if (first !== undefined && slices.length === 1) return [await runAlone(first, context)];
  return runTogether(slices, context);
}

async function runAlone(slice: PartitionSlice, context: SliceContext): Promise<SliceResult> {
  try {
    await slice.fetch();
    await slice.decode();
    await applyAlone(slice, context);
    return slice.result('applied');
  } catch (error) {
    if (error instanceof Blocked) return slice.result('blocked', undefined, error.storedAtUs);
    if (!(error instanceof SyncError)) throw error;
    // What was committed before the failure stands, and is reported first; the next slice meets the failure again.
    return slice.done > 0 ? slice.result('applied') : slice.result('failed', error);
  }
}

async function runTogether(slices: readonly PartitionSlice[], context: SliceContext): Promise<SliceResult[]> {
  const failures = new Map<PartitionSlice, SyncError>();
  const failed = (slice: PartitionSlice) => (error: unknown) => void failures.set(slice, asSyncError(error));
  await Promise.all(slices.map((slice) => slice.fetch().catch(failed(slice))));
  const taken = thoseThatFit(slices);
  for (const slice of taken) if (!failures.has(slice)) await slice.decode().catch(failed(slice));
  const clean = taken.filter((slice) => !failures.has(slice) && slice.length > 0 && slice.cleanPrefix(slice.length) === slice.length);
  const lengths = clean.map(({ length }) => length);
  try {
    if (clean.length > 0) await applyTogether(clean, lengths, context);
  } catch (error) {
    for (const slice of clean) failures.set(slice, asSyncError(error));
  }
  return slices.map((slice) => {
    const failure = failures.get(slice);
    if (failure !== undefined) return slice.result('failed', failure);
    return slice.result(taken.includes(slice) && slice.done === slice.length ? 'applied' : 'deferred');
  });
}

/** A fetch brings one frame at least, however large: those that together are more than all may take have a turn of their own. */
function thoseThatFit(slices: readonly PartitionSlice[]): PartitionSlice[] {
  let room = 0;
  for (const { task } of slices) room += task.limits.bytes;
  return slices.filter(({ fetchedBytes }) => {
    if (fetchedBytes > room) return false;
    room -= fetchedBytes;
    return true;
  });
}

/** Commits as much as goes in one transaction, and on failure less and less, until everything is dealt with. */
async function applyAlone(slice: PartitionSlice, context: SliceContext): Promise<void> {
  const { clock, budgetMs } = context;
  const startedMs = clock.monotonicMs();
  let size = slice.length;
  while (slice.done < slice.length) {
    if (slice.dropDamaged()) continue;
    const clean = slice.cleanPrefix(size);
    if (clean > 0 && (await applyTogether([slice], [clean], context))) {
      size = clean * 2;
    } else if (clean > 1) {
      size = Math.ceil(clean / 2);
    } else {
      await applySingly(slice, context);
      size = 2;
    }
    if (clock.monotonicMs() - startedMs > budgetMs) return;
  }
}

/**
 * Applies the next `sizes[i]` items of each slice in one transaction, folded and grouped. Returns false, having changed
 * nothing, when a change among them failed for good.
 */
async function applyTogether(slices: readonly PartitionSlice[], sizes: readonly number[], context: SliceContext): Promise<boolean> {
  return inTransaction(slices, context, async (tx) => {
    const plans = slices.map((slice, i) => slice.plan(tx.partitions[i]!, sizes[i]!));
    try {
      await tx.write(coalesce(inputOf(plans), { history: context.sink.capabilities.history }));
    } catch (error) {
      if (error instanceof SyncError && (error.kind === 'permanent' || error.kind === 'blocked')) return false;
      throw error;
    }
    await tx.commit(movesOf(plans), []);
    for (const [i, slice] of slices.entries()) slice.settle(plans[i]!, []);
    return true;
  });
}

/** Applies the next item change by change. No failure of a change is final that rests on a schema older than the change. */
async function applySingly(slice: PartitionSlice, context: SliceContext): Promise<void> {
  if (slice.cleanPrefix(1) === 1 && (await applyNext(slice, context))) return;
  await slice.renewNext();
  await applyNext(slice, context);
}

/** Returns false, having changed nothing, when a change failed that may fit the schema as it is by now. */
async function applyNext(slice: PartitionSlice, context: SliceContext): Promise<boolean> {
  return inTransaction([slice], context, async (tx) => {
    const plan = slice.plan(tx.partitions[0]!, 1);
    const failed: FailedBatch[] = [];
    for (const accepted of plan.accepted) {
      const failure = await applyChanges(tx, accepted, slice.task.settledAtUs);
      if (failure !== undefined) failed.push(failure);
    }
    if (failed.some(({ changes }) => changes.length > 0) && !slice.isNextFresh) return false;
    await tx.commit(
      movesOf([plan]),
      failed.flatMap((batch) => deadLettersOf(batch, slice.partition)),
    );
    slice.settle(plan, failed);
    return true;
  });
}

async function applyChanges(tx: SinkTransaction, { item, resolved }: Accepted, settledAtUs: number): Promise<FailedBatch | undefined> {
  if (item.content.type === 'refused') return { item, whole: item.content.fault, changes: [] };
  if (resolved === undefined) return undefined;
  const changes: FailedBatch['changes'][number][] = [];
  let index = 0;
  for (const [groupIndex, group] of resolved.groups.entries()) {
    for (const [rowIndex, row] of group.rows.entries()) {
      const known = group.shape === undefined ? group.fault : group.faults.find(({ at }) => at === rowIndex)?.fault;
      const fault = known ?? (group.shape && (await tx.writeOne(group.shape, row)));
      if (fault !== undefined) {
        throwIfBlocked(item, new SyncError(fault.code, fault.message), settledAtUs);
        changes.push({ index, groupIndex, rowIndex, fault });
      }
      index++;
    }
  }
  return changes.length === 0 ? undefined : { item, whole: undefined, changes };
}

/** Thrown where a change waits for other partitions. */
class Blocked extends Error {
  readonly storedAtUs: number;
  constructor(storedAtUs: number) {
    super('a change waits for other partitions');
    this.storedAtUs = storedAtUs;
  }
}

function throwIfBlocked({ element }: Item, error: SyncError, settledAtUs: number): void {
  if (error.kind === 'blocked' && element.storedAtUs > settledAtUs) throw new Blocked(element.storedAtUs);
}

/** Runs `work` in a transaction that has locked the watermarks; rolls back unless `work` returned true, after a commit. */
async function inTransaction(
  slices: readonly PartitionSlice[],
  { sink }: SliceContext,
  work: (tx: SinkTransaction) => Promise<boolean>,
): Promise<boolean> {
  const tx = await sink.begin(slices.map(({ partition, claims }) => ({ partition, streams: claims })));
  let committed = false;
  try {
    committed = await work(tx);
    return committed;
  } finally {
    if (!committed) await tx.rollback();
  }
}

function inputOf(plans: readonly Plan[]): CoalesceInput[] {
  const input: CoalesceInput[] = [];
  for (const { resolved } of inOrder(plans)) {
    for (const group of resolved?.groups ?? []) {
      if (group.shape === undefined) throw new Error('a group without a shape was accepted for grouped execution');
      input.push({ shape: group.shape, rows: group.rows });
    }
  }
  return input;
}

/** Each partition's items in their order, and those of different partitions as they were stored, so that parents mostly precede children. */
function inOrder(plans: readonly Plan[]): readonly Accepted[] {
  const [first] = plans;
  if (first !== undefined && plans.length === 1) return first.accepted;
  const all: Accepted[] = [];
  const next = plans.map(() => 0);
  for (;;) {
    let earliest = -1;
    let earliestUs = Number.POSITIVE_INFINITY;
    for (const [i, { accepted }] of plans.entries()) {
      const storedAtUs = accepted[next[i]!]?.item.element.storedAtUs ?? Number.POSITIVE_INFINITY;
      if (storedAtUs < earliestUs) [earliest, earliestUs] = [i, storedAtUs];
    }
    if (earliest < 0) return all;
    all.push(plans[earliest]!.accepted[next[earliest]!++]!);
  }
}

function movesOf(plans: readonly Plan[]) {
  return plans.map(({ locked: { partition }, places }) => ({ partition, places }));
}

function asSyncError(error: unknown): SyncError {
  if (error instanceof SyncError) return error;
  throw error;
}
