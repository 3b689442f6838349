import type { Timer } from '../core/clock.ts';
import { messageOf, SyncError } from '../core/errors.ts';
import type { Lease } from '../core/lease.ts';
import { backoffMs } from '../core/random.ts';
import type { FetchLimits } from '../queue/queue.ts';
import { healPartition } from './heal.ts';
import { PartitionWork } from './partition-work.ts';
import { ReadyQueue } from './ready-queue.ts';
import type { PartitionState } from './scheduler-events.ts';
import type { SchedulerOptions } from './scheduler-options.ts';
import { BLOCKED_GRACE_MS, settledUpTo } from './settled.ts';
import type { SliceResult, SliceTask } from './task.ts';

/** How often the backlog is read although nobody called: for metrics, and for elements that another node appended. */
const BACKLOG_INTERVAL_MS = 1_000;
const RETRY_BASE_MS = 50;
const RETRY_CAP_MS = 1_000;
const BLOCKED_BASE_MS = 10;
const BLOCKED_CAP_MS = 500;
/** After this time, changes that wait for one another are told apart although other partitions move. */
const BLOCKED_PATIENCE_MS = 10_000;

/**
 * Sees to it that every partition with elements whose lease this node holds has a slice running, at most one each, in the
 * order in which they became ready. Those of partitions that have little to do share a transaction: there are at most
 * `maxConcurrency` transactions.
 *
 * A partition is in one of these phases:
 *
 *     unleased ──gained──► idle ──woken──► ready ──picked──► running ──► idle | ready | delayed
 *     delayed ──timer──► ready          any ──lease lost──► unleased (a slice that runs is left to finish; the sink fences it)
 *     ready | delayed ──drain()──► idle ──no slice runs any more──► unleased ──resume()──► …
 *
 * Nothing polls while there is nothing to do but one reading of the backlog at intervals.
 */
export class Scheduler {
  readonly #options: SchedulerOptions;
  readonly #partitions: PartitionWork[] = [];
  readonly #ready = new ReadyQueue();
  /** Slices that run, or whose outcome is being dealt with. */
  #running = 0;
  #transactions = 0;
  /** Watermarks moved, over all partitions: a change that waits may be helped by each. */
  #advances = 0;
  #closed = false;
  #drained = false;
  #timers: Timer[] = [];
  #unwatch: (() => void) | undefined;
  readonly #restWaiters: (() => void)[] = [];
  #limits: FetchLimits;
  #maxConcurrency: number;
  #access: string;

  constructor(options: SchedulerOptions) {
    this.#options = options;
    this.#limits = options.limits;
    this.#maxConcurrency = options.maxConcurrency;
    this.#access = options.access;
    for (let partition = 0; partition < options.queue.partitionCount; partition++) this.#partitions.push(new PartitionWork(partition));
  }

