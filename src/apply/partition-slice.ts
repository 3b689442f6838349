import type { AccessList } from '../core/access.ts';
import type { Batch } from '../core/change.ts';
import { samePlace, START, type Place, type StreamId } from '../core/stream.ts';
import type { SyncError } from '../core/errors.ts';
import type { Element } from '../queue/queue.ts';
import type { LockedPartition, Refusal, Rejection, StreamClaim } from '../sinks/sink.ts';
import { rejectionsOf, type FailedBatch } from './dead-letters.ts';
import { readElement, type Content, type Item } from './read-element.ts';
import { readAccess } from './read-access.ts';
import { isAllowed, resolveBatch, type ResolvedBatch } from './resolve.ts';
import type { SliceContext } from './slice.ts';
import type { SliceResult, SliceTask, StreamMove } from './task.ts';

/** An item whose turn has come, with its batch held against the schema. */
export interface Accepted {
  readonly item: Item;
  readonly resolved: ResolvedBatch | undefined;
}

/** What becomes of items under locked watermarks, once that is committed. */
export interface Plan {
  readonly locked: LockedPartition;
  /** The first item after those that were planned. */
  readonly to: number;
  /** Where the watermarks go: streams with accepted items only. */
  readonly places: ReadonlyMap<StreamId, Place>;
  readonly gaps: ReadonlySet<StreamId>;
  readonly damage: readonly string[];
  readonly accepted: readonly Accepted[];
}

/** What is not applied together with others. */
const NEEDS_A_TURN: ReadonlySet<Content['type']> = new Set(['refused', 'damaged']);

/** What a slice took from the head of one partition's list, and how far it is dealt with. Knows no transactions. */
export class PartitionSlice {
  readonly task: SliceTask;
  readonly #context: SliceContext;
  readonly #access: AccessList;
  readonly #startedMs: number;
  #fetchedMs: number;
  #elements: readonly Element[] = [];
  /** What was decoded. */
  #items: Item[] = [];
  #resolved: (ResolvedBatch | undefined)[] = [];
  /** Those that were held against a schema that was read after they were fetched. */
  readonly #fresh = new Set<number>();
  #claims: StreamClaim[] = [];
  #full = false;
  /** Items at the head that are dealt with: committed, or dropped under a lock that is now released. */
  done = 0;
  readonly #moves = new Map<StreamId, { before: Place; after: Place; rejections: Rejection[]; producer?: string }>();
  readonly #gaps = new Set<StreamId>();
  readonly #refused = new Map<StreamId, Refusal>();
  readonly #damage: string[] = [];
  #changes = 0;
  #bytes = 0;
  #deadLetters = 0;
  #newestStoredAtUs = 0;

  constructor(task: SliceTask, context: SliceContext) {
    this.task = task;
    this.#context = context;
    this.#access = readAccess(task.access);
    this.#startedMs = context.clock.monotonicMs();
    this.#fetchedMs = this.#startedMs;
  }

  get partition(): number {
    return this.task.lease.partition;
  }

  /** The streams of all items. */
  get claims(): readonly StreamClaim[] {
    return this.#claims;
  }

  get length(): number {
    return this.#items.length;
  }

