import type { Clock, Timer } from '../core/clock.ts';
import { messageOf, SyncError } from '../core/errors.ts';
import type { Lease } from '../core/lease.ts';
import { randomHex, type Random } from '../core/random.ts';
import type { Queue } from '../queue/queue.ts';
import type { Claim } from './claims.ts';

export interface LeaseKeeperOptions {
  readonly queue: Queue;
  readonly sink: string;
  readonly clock: Clock;
  readonly random: Random;
  /** This node, as it is recorded with its leases. */
  readonly holder: string;
  readonly leaseMs: number;
  readonly events: LeaseEvents;
  /**
   * What this node may ask for now. Left out where it is the only one: whoever held a lease before is gone, or fenced by
   * the sink, so everything is taken.
   */
  readonly claim?: ((partition: number) => Claim) | undefined;
}

/** What becomes of the leases. */
export interface LeaseEvents {
  gained(lease: Lease): void;
  lost(partition: number): void;
  /** Another node holds it. */
  refused(partition: number, holder: string): void;
  /** The queue could not be asked. */
  failed(partition: number, message: string): void;
  /** The lease was taken although `before` had not given it back. */
  tookOver?(partition: number, before: string): void;
  /** Nothing more may be begun in `partition`; resolves when nothing is in flight. */
  yield?(partition: number): Promise<void>;
  /** These were given back, so that others may have them at once. */
  released?(partitions: readonly number[]): void;
}

/** After what the queue says is left of another's lease: it ends a moment later than that. */
const EXPIRY_MARGIN_MS = 5;

/**
 * Holds the leases of one sink: asks for what this node may have, renews what it holds at intervals, and gives everything
 * back at the end. Of a lease that another node holds it knows when it ends, and asks again then, or when it is told
 * ({@link LeaseKeeper.heardReleased}).
 *
 *     missing ──asked──► held ──renewed──► held ──not there any more──► missing
 *     missing ──another holds it──► waiting ──it ends, or is given back──► missing
 *     held ──not claimed any more──► yielding ──nothing in flight──► given back
 */
export class LeaseKeeper {
  readonly #options: LeaseKeeperOptions;
  readonly #slots: Slot[] = [];
  #renewal: Timer | undefined;
  #acquiring: Promise<void> | undefined;
  /** Something happened while leases were asked for that makes it worth asking again. */
  #again = false;
  #handingOver: Promise<void> | undefined;
  #stopped = false;
  /** Stopped until {@link resume}. */
  #suspended = false;
  #closed = false;

  constructor(options: LeaseKeeperOptions) {
    this.#options = options;
    for (let partition = 0; partition < options.queue.partitionCount; partition++) this.#slots.push(new Slot(partition));
  }