  start(): void {
    this.#unwatch = this.#options.queue.watch((event) => {
      if (event.type === 'connected') void this.#lookForLosses();
      else if (event.type === 'listening') for (const { partition } of this.#partitions) this.wake(partition);
    });
    void this.#lookForLosses();
    this.#options.leases.start();
    this.#every(BACKLOG_INTERVAL_MS, () => this.#readBacklog());
  }

  /** Something was appended to `partition`. */
  wake(partition: number): void {
    const work = this.#partitions[partition];
    if (work === undefined) return;
    work.dirty = true;
    if (work.phase === 'idle') this.#makeReady(work);
  }

  /** A client has waited long for `partition`: look whether the queue lost what it waits for. */
  heal(partition: number): void {
    const work = this.#partitions[partition];
    if (work === undefined) return;
    work.needsHeal = true;
    this.wake(partition);
  }

  /** The lease is held from now on. */
  gained(lease: Lease): void {
    const work = this.#partitions[lease.partition];
    if (work === undefined) return;
    work.lease = lease;
    work.distrustList();
    this.#setState(work, 'applying', '');
    // A slice of the lost lease may still be running; its end makes the partition ready.
    if (work.phase === 'unleased') this.#makeReady(work);
    else work.dirty = true;
  }

  /** The lease is not held any more. */
  lost(partition: number): void {
    const work = this.#partitions[partition];
    if (work === undefined) return;
    this.#drop(work);
    this.#setState(work, 'waiting-for-lease', 'the lease was lost');
  }

  /** Begins no further slice of `partition`; resolves when none is running, and the lease may be given back. */
  async yield(partition: number): Promise<void> {
    const work = this.#partitions[partition];
    if (work === undefined || work.lease === undefined) return;
    if (work.phase === 'running') await new Promise<void>((resolve) => (work.yielded = resolve));
    this.#drop(work);
    this.#setState(work, 'elsewhere', 'handed over');
  }

  /** The lease is another node's. */
  refused(partition: number, holder: string): void {
    const work = this.#partitions[partition];
    if (work !== undefined) this.#setState(work, 'elsewhere', `held by ${holder}`);
  }

  /** The lease could not be asked for. */
  failed(partition: number, message: string): void {
    const work = this.#partitions[partition];
    if (work !== undefined) this.#setState(work, 'waiting-for-lease', message);
  }

  /** Another node moved watermarks: a change that waits may be helped by it. */
  advancedElsewhere(): void {
    this.#advances++;
  }

  /** Phases by partition, for `status`. */
  snapshot(): readonly { readonly partition: number; readonly state: PartitionState; readonly detail: string }[] {
    return this.#partitions.map(({ partition, state, detail }) => ({ partition, state, detail }));
  }

  /** Slices in flight, and leases held. */
  get load(): { readonly slices: number; readonly leases: number } {
    return { slices: this.#running, leases: this.#partitions.filter(({ lease }) => lease !== undefined).length };
  }

  /** From the next slice on. */
  configure(limits: FetchLimits, maxConcurrency: number, access: string): void {
    this.#limits = limits;
    this.#maxConcurrency = maxConcurrency;
    this.#access = access;
    this.#pump();
  }

  /**
   * Begins no slice, lets running ones finish and gives the leases back; takes none until {@link resume}. Afterwards partitions
   * are `elsewhere` where other nodes apply them.
   */
  async drain(becomes: 'elsewhere' | 'waiting-for-lease' = 'waiting-for-lease'): Promise<void> {
    this.#drained = true;
    await this.#rest();
    // It was resumed meanwhile.
    if (!this.#drained || this.#closed) return;
    const detail = becomes === 'elsewhere' ? 'handed over' : 'this node is drained';
    this.#dropAll(becomes, detail);
    await this.#options.leases.suspend();
    // One may have been gained while it was asked for.
    if (this.#drained) this.#dropAll(becomes, detail);
  }

  /** Takes leases and begins slices again, after {@link drain}. */
  async resume(): Promise<void> {
    if (!this.#drained || this.#closed) return;
    this.#drained = false;
    this.#options.leases.resume();
    // Otherwise it has not been started yet.
    if (this.#unwatch !== undefined) await this.#lookForLosses();
  }

  /** Lets running slices finish, gives the leases back and stops. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#unwatch?.();
    this.#options.leases.stop();
    for (const timer of this.#timers) timer.cancel();
    await this.#rest();
    await this.#options.leases.close();
  }

  /** Resolves when no slice runs. */
  async #rest(): Promise<void> {
    for (const work of this.#partitions) {
      work.cancelDelay();
      if (work.phase === 'ready' || work.phase === 'delayed') work.phase = 'idle';
    }
    this.#ready.clear();
    if (this.#running > 0) await new Promise<void>((resolve) => this.#restWaiters.push(resolve));
  }

  #every(intervalMs: number, run: () => Promise<void>): void {
    const slot = this.#timers.length;
    const arm = () => {
      this.#timers[slot] = this.#options.clock.setTimer(intervalMs, () => {
        void run()
          .catch(ignoreTransient)
          .then(() => {
            if (!this.#closed) arm();
          });
      });
    };
    this.#timers.push(NO_TIMER);
    arm();
  }

  #makeReady(work: PartitionWork): void {
    if (this.#closed || this.#drained || work.lease === undefined || work.yielded !== undefined) return;
    work.cancelDelay();
    this.#ready.add(work);
    this.#pump();
  }

  #pump(): void {
    while (this.#transactions < this.#maxConcurrency) {
      const works = this.#ready.take(this.#options.clock.monotonicMs());
      if (works.length === 0) return;
      this.#running += works.length;
      void this.#run(works).finally(() => {
        this.#running -= works.length;
        if (this.#running === 0) for (const rested of this.#restWaiters.splice(0)) rested();
      });
    }
  }

  async #run(works: readonly PartitionWork[]): Promise<void> {
    const triedAt = this.#advances;
    const leases = works.map((work) => work.lease as Lease);
    for (const work of works) {
      work.dirty = false;
      work.triedAt = undefined;
    }
    this.#transactions++;
    let results: readonly (SliceResult | SyncError)[];
    try {
      for (const [i, work] of works.entries())
        if (work.needsHeal) await work.heal(() => healPartition(this.#options.queue, this.#options.sink, leases[i] as Lease));
      const tasks = works.map((work, i): SliceTask => {
        const limits = work.limits(this.#limits, works.length);
        return { lease: leases[i] as Lease, limits, settledAtUs: this.#settledAtUs(work), access: this.#access };
      });
      results = await this.#options.runner.run(tasks);
    } catch (error) {
      results = works.map(() => asSyncError(error));
    }
    this.#transactions--;
    const isShared = works.length > 1;
    const concluded = works.map((work, i) => this.#conclude(work, results[i] as SliceResult | SyncError, isShared, triedAt));
    // Others need not wait until what was applied is out of the queue.
    this.#pump();
    await Promise.all(concluded);
  }

  async #conclude(work: PartitionWork, result: SliceResult | SyncError, isShared: boolean, triedAt: number): Promise<void> {
    try {
      if (result instanceof SyncError) throw result;
      this.#report(work.partition, result);
      work.passed(result, this.#limits, isShared, this.#options.clock.monotonicMs());
      // Before the trim, whose outcome may remain unknown: elements that are gone and not healed would not be missed.
      if (result.damage.length > 0) work.needsHeal = true;
      const trimmed = result.count === 0 || (await this.#trim(work, result));
      this.#continue(work, result, trimmed, triedAt);
    } catch (error) {
      this.#retry(work, asSyncError(error));
    }
    work.yielded?.();
    work.yielded = undefined;
  }

  /** First of all tells what is committed: whoever waits for APPLIED need not wait for the trim. */
  #report(partition: number, result: SliceResult): void {
    const { events } = this.#options;
    for (const move of result.moves) {
      if (move.after.seq > move.before.seq) this.#advances++;
      events.moved(partition, move);
    }
    for (const { stream, code } of result.refused) events.refused(stream, code);
    if (result.damage.length > 0) events.damaged(partition, result.damage);
    events.finished(partition, result);
  }

  async #trim(work: PartitionWork, result: SliceResult): Promise<boolean> {
    if (work.lease === undefined || result.last === undefined) return false;
    const trimmed = await this.#options.queue.trim(work.lease, result.count, result.last, result.resets, result.apart);
    if (trimmed) return true;
    // Either the lease is lost or the queue was rolled back; the next renewal tells, and the next slice reads afresh.
    work.forgetSeen();
    await this.#options.leases.renew();
    return false;
  }

  #continue(work: PartitionWork, result: SliceResult, trimmed: boolean, triedAt: number): void {
    if (work.lease === undefined) {
      work.phase = 'unleased';
      return;
    }
    if (result.outcome === 'failed')
      return this.#retry(work, new SyncError(result.error?.code ?? 'internal', result.error?.message ?? 'slice failed'));
    if (result.outcome === 'blocked') return this.#block(work, result, triedAt);
    if (result.outcome === 'deferred') {
      work.phase = 'idle';
      return this.#makeReady(work);
    }
    work.failureCount = 0;
    work.settled = undefined;
    // What lay behind one that waited has waited as long, so the time is kept until a slice passes that took all.
    if (!work.isWaiting) work.blocked = undefined;
    work.isWaiting = false;
    work.small = false;
    this.#setState(work, 'applying', '');
    work.phase = 'idle';
    if (result.more || work.dirty || work.needsHeal || !trimmed) this.#makeReady(work);
  }

  /** Something is in the way: tries again, for ever, ever more slowly. */
  #retry(work: PartitionWork, error: SyncError): void {
    if (work.lease === undefined) {
      work.phase = 'unleased';
      return;
    }
    work.failed(error.code, this.#options.clock.monotonicMs());
    this.#setState(work, 'retrying', `${error.code}: ${error.message}`);
    this.#delay(work, backoffMs(this.#options.random, work.failureCount, RETRY_BASE_MS, RETRY_CAP_MS));
  }

  /**
   * Waits until the other partitions have passed the time at which the waiting change was stored, and some more.
   * `triedAt`: how far all partitions had advanced when the slice began.
   */
  #block(work: PartitionWork, result: SliceResult, triedAt: number): void {
    const { clock, random } = this.#options;
    const blockedAtUs = result.blockedAtUs ?? 0;
    work.triedAt = triedAt;
    work.isWaiting = true;
    work.settled = undefined;
    const { sinceMs, upToUs } = work.waits(blockedAtUs, result.fetchedAtUs, clock.monotonicMs());
    work.failureCount = result.count > 0 ? 1 : work.failureCount + 1;
    this.#setState(work, 'blocked', 'a change waits for what other partitions have yet to apply');
    this.#delay(work, backoffMs(random, work.failureCount, BLOCKED_BASE_MS, BLOCKED_CAP_MS), async () => {
      const nowMs = clock.monotonicMs();
      // Whoever was helped by what we applied is given the time to help us.
      const outOfPatience = nowMs - sinceMs >= BLOCKED_PATIENCE_MS && nowMs - work.helpedAtMs >= BLOCKED_GRACE_MS;
      if (nowMs - sinceMs >= BLOCKED_GRACE_MS) await this.#settle(work, blockedAtUs, upToUs, outOfPatience);
    });
  }

  /** Finds out whether a failure that other partitions could have prevented is final at the next try. */
  async #settle(work: PartitionWork, blockedAtUs: number, upToUs: number, outOfPatience: boolean): Promise<void> {
    const { queue, sink, leases, clock } = this.#options;
    const advances = this.#advances;
    const nowMs = clock.monotonicMs();
    // As long as anything moves, it may help somebody who waits, and then another: only when all have tried in vain
    // since, they wait for one another.
    const standsStill = this.#partitions.every(({ state, triedAt }) => state !== 'blocked' || triedAt === advances);
    const backlog = await queue.backlog(sink.name);
    if (work.phase === 'delayed') work.see(backlog[work.partition]?.count ?? 0, nowMs);
    const others = this.#partitions.map(({ partition, state, lease }) => ({
      partition,
      storedAtUs: backlog[partition]?.headStoredAtUs,
      // Whether another node's partition moves is not seen from here.
      mayStand: leases.shared && lease === undefined ? outOfPatience : (standsStill || outOfPatience) && STANDING.has(state),
    }));
    const upTo = settledUpTo(work.partition, others, blockedAtUs, upToUs);
    const onlyAt = outOfPatience || !others.some(({ mayStand }) => mayStand) ? undefined : advances;
    work.settled = { upToUs: upTo, onlyAt };
  }

  #settledAtUs({ settled }: PartitionWork): number {
    if (settled === undefined || (settled.onlyAt !== undefined && settled.onlyAt !== this.#advances)) return 0;
    return settled.upToUs;
  }

  #delay(work: PartitionWork, delayMs: number, prepare?: () => Promise<void>): void {
    if (this.#closed || this.#drained) {
      work.phase = 'idle';
      return;
    }
    work.phase = 'delayed';
    work.delay = this.#options.clock.setTimer(delayMs, () => {
      void (prepare?.() ?? Promise.resolve()).catch(ignoreTransient).then(() => {
        if (work.phase === 'delayed') this.#makeReady(work);
      });
    });
  }

  /** After each connection: the queue may have lost elements, and leases, of any partition. */
  async #lookForLosses(): Promise<void> {
    for (const work of this.#partitions) work.distrustList();
    await this.#options.leases.connected();
    for (const { partition } of this.#partitions) this.wake(partition);
  }

  #dropAll(state: PartitionState, detail: string): void {
    for (const work of this.#partitions) {
      work.lease = undefined;
      work.phase = 'unleased';
      this.#setState(work, state, detail);
    }
  }

  #drop(work: PartitionWork): void {
    work.lease = undefined;
    work.cancelDelay();
    this.#ready.remove(work);
    if (work.phase !== 'running') work.phase = 'unleased';
  }

  async #readBacklog(): Promise<void> {
    const backlog = await this.#options.queue.backlog(this.#options.sink.name);
    this.#options.events.backlog(backlog);
    for (const [partition, { count }] of backlog.entries()) if (count > 0) this.wake(partition);
  }

  #setState(work: PartitionWork, state: PartitionState, detail: string): void {
    if (work.state === state && work.detail === detail) return;
    work.state = state;
    work.detail = detail;
    this.#options.events.stateChanged(work.partition, state, detail);
  }
}

const NO_TIMER: Timer = { cancel() {} };

/** Who is in such a state may not move before others do. */
const STANDING: ReadonlySet<PartitionState> = new Set(['blocked', 'waiting-for-lease']);

function asSyncError(error: unknown): SyncError {
  if (error instanceof SyncError) return error;
  // A bug: keep the partition visible as failing rather than ending the node for all others.
  return new SyncError('internal', messageOf(error), { cause: error });
}

/** Periodic work meets what is in the way again at its next turn; anything else is a bug. */
function ignoreTransient(error: unknown): void {
  if (!(error instanceof SyncError)) throw error;
}
