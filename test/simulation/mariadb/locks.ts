import { compareKeys, type IndexKey } from './keys.ts';
import type { ValueType } from './values.ts';

/** Who can own and wait for locks. */
export interface LockOwner {
  /** What it waits for now. */
  wait: LockWait | undefined;
  /** What rolling it back would cost, in the units of InnoDB: rows that it changed, and lock structures. */
  readonly weight: number;
  /** Where it holds or wants locks. */
  readonly lockedAt: Set<LockPlace>;
  /** Whether its statement is an INSERT … ON DUPLICATE KEY UPDATE, which wants rows that exist for itself. */
  readonly takesDuplicates: boolean;
}

/**
 * S and X lock a record. `insert` locks a key for a new record: it waits for locks of the record that may stand there,
 * and for gaps that hold the key, and is X then.
 */
export type LockMode = 'S' | 'X' | 'insert';

/** A lock that was asked for and is not there yet. */
export interface LockWait {
  readonly owner: LockOwner;
  readonly mode: LockMode;
  readonly place: LockPlace;
  /** The owner of the first lock in its way. */
  blocker: LockOwner;
  /** Called once, when nothing is in its way any more. */
  onGranted: () => void;
}

/** Something that has locks: a record, or the gaps of an index. */
export interface LockPlace {
  /** Undefined for the definition of a table. */
  readonly index: object | undefined;
  /** Drops what `owner` holds and wants here, and grants what waited for it. */
  release(owner: LockOwner): void;
  /** Drops what `owner` wants here and has not got. */
  withdraw(owner: LockOwner): void;
  /** The modes in which `owner` has lock structures here. */
  structuresOf(owner: LockOwner): readonly string[];
}

interface Request {
  readonly owner: LockOwner;
  mode: LockMode;
  /** Of a lock that nobody asked for: it comes with writing the record, and goes when the write is undone. */
  isImplicit: boolean;
  /** Until it is granted. */
  wait: LockWait | undefined;
}

/** The locks of one record, granted and wanted, in the order in which they were asked for. */
export class RecordLocks implements LockPlace {
  readonly index: object | undefined;
  readonly #requests: Request[] = [];
  readonly #onEmpty: () => void;
  readonly #onMoved: (owner: LockOwner) => void;

  /** Calls `onMoved` when somebody waits for another owner than before, which may close a circle. */
  constructor(index: object | undefined, onEmpty: () => void, onMoved: (owner: LockOwner) => void) {
    this.index = index;
    this.#onEmpty = onEmpty;
    this.#onMoved = onMoved;
  }

  /** Whether others hold or want the record. */
  isWantedBeside(owner: LockOwner): boolean {
    return this.#requests.some((request) => request.owner !== owner);
  }

  /** How `owner` holds the record, if it does. */
  heldBy(owner: LockOwner): { readonly mode: LockMode; readonly isImplicit: boolean } | undefined {
    return this.#requests.find((request) => request.owner === owner && request.wait === undefined);
  }

