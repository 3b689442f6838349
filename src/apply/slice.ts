import type { Clock } from '../core/clock.ts';
import { SyncError } from '../core/errors.ts';
import type { PartitionBy } from '../core/partition.ts';
import { samePlace, START, type Place, type StreamId } from '../core/stream.ts';
import type { QueueReader } from '../queue/queue.ts';
import type { Rejection, Sink, SinkTransaction, StreamClaim } from '../sinks/sink.ts';
import { coalesce, type CoalesceInput } from './coalesce.ts';
import { deadLettersOf, rejectionsOf, type FailedBatch } from './dead-letters.ts';
import { readElement, type Content, type Item } from './read-element.ts';
import { resolveBatch, type ResolvedBatch } from './resolve.ts';
import type { SliceResult, SliceTask, StreamMove } from './task.ts';

/** What a thread that runs slices has. */
export interface SliceContext {
  readonly queue: QueueReader;
  readonly sink: Sink;
  readonly clock: Clock;
  readonly partitionCount: number;
  readonly partitionBy: ReadonlyMap<string, PartitionBy>;
  /** Bound on a payload once it is expanded, bytes. */
  readonly maxFrameBytes: number;
  /** After this time a slice stops at the next commit and leaves the rest to the next one, ms. */
  readonly budgetMs: number;
  /** Reads the sink's schema anew if it is older than a slice may rely on. */
  readonly renewSchema?: () => Promise<void>;
}

/**
 * Runs one slice: fetch → decode → check → coalesce → write and watermark → commit.
 *
 * The whole of what was fetched is tried in one transaction. When anything in it fails for good, that is rolled back and
 * a half is tried, down to a single batch, which then runs change by change in its original order inside savepoints: the
 * good changes commit, the bad ones become dead letters in the same transaction. Nothing but that is ever final.
 *
 * Never throws for what the world does: the result says what was committed and what is in the way.
 */
export async function runSlice(task: SliceTask, context: SliceContext): Promise<SliceResult> {
  const slice = new Slice(task, context);
  try {
    await slice.fetch();
    await slice.apply();
    return slice.result('applied');
  } catch (error) {
    if (error instanceof Blocked) return slice.result('blocked', undefined, error.storedAtUs);
    if (!(error instanceof SyncError)) throw error;
    // What was committed before the failure stands, and is reported first; the next slice meets the failure again.
    return slice.done > 0 ? slice.result('applied') : slice.result('failed', error);
  }
}

/** Thrown where a change waits for other partitions. */
class Blocked extends Error {
  readonly storedAtUs: number;
  constructor(storedAtUs: number) {
    super('a change waits for other partitions');
    this.storedAtUs = storedAtUs;
  }
}

/** An item whose turn has come, with its batch held against the schema. */
interface Accepted {
  readonly item: Item;
  readonly resolved: ResolvedBatch | undefined;
}

/** What is not applied together with others. */
const NEEDS_A_TURN: ReadonlySet<Content['type']> = new Set(['refused', 'damaged']);

class Slice {
  readonly #task: SliceTask;
  readonly #context: SliceContext;
  readonly #startedMs: number;
  #fetchedMs: number;
  #items: Item[] = [];
  #resolved: (ResolvedBatch | undefined)[] = [];
  #claims: StreamClaim[] = [];
  #full = false;
  /** Items at the head that are dealt with: committed, or dropped under a lock that is now released. */
  done = 0;
  readonly #moves = new Map<StreamId, { before: Place; after: Place; rejections: Rejection[] }>();
  readonly #gaps = new Set<StreamId>();
  readonly #refused = new Map<StreamId, 'stream_expired' | 'stream_owned_by_other'>();
  readonly #damage: string[] = [];
  #changes = 0;
  #bytes = 0;
  #deadLetters = 0;
  #newestStoredAtUs = 0;

  constructor(task: SliceTask, context: SliceContext) {
    this.#task = task;
    this.#context = context;
    this.#startedMs = context.clock.monotonicMs();
    this.#fetchedMs = this.#startedMs;
  }