  /** Begins to renew at intervals. */
  start(): void {
    const arm = () => {
      this.#renewal = this.#options.clock.setTimer(this.#options.leaseMs / 3, () => {
        void this.renew()
          .catch(ignoreTransient)
          .then(() => {
            if (!this.#closed && (this.shared || this.#suspended || !this.#stopped)) arm();
          });
      });
    };
    arm();
  }

  /** The queue is there, for the first time or again: it may have lost the leases. Resolves when that is known. */
  async connected(): Promise<void> {
    if (this.#options.claim === undefined) return this.acquire();
    const { clock, leaseMs } = this.#options;
    // Whoever held a lease before asks first, and the others when it has had time to; but connections that are lost again
    // and again do not put that off for ever.
    for (const slot of this.#waiting()) this.#askAfter(slot, Math.min(leaseMs / 2, slot.endsAtMs + leaseMs / 2 - clock.monotonicMs()));
    await this.renew().catch(ignoreTransient);
  }

  /** Asks for every lease that is missing and may be asked for now. */
  async acquire(): Promise<void> {
    this.#acquiring ??= this.#acquireAll().finally(() => (this.#acquiring = undefined));
    await this.#acquiring;
  }

  /** Finds out which leases are still held, prolongs those, and asks for what is missing. @throws {SyncError} */
  async renew(): Promise<void> {
    const { queue, leaseMs, clock } = this.#options;
    const held = this.#slots.filter((slot) => slot.lease !== undefined);
    const leases = held.flatMap(({ lease }) => lease ?? []);
    if (leases.length > 0) {
      const sentAtMs = clock.monotonicMs();
      const still = await queue.renew(leases, leaseMs);
      for (const [i, slot] of held.entries()) {
        // It may have been given back, or taken anew, while the answer was on its way.
        if (slot.lease !== leases[i]) continue;
        if (still[i] === false) this.#lose(slot);
        else slot.validUntilMs = sentAtMs + leaseMs;
      }
    }
    await this.acquire();
  }

  /** Whether this node holds the lease of `partition` as far as it can know: at most as long as the queue keeps it. */
  holds(partition: number): boolean {
    const slot = this.#slots[partition];
    return slot?.lease !== undefined && this.#options.clock.monotonicMs() < slot.validUntilMs;
  }

  /** Who held a lease when it was last asked for and refused; undefined when it is held here, or nobody is known. */
  holderOf(partition: number): string | undefined {
    return this.#slots[partition]?.holder;
  }

  /** Whether other nodes may hold what this one does not. */
  get shared(): boolean {
    return this.#options.claim !== undefined;
  }

  get held(): readonly number[] {
    return this.#slots.filter(({ partition }) => this.holds(partition)).map(({ partition }) => partition);
  }

  /** Another node says that it gave back the lease of `partition`. */
  heardReleased(partition: number): void {
    const slot = this.#slots[partition];
    if (slot === undefined || slot.lease !== undefined) return;
    slot.holder = undefined;
    slot.askAtMs = -Infinity;
    slot.releases++;
    this.#askSoon();
  }

  /** Another node says that it took the lease of `partition`. */
  heardTaken(partition: number): void {
    this.#slots[partition]?.taken?.();
  }

  /** It may have been missed that a lease was given back. */
  mayHaveMissed(): void {
    const { clock, leaseMs } = this.#options;
    for (const slot of this.#waiting()) this.#askAfter(slot, Math.min(leaseMs / 2, slot.askAtMs - clock.monotonicMs()));
  }

  /** What may be asked for has changed: asks for what is missing, and hands over what is not claimed any more. Resolves when that is done. */
  async claimsChanged(): Promise<void> {
    // Whoever was to have it will not: it is ours again, and nobody is waited for.
    for (const slot of this.#slots) if (!this.#isForOthers(slot)) slot.taken?.();
    this.#askSoon();
    this.#handingOver ??= this.#handOver().finally(() => (this.#handingOver = undefined));
    await this.#handingOver;
  }

  /** Asks for nothing any more. What others could take meanwhile is kept for as long as something is in flight. */
  stop(): void {
    this.#suspended = false;
    if (!this.shared) this.#renewal?.cancel();
    this.#ceaseToAsk();
  }

  /** Gives back what is held, when nothing is in flight, and asks for nothing until {@link resume}. */
  async suspend(): Promise<void> {
    this.#suspended = true;
    this.#ceaseToAsk();
    await this.#settle();
    if (this.#suspended) await this.#giveBack();
  }

  /** After {@link suspend}: asks again, when it is told to or at the next interval. What is still held is told as gained. */
  resume(): void {
    if (!this.#suspended) return;
    this.#suspended = false;
    this.#stopped = false;
    for (const { lease } of this.#slots) if (lease !== undefined) this.#options.events.gained(lease);
  }

  /** Gives back what is held, after {@link stop} and when nothing is in flight. */
  async close(): Promise<void> {
    this.stop();
    await this.#settle();
    this.#closed = true;
    this.#renewal?.cancel();
    await this.#giveBack();
  }

  #ceaseToAsk(): void {
    this.#stopped = true;
    for (const slot of this.#slots) {
      slot.wait?.cancel();
      slot.taken?.();
    }
  }

  async #settle(): Promise<void> {
    await this.#acquiring;
    await this.#handingOver;
  }

  async #giveBack(): Promise<void> {
    const held = this.#slots.filter((slot) => slot.lease !== undefined || slot.pending !== undefined);
    const leases = held.flatMap(({ lease, pending }) => lease ?? pending ?? []);
    for (const slot of held) slot.lease = undefined;
    // The queue may be away; leases then run out by themselves.
    await this.#options.queue.release(leases).catch(ignoreTransient);
    this.#options.events.released?.(held.map(({ partition }) => partition));
  }

  async #acquireAll(): Promise<void> {
    do {
      this.#again = false;
      await Promise.all(
        this.#slots.map(async (slot) => {
          const claim = this.#claimOf(slot);
          if (claim !== 'none') await this.#ask(slot, claim);
        }),
      );
    } while (this.#again && !this.#stopped);
  }

  #claimOf(slot: Slot): Claim | 'steal' {
    if (slot.lease !== undefined || slot.taken !== undefined || this.#stopped) return 'none';
    const { claim, clock } = this.#options;
    if (claim === undefined) return 'steal';
    const claimed = claim(slot.partition);
    return claimed === 'wait' && clock.monotonicMs() < slot.askAtMs ? 'none' : claimed;
  }

  async #ask(slot: Slot, claim: 'steal' | 'take' | 'wait'): Promise<void> {
    const { queue, sink, holder, leaseMs, random, clock, events } = this.#options;
    // After a question without an answer the lease may be ours: asked for with the same token, it is not in our own way.
    const isRepeated = slot.pending !== undefined;
    const lease = slot.pending ?? { sink, partition: slot.partition, token: randomHex(random, 16) };
    const validUntilMs = clock.monotonicMs() + leaseMs;
    const { releases } = slot;
    let before: string | undefined;
    try {
      const answer = await queue.acquire(lease, holder, leaseMs, claim);
      slot.pending = undefined;
      if (!answer.taken) {
        this.#wait(slot, answer.holder, answer.leftMs);
        // It was given back while the answer was on its way: that is asked about once more.
        if (slot.releases !== releases) slot.askAtMs = -Infinity;
        return;
      }
      before = answer.before ?? (isRepeated ? slot.holder : undefined);
    } catch (error) {
      if (claim === 'wait') slot.pending = lease;
      return events.failed(slot.partition, asSyncError(error).message);
    }
    if (claim === 'wait' && clock.monotonicMs() >= validUntilMs) {
      // The answer took longer than the lease lasts: another may have it by now, and asking again tells.
      slot.pending = lease;
      return events.failed(slot.partition, 'the queue answered after the lease had ended');
    }
    slot.lease = lease;
    slot.holder = undefined;
    slot.askAtMs = -Infinity;
    slot.validUntilMs = validUntilMs;
    // In standby mode, partition 0 brings the others.
    if (this.#options.claim !== undefined) this.#again = true;
    if (before !== undefined) events.tookOver?.(slot.partition, before);
    events.gained(lease);
  }

  #wait(slot: Slot, holder: string, leftMs: number): void {
    const delayMs = Math.max(leftMs, 0) + EXPIRY_MARGIN_MS;
    slot.holder = holder;
    slot.endsAtMs = this.#options.clock.monotonicMs() + delayMs;
    this.#askAfter(slot, delayMs);
    this.#options.events.refused(slot.partition, holder);
  }

  #askAfter(slot: Slot, delayMs: number): void {
    if (this.#options.claim === undefined || this.#stopped) return;
    const { clock } = this.#options;
    slot.askAtMs = clock.monotonicMs() + delayMs;
    slot.wait?.cancel();
    slot.wait = clock.setTimer(delayMs, () => {
      slot.askAtMs = -Infinity;
      this.#askSoon();
    });
  }

  #waiting(): Slot[] {
    return this.#slots.filter(({ lease, holder }) => lease === undefined && holder !== undefined);
  }

  #askSoon(): void {
    if (this.#stopped) return;
    if (this.#acquiring !== undefined) this.#again = true;
    void this.acquire();
  }

  #lose(slot: Slot): void {
    slot.lease = undefined;
    this.#options.events.lost(slot.partition);
  }

  /** One after the other, each when the one before is in other hands: never does more than one partition stand still. */
  async #handOver(): Promise<void> {
    for (;;) {
      const slot = this.#slots.find((one) => one.lease !== undefined && this.#isForOthers(one));
      if (slot === undefined || this.#stopped) return;
      await this.#giveAway(slot);
    }
  }

  async #giveAway(slot: Slot): Promise<void> {
    const { queue, clock, leaseMs, events } = this.#options;
    const { promise: taken, resolve } = Promise.withResolvers<void>();
    slot.taken = resolve;
    await events.yield?.(slot.partition);
    const { lease } = slot;
    if (lease !== undefined && !this.#stopped) {
      if (this.#isForOthers(slot)) {
        slot.lease = undefined;
        await queue.release([lease]).catch(ignoreTransient);
        const patience = clock.setTimer(leaseMs / 2, resolve);
        events.released?.([slot.partition]);
        await taken;
        patience.cancel();
      } else events.gained(lease);
    }
    slot.taken = undefined;
    if (!this.#isForOthers(slot)) this.#askSoon();
  }

  #isForOthers({ partition }: Slot): boolean {
    return this.#options.claim?.(partition) === 'none';
  }
}

/** What is known of the lease of one partition. */
class Slot {
  readonly partition: number;
  lease: Lease | undefined;
  /** Until when the queue keeps the lease at least, by our clock. */
  validUntilMs = -Infinity;
  /** Asked for, without an answer. */
  pending: Lease | undefined;
  /** Who holds it instead. */
  holder: string | undefined;
  /** When it ends, as far as its holder said. */
  endsAtMs = -Infinity;
  /** It is not asked for before. */
  askAtMs = -Infinity;
  wait: Timer | undefined;
  /** How often it was heard that another gave it back. */
  releases = 0;
  /** While it is handed over: called when another node has it. */
  taken: (() => void) | undefined;

  constructor(partition: number) {
    this.partition = partition;
  }
}

function asSyncError(error: unknown): SyncError {
  if (error instanceof SyncError) return error;
  // A bug: keep the partition visible as failing rather than ending the node for all others.
  return new SyncError('internal', messageOf(error), { cause: error });
}

/** Periodic work meets what is in the way again at its next turn; anything else is a bug. */
function ignoreTransient(error: unknown): void {
  if (!(error instanceof SyncError)) throw error;
}