  /** Takes the lock, or joins the queue and returns what to wait for. */
  acquire(owner: LockOwner, mode: LockMode, origin: 'explicit' | 'implicit'): LockWait | undefined {
    const held = this.#requests.find((request) => request.owner === owner && request.wait === undefined);
    if (held !== undefined && (held.mode !== 'S' || mode === 'S')) {
      if (origin === 'explicit') held.isImplicit = false;
      return undefined;
    }
    const isImplicit = origin === 'implicit';
    const blocker = this.#blockerOf(owner, mode, this.#requests.length);
    owner.lockedAt.add(this);
    if (blocker === undefined) {
      if (held === undefined) this.#requests.push({ owner, mode, isImplicit, wait: undefined });
      else held.mode = mode;
      return undefined;
    }
    // The first who waits for an implicit lock makes a real one of it.
    for (const request of this.#requests) if (request.owner === blocker) request.isImplicit = false;
    const wait: LockWait = { owner, mode, blocker, place: this, onGranted: () => {} };
    this.#requests.push({ owner, mode, isImplicit, wait });
    owner.wait = wait;
    return wait;
  }

  release(owner: LockOwner): void {
    owner.lockedAt.delete(this);
    for (let i = this.#requests.length - 1; i >= 0; i--) if (this.#requests[i]?.owner === owner) this.#requests.splice(i, 1);
    this.#grant();
  }

  /** The record is gone: so are its locks, and who waited looks again. Returns the waits. */
  vanish(): readonly LockWait[] {
    const waits = this.#requests.flatMap(({ wait }) => wait ?? []);
    for (const { owner } of this.#requests) owner.lockedAt.delete(this);
    this.#requests.length = 0;
    for (const wait of waits) {
      wait.owner.wait = undefined;
      wait.onGranted();
    }
    this.#onEmpty();
    return waits;
  }

  withdraw(owner: LockOwner): void {
    const at = this.#requests.findIndex((request) => request.owner === owner && request.wait !== undefined);
    if (at >= 0) this.#requests.splice(at, 1);
    if (!this.#requests.some((request) => request.owner === owner)) owner.lockedAt.delete(this);
    this.#grant();
  }

  structuresOf(owner: LockOwner): readonly string[] {
    return this.#requests
      .filter((request) => request.owner === owner && !request.isImplicit)
      .map(({ mode, wait }) => (wait === undefined ? mode : `${mode} waits`));
  }

  /** The owner of the first request before place `end` that stands in the way. */
  #blockerOf(owner: LockOwner, mode: LockMode, end: number): LockOwner | undefined {
    for (let i = 0; i < end; i++) {
      const request = this.#requests[i] as Request;
      if (request.owner !== owner && !(mode === 'S' && request.mode === 'S')) return request.owner;
    }
    return undefined;
  }

  #grant(): void {
    for (let i = 0; i < this.#requests.length; i++) {
      const request = this.#requests[i] as Request;
      const { owner, mode, wait } = request;
      if (wait === undefined) continue;
      const blocker = this.#blockerOf(owner, mode, i);
      if (blocker !== undefined) {
        if (blocker !== wait.blocker) this.#onMoved(owner);
        wait.blocker = blocker;
        continue;
      }
      request.wait = undefined;
      const held = this.#requests.find((each) => each !== request && each.owner === owner && each.wait === undefined);
      if (held !== undefined) {
        held.mode = mode;
        this.#requests.splice(i--, 1);
      }
      owner.wait = undefined;
      wait.onGranted();
    }
    if (this.#requests.length === 0) this.#onEmpty();
  }
}

interface Gap {
  readonly owner: LockOwner;
  /** The keys of the records before and after it; undefined where the index ends. */
  readonly low: IndexKey | undefined;
  readonly high: IndexKey | undefined;
}

/** The locked gaps of one index. They stand in the way of new records only, and not of each other. */
export class GapLocks implements LockPlace {
  readonly index: object;
  readonly #types: readonly ValueType[];
  readonly #onMoved: (owner: LockOwner) => void;
  #gaps: Gap[] = [];
  #inserts: { readonly key: IndexKey; readonly wait: LockWait }[] = [];

  constructor(index: object, types: readonly ValueType[], onMoved: (owner: LockOwner) => void) {
    this.index = index;
    this.#types = types;
    this.#onMoved = onMoved;
  }

  add(gap: Gap): void {
    this.#gaps.push(gap);
    gap.owner.lockedAt.add(this);
  }

  /** Returns what to wait for before a record with `key` can be inserted. */
  waitToInsert(owner: LockOwner, key: IndexKey): LockWait | undefined {
    const blocker = this.#blockerOf(owner, key);
    if (blocker === undefined) return undefined;
    const wait: LockWait = { owner, mode: 'insert', blocker, place: this, onGranted: () => {} };
    this.#inserts.push({ key, wait });
    owner.lockedAt.add(this);
    owner.wait = wait;
    return wait;
  }

  release(owner: LockOwner): void {
    owner.lockedAt.delete(this);
    this.#gaps = this.#gaps.filter((gap) => gap.owner !== owner);
    this.#inserts = this.#inserts.filter(({ wait }) => wait.owner !== owner);
    const waiting = this.#inserts;
    this.#inserts = waiting.filter(({ key, wait }) => {
      const blocker = this.#blockerOf(wait.owner, key);
      if (blocker === undefined) return false;
      if (blocker !== wait.blocker) this.#onMoved(wait.owner);
      wait.blocker = blocker;
      return true;
    });
    for (const each of waiting) {
      if (this.#inserts.includes(each)) continue;
      each.wait.owner.wait = undefined;
      each.wait.onGranted();
    }
  }

  withdraw(owner: LockOwner): void {
    this.#inserts = this.#inserts.filter(({ wait }) => wait.owner !== owner);
    if (!this.#gaps.some((gap) => gap.owner === owner)) owner.lockedAt.delete(this);
  }

  structuresOf(owner: LockOwner): readonly string[] {
    const waits = this.#inserts.filter(({ wait }) => wait.owner === owner).map(() => 'insert waits');
    return this.#gaps.some((gap) => gap.owner === owner) ? ['gap', ...waits] : waits;
  }

  #blockerOf(owner: LockOwner, key: IndexKey): LockOwner | undefined {
    return this.#gaps.find(
      (gap) =>
        gap.owner !== owner &&
        (gap.low === undefined || compareKeys(gap.low, key, this.#types) < 0) &&
        (gap.high === undefined || compareKeys(gap.high, key, this.#types) > 0),
    )?.owner;
  }
}

/**
 * Whom to roll back now that `owner` waits: undefined unless the waits form a circle. It is the lightest of the circle,
 * and `owner` itself where it is as light as any other.
 */
export function deadlockVictim(owner: LockOwner): LockOwner | undefined {
  const circle = circleFrom(owner);
  let victim = circle?.[0];
  for (const each of circle ?? []) {
    const { weight } = victim as LockOwner;
    if (each.weight < weight || (each.weight === weight && each === owner)) victim = each;
  }
  return victim;
}

/** The waits that lead back to where they began, if any that `owner` leads to do. */
function circleFrom(owner: LockOwner): LockOwner[] | undefined {
  const path: LockOwner[] = [];
  for (let at: LockOwner | undefined = owner; at !== undefined; at = at.wait?.blocker) {
    const seen = path.indexOf(at);
    if (seen >= 0) return path.slice(seen);
    path.push(at);
  }
  return undefined;
}