  async fetch(): Promise<void> {
    const { queue, clock, maxFrameBytes, renewSchema } = this.#context;
    const { lease, limits } = this.#task;
    const elements = await queue.fetch(lease.sink, lease.partition, limits);
    if (elements.length > 0) await renewSchema?.();
    let bytes = 0;
    let expandedBytes = 0;
    for (const element of elements) {
      // The queue counts what it holds. What compressed payloads expand to has the same bound; the rest is the next slice's.
      if (expandedBytes >= limits.bytes) break;
      const item = readElement(element, maxFrameBytes);
      bytes += element.frame.length;
      expandedBytes += item.payloadBytes;
      this.#items.push(item);
    }
    this.#full = this.#items.length < elements.length || elements.length >= limits.elements || bytes >= limits.bytes;
    this.#claims = claimsOf(this.#items);
    this.#fetchedMs = clock.monotonicMs();
    await this.#resolve(0, this.#items.length);
  }

  /** Commits as much as goes in one transaction, and on failure less and less, until everything is dealt with. */
  async apply(): Promise<void> {
    const { clock, budgetMs } = this.#context;
    let size = this.#items.length;
    while (this.done < this.#items.length) {
      if (this.#dropDamaged()) continue;
      const clean = this.#cleanPrefix(size);
      if (clean > 0 && (await this.#applyTogether(clean))) {
        size = clean * 2;
      } else if (clean > 1) {
        size = Math.ceil(clean / 2);
      } else {
        await this.#applySingly();
        size = 2;
      }
      if (clock.monotonicMs() - this.#startedMs > budgetMs) return;
    }
  }

  result(outcome: SliceResult['outcome'], error?: SyncError, blockedAtUs?: number): SliceResult {
    const { clock } = this.#context;
    const moves: StreamMove[] = [];
    for (const [stream, { before, after, rejections }] of this.#moves) moves.push({ stream, before, after, rejections });
    return {
      outcome,
      count: this.done,
      last: this.done > 0 ? this.#items[this.done - 1]?.element.identity : undefined,
      apart: [...new Set(this.#items.slice(0, this.done).flatMap(({ element }) => element.apart ?? []))],
      more: this.#full || this.done < this.#items.length,
      moves,
      resets: [...this.#gaps].map((stream) => ({ stream, place: this.#moves.get(stream)?.after ?? START })),
      damage: this.#damage,
      blockedAtUs,
      fetchedAtUs: this.#items.findLast(({ content }) => content.type !== 'damaged')?.element.storedAtUs ?? 0,
      refused: [...this.#refused].map(([stream, code]) => ({ stream, code })),
      error: error && { code: error.code, message: error.message },
      stats: {
        elements: this.done,
        changes: this.#changes,
        bytes: this.#bytes,
        deadLetters: this.#deadLetters,
        fetchMs: this.#fetchedMs - this.#startedMs,
        applyMs: clock.monotonicMs() - this.#fetchedMs,
        newestStoredAtUs: this.#newestStoredAtUs,
      },
    };
  }

  /** Holds batches against the schema; where it lacks something, reads it again and lets the sink evolve, once. */
  async #resolve(from: number, to: number): Promise<void> {
    const { sink } = this.#context;
    this.#resolveCached(from, to);
    const lacking = this.#batches(from, to).filter((_, i) => this.#resolved[from + i]?.lacksSchema);
    if (lacking.length === 0) return;
    await sink.refreshSchema(tablesOf(lacking));
    await sink.evolve(lacking);
    this.#resolveCached(from, to);
  }

  #resolveCached(from: number, to: number): void {
    const context = { ...this.#context, partition: this.#task.lease.partition };
    for (let i = from; i < to; i++) {
      const content = this.#items[i]?.content;
      this.#resolved[i] = content?.type === 'batch' ? resolveBatch(content.batch, context) : undefined;
    }
  }

  /** The batches of items; an item without one counts as an empty batch, so that indexes stay aligned. */
  #batches(from: number, to: number) {
    return this.#items.slice(from, to).map(({ content }) => (content.type === 'batch' ? content.batch : { groups: [] }));
  }

  /** Drops the next item if nothing is known of it: there is no watermark to decide by. Returns whether it was. */
  #dropDamaged(): boolean {
    if (this.#items[this.done]?.content.type !== 'damaged') return false;
    this.#damage.push('the header of an element no longer has its checksum');
    this.done++;
    return true;
  }

  /** How many of the next `size` items have nothing known against them. */
  #cleanPrefix(size: number): number {
    const end = Math.min(this.done + size, this.#items.length);
    let at = this.done;
    while (at < end && !NEEDS_A_TURN.has(this.#items[at]!.content.type) && this.#resolved[at]?.clean !== false) at++;
    return at - this.done;
  }

  /**
   * Applies the next `size` items in one transaction, folded and grouped. Returns false, having changed nothing, when a
   * change among them failed for good.
   */
  async #applyTogether(size: number): Promise<boolean> {
    const to = this.done + size;
    return this.#inTransaction(async (tx) => {
      const plan = this.#plan(tx, this.done, to);
      try {
        await tx.write(coalesce(inputOf(plan.accepted), { history: this.#context.sink.capabilities.history }));
      } catch (error) {
        if (error instanceof SyncError && (error.kind === 'permanent' || error.kind === 'blocked')) return false;
        throw error;
      }
      await tx.commit(plan.places, []);
      this.#settle(plan, to, []);
      return true;
    });
  }

  /** Applies the next item change by change, with the schema read again, so that no failure rests on an old one. */
  async #applySingly(): Promise<void> {
    const at = this.done;
    await this.#context.sink.refreshSchema(tablesOf(this.#batches(at, at + 1)));
    await this.#resolve(at, at + 1);
    await this.#inTransaction(async (tx) => {
      const plan = this.#plan(tx, at, at + 1);
      const failed: FailedBatch[] = [];
      for (const accepted of plan.accepted) {
        const failure = await this.#applyChanges(tx, accepted);
        if (failure !== undefined) failed.push(failure);
      }
      await tx.commit(
        plan.places,
        failed.flatMap((batch) => deadLettersOf(batch, this.#task.lease.partition)),
      );
      this.#settle(plan, at + 1, failed);
      return true;
    });
  }

  async #applyChanges(tx: SinkTransaction, { item, resolved }: Accepted): Promise<FailedBatch | undefined> {
    if (item.content.type === 'refused') return { item, whole: item.content.fault, changes: [] };
    if (resolved === undefined) return undefined;
    const changes: FailedBatch['changes'][number][] = [];
    let index = 0;
    for (const [groupIndex, group] of resolved.groups.entries()) {
      for (const [rowIndex, row] of group.rows.entries()) {
        const known = group.shape === undefined ? group.fault : group.faults.find(({ at }) => at === rowIndex)?.fault;
        const fault = known ?? (group.shape && (await tx.writeOne(group.shape, row)));
        if (fault !== undefined) {
          this.#throwIfBlocked(item, new SyncError(fault.code, fault.message));
          changes.push({ index, groupIndex, rowIndex, fault });
        }
        index++;
      }
    }
    return changes.length === 0 ? undefined : { item, whole: undefined, changes };
  }

  #throwIfBlocked(item: Item, error: SyncError): void {
    if (error.kind === 'blocked' && item.element.storedAtUs > this.#task.settledAtUs) throw new Blocked(item.element.storedAtUs);
  }

  /** Runs `work` in a transaction that has locked the watermarks; rolls back unless `work` returned true, after a commit. */
  async #inTransaction(work: (tx: SinkTransaction) => Promise<boolean>): Promise<boolean> {
    const tx = await this.#context.sink.begin(this.#task.lease.partition, this.#claims);
    let committed = false;
    try {
      committed = await work(tx);
      return committed;
    } finally {
      if (!committed) await tx.rollback();
    }
  }

  /**
   * Decides each item's fate from the locked watermarks: already applied and gaps are dropped, the next in its stream is
   * accepted. Another stream's trouble never touches the rest.
   */
  #plan(tx: SinkTransaction, from: number, to: number): Plan {
    const places = new Map<StreamId, Place>();
    const gaps = new Set<StreamId>();
    const damage: string[] = [];
    const accepted: Accepted[] = [];
    for (let i = from; i < to; i++) {
      const item = this.#items[i] as Item;
      if (tx.refused.has(item.stream)) continue;
      if (item.content.type === 'corrupt') damage.push(item.content.reason);
      const at = places.get(item.stream) ?? tx.watermarks.get(item.stream) ?? START;
      if (item.content.type !== 'corrupt' && item.seq <= at.seq) continue;
      if (item.content.type !== 'corrupt' && item.seq === at.seq + 1 && item.prev === at.crc) {
        accepted.push({ item, resolved: this.#resolved[i] });
        places.set(item.stream, { seq: item.seq, crc: item.crc });
      } else {
        gaps.add(item.stream);
      }
    }
    return { before: tx.watermarks, refused: tx.refused, places, gaps, damage, accepted };
  }

  /** Takes over what a commit has made true. */
  #settle(plan: Plan, done: number, failed: readonly FailedBatch[]): void {
    this.done = done;
    for (const [stream, before] of plan.before) {
      const move = this.#moves.get(stream);
      const after = plan.places.get(stream) ?? before;
      // A watermark that somebody else moved between two transactions of this slice: begin the report anew from there.
      if (move === undefined || !samePlace(move.after, before)) this.#moves.set(stream, { before, after, rejections: [] });
      else move.after = after;
    }
    for (const stream of plan.gaps) this.#gaps.add(stream);
    this.#damage.push(...plan.damage);
    for (const [stream, code] of plan.refused) this.#refused.set(stream, code);
    for (const { item, resolved } of plan.accepted) {
      for (const group of resolved?.groups ?? []) this.#changes += group.rows.length;
      this.#bytes += item.element.frame.length;
      this.#newestStoredAtUs = item.element.storedAtUs;
    }
    for (const batch of failed) {
      const rejections = rejectionsOf(batch, this.#task.lease.partition);
      this.#moves.get(batch.item.stream)?.rejections.push(...rejections);
      this.#deadLetters += batch.whole ? 1 : batch.changes.length;
    }
  }
}

interface Plan {
  readonly before: ReadonlyMap<StreamId, Place>;
  readonly refused: SinkTransaction['refused'];
  /** Where the watermarks go: streams with accepted items only. */
  readonly places: ReadonlyMap<StreamId, Place>;
  readonly gaps: ReadonlySet<StreamId>;
  readonly damage: readonly string[];
  readonly accepted: readonly Accepted[];
}

function claimsOf(items: readonly Item[]): StreamClaim[] {
  const claims = new Map<StreamId, StreamClaim>();
  for (const { element, content } of items) {
    if (content.type !== 'damaged') claims.set(element.stream, { stream: element.stream, producer: element.producer });
  }
  return [...claims.values()].sort((a, b) => (a.stream < b.stream ? -1 : 1));
}

function inputOf(accepted: readonly Accepted[]): CoalesceInput[] {
  const input: CoalesceInput[] = [];
  for (const { resolved } of accepted) {
    for (const group of resolved?.groups ?? []) {
      if (group.shape === undefined) throw new Error('a group without a shape was accepted for grouped execution');
      input.push({ shape: group.shape, rows: group.rows });
    }
  }
  return input;
}

function tablesOf(batches: readonly { readonly groups: readonly { readonly table: string }[] }[]): string[] {
  return [...new Set(batches.flatMap(({ groups }) => groups.map(({ table }) => table)))];
}