  /** Bytes of the frames that were fetched. */
  get fetchedBytes(): number {
    let bytes = 0;
    for (const { frame } of this.#elements) bytes += frame.length;
    return bytes;
  }

  /** Takes what is at the head of the list. */
  async fetch(): Promise<void> {
    const { queue, clock, renewSchema } = this.#context;
    const { lease, limits } = this.task;
    this.#elements = await queue.fetch(lease.sink, lease.partition, limits);
    this.#fetchedMs = clock.monotonicMs();
    if (this.#elements.length > 0) await renewSchema?.();
  }

  /** Reads what was fetched, and holds it against the schema. */
  async decode(): Promise<void> {
    const { maxFrameBytes } = this.#context;
    const { limits } = this.task;
    const elements = this.#elements;
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
    await this.#resolve(0, this.#items.length);
  }

  /** Whether the next item was held against a schema that was read after the item was stored. */
  get isNextFresh(): boolean {
    return this.#fresh.has(this.done);
  }

  /** Holds the next item against the schema as it is now. */
  async renewNext(): Promise<void> {
    const at = this.done;
    await this.#context.sink.refreshSchema(tablesOf(this.#batches(at, at + 1)));
    await this.#resolve(at, at + 1);
    this.#fresh.add(at);
  }

  /** Drops the next item if nothing is known of it: there is no watermark to decide by. Returns whether it was. */
  dropDamaged(): boolean {
    if (this.#items[this.done]?.content.type !== 'damaged') return false;
    this.#damage.push('the header of an element no longer has its checksum');
    this.done++;
    return true;
  }

  /** How many of the next `size` items have nothing known against them. */
  cleanPrefix(size: number): number {
    const end = Math.min(this.done + size, this.#items.length);
    let at = this.done;
    while (at < end && !NEEDS_A_TURN.has(this.#items[at]!.content.type) && this.#resolved[at]?.clean !== false) at++;
    return at - this.done;
  }

  /**
   * Decides the fate of each of the next `size` items from the locked watermarks: already applied and gaps are dropped, the
   * next in its stream is accepted. Another stream's trouble never touches the rest.
   */
  plan(locked: LockedPartition, size: number): Plan {
    const to = this.done + size;
    const places = new Map<StreamId, Place>();
    const gaps = new Set<StreamId>();
    const damage: string[] = [];
    const accepted: Accepted[] = [];
    for (let i = this.done; i < to; i++) {
      const item = this.#items[i] as Item;
      if (locked.refused.has(item.stream)) continue;
      if (item.content.type === 'corrupt') damage.push(item.content.reason);
      const at = places.get(item.stream) ?? locked.watermarks.get(item.stream) ?? START;
      if (item.content.type !== 'corrupt' && item.seq <= at.seq) continue;
      if (item.content.type !== 'corrupt' && item.seq === at.seq + 1 && item.prev === at.crc) {
        accepted.push({ item, resolved: this.#resolved[i] });
        places.set(item.stream, { seq: item.seq, crc: item.crc });
      } else {
        gaps.add(item.stream);
      }
    }
    return { locked, to, places, gaps, damage, accepted };
  }

  /** Takes over what a commit has made true. */
  settle(plan: Plan, failed: readonly FailedBatch[]): void {
    this.done = plan.to;
    for (const [stream, before] of plan.locked.watermarks) {
      const move = this.#moves.get(stream);
      const after = plan.places.get(stream) ?? before;
      // A watermark that somebody else moved between two transactions of this slice: begin the report anew from there.
      if (move === undefined || !samePlace(move.after, before)) this.#moves.set(stream, { before, after, rejections: [] });
      else move.after = after;
    }
    for (const stream of plan.gaps) this.#gaps.add(stream);
    this.#damage.push(...plan.damage);
    for (const [stream, code] of plan.locked.refused) this.#refused.set(stream, code);
    for (const { item, resolved } of plan.accepted) {
      for (const group of resolved?.groups ?? []) this.#changes += group.rows.length;
      this.#bytes += item.element.frame.length;
      this.#newestStoredAtUs = item.element.storedAtUs;
    }
    for (const batch of failed) {
      const move = this.#moves.get(batch.item.stream);
      move?.rejections.push(...rejectionsOf(batch, this.partition));
      if (move !== undefined) move.producer = batch.item.element.producer;
      this.#deadLetters += batch.whole ? 1 : batch.changes.length;
    }
  }

  result(outcome: SliceResult['outcome'], error?: SyncError, blockedAtUs?: number): SliceResult {
    const { clock } = this.#context;
    const moves: StreamMove[] = [];
    for (const [stream, move] of this.#moves) moves.push({ stream, ...move });
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
    for (let i = from; i < to; i++) if (this.#resolved[i]?.lacksSchema) this.#fresh.add(i);
    this.#resolveCached(from, to);
  }

  #resolveCached(from: number, to: number): void {
    const context = { ...this.#context, partition: this.partition };
    for (let i = from; i < to; i++) {
      const { content, element } = this.#items[i]!;
      this.#resolved[i] = content.type === 'batch' ? resolveBatch(content.batch, context, this.#access.of(element.producer)) : undefined;
    }
  }

  /**
   * The batches of items, without what their producers may not write: no table is made for that. An item without a batch
   * counts as an empty one, so that indexes stay aligned.
   */
  #batches(from: number, to: number): Pick<Batch, 'groups'>[] {
    return this.#items.slice(from, to).map(({ content, element }) => {
      if (content.type !== 'batch') return { groups: [] };
      const access = this.#access.of(element.producer);
      return access === undefined ? content.batch : { groups: content.batch.groups.filter((group) => isAllowed(access, group)) };
    });
  }
}

function claimsOf(items: readonly Item[]): StreamClaim[] {
  const claims = new Map<StreamId, StreamClaim>();
  for (const { element, content } of items) {
    if (content.type !== 'damaged') claims.set(element.stream, { stream: element.stream, producer: element.producer });
  }
  return [...claims.values()].sort((a, b) => (a.stream < b.stream ? -1 : 1));
}

function tablesOf(batches: readonly { readonly groups: readonly { readonly table: string }[] }[]): string[] {
  return [...new Set(batches.flatMap(({ groups }) => groups.map(({ table }) => table)))];
}
