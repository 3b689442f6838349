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

/** S and X lock a record; `write` is X that comes with writing it. */
export type LockMode = 'S' | 'X' | 'write';

/** What a lock covers: a record, the gap before it, or both. */
export type LockSpan = 'record' | 'gap' | 'next-key';

/** A lock that was asked for and is not there yet. */
export interface LockWait {
  readonly owner: LockOwner;
  readonly mode: LockMode;
  readonly place: LockPlace;
  readonly span: LockSpan;
  /** The owner of the first lock in its way. */
  blocker: LockOwner;
  /** Called once, when nothing is in its way any more. */
  onGranted: () => void;
  /** Called when it was given up. */
  onWithdrawn?: () => void;
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

interface Holder {
  readonly owner: LockOwner;
  /** The locks that it asked for and got. */
  hasS: boolean;
  hasX: boolean;
  /** A lock as X that nobody asked for: it comes with writing the record, and goes when the write is undone. */
  isWriter: boolean;
  /** The lock structures that it asked for. */
  readonly structures: Set<string>;
}

/** The locks of one record, granted and wanted. */
export class RecordLocks implements LockPlace {
  readonly index: object | undefined;
  #holders: Holder[] = [];
  #waits: LockWait[] = [];
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
    return this.#holders.some((holder) => holder.owner !== owner) || this.#waits.some((wait) => wait.owner !== owner);
  }

  /** Whether `owner` asked for the lock and has it. */
  holds(owner: LockOwner, mode: 'S' | 'X'): boolean {
    const holder = this.#holderOf(owner);
    return holder !== undefined && (holder.hasX || (mode === 'S' && holder.hasS));
  }

  /** Takes the lock, or joins the queue and returns what to wait for. A `span` of the gap too only counts as another structure. */
  acquire(owner: LockOwner, mode: LockMode, span: LockSpan = 'record'): LockWait | undefined {
    const holder = this.#holderOf(owner);
    if (holder !== undefined && covers(holder, mode)) {
      grantTo(holder, mode, span);
      return undefined;
    }
    const blocker = this.#blockerOf(owner, mode, this.#waits.length);
    owner.lockedAt.add(this);
    if (blocker === undefined) {
      this.#grantTo(owner, mode, span);
      return undefined;
    }
    // The first who waits for a writer makes a lock of its own of what it has.
    for (const each of this.#holders) if (each.owner === blocker && each.isWriter && !each.hasX) grantTo(each, 'X', 'record');
    const wait: LockWait = { owner, mode, blocker, place: this, span, onGranted: () => {} };
    this.#waits.push(wait);
    owner.wait = wait;
    return wait;
  }

  /** Gives back a lock that was asked for. */
  unlock(owner: LockOwner, mode: 'S' | 'X'): void {
    const holder = this.#holderOf(owner);
    if (holder === undefined) return;
    if (mode === 'S') holder.hasS = false;
    else holder.hasX = false;
    holder.structures.delete(structureOf(mode, 'record'));
    this.#dropIdle(holder);
  }

  /** Gives back what came with a write that is undone. */
  unwrite(owner: LockOwner): void {
    const holder = this.#holderOf(owner);
    if (holder === undefined) return;
    holder.isWriter = false;
    this.#dropIdle(holder);
  }

  release(owner: LockOwner): void {
    owner.lockedAt.delete(this);
    this.#holders = this.#holders.filter((holder) => holder.owner !== owner);
    this.#waits = this.#waits.filter((wait) => wait.owner !== owner);
    this.#grant();
  }

  withdraw(owner: LockOwner): void {
    for (const wait of this.#waits) if (wait.owner === owner) wait.onWithdrawn?.();
    this.#waits = this.#waits.filter((wait) => wait.owner !== owner);
    if (this.#holderOf(owner) === undefined) owner.lockedAt.delete(this);
    this.#grant();
  }

  /** The record is gone: so are its locks, and who waited looks again. Returns who had or wanted which. */
  vanish(): readonly { readonly owner: LockOwner; readonly mode: LockMode }[] {
    const [holders, waits] = [this.#holders, this.#waits];
    [this.#holders, this.#waits] = [[], []];
    for (const { owner } of [...holders, ...waits]) owner.lockedAt.delete(this);
    for (const wait of waits) {
      wait.owner.wait = undefined;
      wait.onGranted();
    }
    this.#onEmpty();
    const held = holders.flatMap(({ owner, hasS, hasX }) => [
      ...(hasS ? [{ owner, mode: 'S' as const }] : []),
      ...(hasX ? [{ owner, mode: 'X' as const }] : []),
    ]);
    return [...held, ...waits];
  }

  structuresOf(owner: LockOwner): readonly string[] {
    const waits = this.#waits.filter((wait) => wait.owner === owner).map(({ mode, span }) => `${structureOf(mode, span)} waits`);
    return [...(this.#holderOf(owner)?.structures ?? []), ...waits];
  }

  #holderOf(owner: LockOwner): Holder | undefined {
    return this.#holders.find((holder) => holder.owner === owner);
  }

  /** The owner of the first lock, or of the first wait before place `end`, that stands in the way. */
  #blockerOf(owner: LockOwner, mode: LockMode, end: number): LockOwner | undefined {
    const holder = this.#holders.find((each) => each.owner !== owner && !(mode === 'S' && !each.hasX && !each.isWriter));
    if (holder !== undefined) return holder.owner;
    for (let i = 0; i < end; i++) {
      const wait = this.#waits[i] as LockWait;
      if (wait.owner !== owner && !(mode === 'S' && wait.mode === 'S')) return wait.owner;
    }
    return undefined;
  }

  #grantTo(owner: LockOwner, mode: LockMode, span: LockSpan): void {
    let holder = this.#holderOf(owner);
    if (holder === undefined) {
      holder = { owner, hasS: false, hasX: false, isWriter: false, structures: new Set() };
      this.#holders.push(holder);
    }
    grantTo(holder, mode, span);
  }

  #dropIdle(holder: Holder): void {
    if (holder.hasS || holder.hasX || holder.isWriter) return this.#grant();
    this.#holders = this.#holders.filter((each) => each !== holder);
    if (!this.#waits.some((wait) => wait.owner === holder.owner)) holder.owner.lockedAt.delete(this);
    this.#grant();
  }

  #grant(): void {
    for (let i = 0; i < this.#waits.length; i++) {
      const wait = this.#waits[i] as LockWait;
      const blocker = this.#blockerOf(wait.owner, wait.mode, i);
      if (blocker !== undefined) {
        if (blocker !== wait.blocker) this.#onMoved(wait.owner);
        wait.blocker = blocker;
        continue;
      }
      this.#waits.splice(i--, 1);
      this.#grantTo(wait.owner, wait.mode, wait.span);
      wait.owner.wait = undefined;
      wait.onGranted();
    }
    if (this.#holders.length === 0 && this.#waits.length === 0) this.#onEmpty();
  }
}

function covers({ hasS, hasX, isWriter }: Holder, mode: LockMode): boolean {
  return hasX || isWriter || (mode === 'S' && hasS);
}

function grantTo(holder: Holder, mode: LockMode, span: LockSpan): void {
  if (mode === 'write') {
    holder.isWriter = true;
    return;
  }
  // A stronger one is enough, unless it leaves the gap out.
  if (mode === 'S' && span === 'record' && holder.hasX) return;
  if (mode === 'X') holder.hasX = true;
  else holder.hasS = true;
  holder.structures.add(structureOf(mode, span));
}

function structureOf(mode: LockMode, span: LockSpan): string {
  return `${mode} ${span}`;
}

/** Where an index ends, as a gap's record. */
export const SUPREMUM = Symbol('supremum');

/** The record that a gap lies before. */
type GapPlace = string | typeof SUPREMUM;

interface Gap {
  readonly owner: LockOwner;
  readonly mode: LockMode;
  readonly structure: string;
}

/**
 * The locked gaps of one index, each named by the record that it lies before. They stand in the way of new records only,
 * and not of each other.
 */
export class GapLocks implements LockPlace {
  readonly index: object;
  readonly #onMoved: (owner: LockOwner) => void;
  readonly #gaps = new Map<GapPlace, Gap[]>();
  /** Who wants to insert, and where that is now. */
  #inserts: { readonly place: () => GapPlace; readonly wait: LockWait }[] = [];

  constructor(index: object, onMoved: (owner: LockOwner) => void) {
    this.index = index;
    this.#onMoved = onMoved;
  }

  /** Whether no gap is locked, so that nobody has to look for places. */
  get isEmpty(): boolean {
    return this.#gaps.size === 0;
  }

  /** Locks a gap; false when it was locked like this already. */
  add(owner: LockOwner, mode: LockMode, place: GapPlace, span: LockSpan): boolean {
    const gaps = this.#gaps.get(place) ?? [];
    this.#gaps.set(place, gaps);
    const structure = structureOf(mode, span);
    owner.lockedAt.add(this);
    if (gaps.some((gap) => gap.owner === owner && gap.structure === structure)) return false;
    gaps.push({ owner, mode, structure });
    return true;
  }

  drop(owner: LockOwner, mode: LockMode, place: GapPlace, span: LockSpan): void {
    const structure = structureOf(mode, span);
    const others = this.#gaps.get(place)?.filter((gap) => gap.owner !== owner || gap.structure !== structure) ?? [];
    if (others.length > 0) this.#gaps.set(place, others);
    else this.#gaps.delete(place);
    this.#grant();
  }

  /** Returns what to wait for before a record can be inserted into the gap that `place` finds. */
  waitToInsert(owner: LockOwner, place: () => GapPlace): LockWait | undefined {
    if (this.isEmpty) return undefined;
    const blocker = this.#blockerOf(owner, place());
    if (blocker === undefined) return undefined;
    const wait: LockWait = { owner, mode: 'write', blocker, place: this, span: 'gap', onGranted: () => {} };
    this.#inserts.push({ place, wait });
    owner.lockedAt.add(this);
    owner.wait = wait;
    return wait;
  }

  /** A record was inserted before another, so that the gap there is two. */
  split(inserted: string, next: GapPlace): void {
    for (const { owner, mode } of this.#gaps.get(next) ?? []) this.add(owner, mode, inserted, 'gap');
  }

  /** A record is gone, and the gaps before and after it are one. Its locks of `kept` owners go on there. */
  merge(removed: string, next: GapPlace, keeps: (owner: LockOwner, mode: LockMode) => boolean): void {
    const gaps = this.#gaps.get(removed) ?? [];
    this.#gaps.delete(removed);
    for (const { owner, mode } of gaps) if (keeps(owner, mode)) this.add(owner, mode, next, 'gap');
    this.#grant();
  }

  release(owner: LockOwner): void {
    owner.lockedAt.delete(this);
    for (const [place, gaps] of this.#gaps) {
      const others = gaps.filter((gap) => gap.owner !== owner);
      if (others.length === 0) this.#gaps.delete(place);
      else if (others.length < gaps.length) this.#gaps.set(place, others);
    }
    this.#inserts = this.#inserts.filter(({ wait }) => wait.owner !== owner);
    this.#grant();
  }

  withdraw(owner: LockOwner): void {
    this.#inserts = this.#inserts.filter(({ wait }) => wait.owner !== owner);
  }

  structuresOf(owner: LockOwner): readonly string[] {
    const waits = this.#inserts.filter(({ wait }) => wait.owner === owner).map(() => 'insert waits');
    const gaps = [...this.#gaps.values()].flat().filter((gap) => gap.owner === owner);
    return [...gaps.map(({ structure }) => structure), ...waits];
  }

  #blockerOf(owner: LockOwner, place: GapPlace): LockOwner | undefined {
    return this.#gaps.get(place)?.find((gap) => gap.owner !== owner)?.owner;
  }

  #grant(): void {
    const waiting = this.#inserts;
    this.#inserts = waiting.filter(({ place, wait }) => {
      const blocker = this.#blockerOf(wait.owner, place());
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
}

/**
 * Whom to roll back now that `owner` waits: undefined unless the waits form a circle. It is the lightest of the circle,
 * and `owner` itself where it is as light as any other. `uncertainty` is added to each weight: how many structures InnoDB
 * has for the same locks depends on how records lie on their pages.
 */
export function deadlockVictim(owner: LockOwner, uncertainty: () => number): LockOwner | undefined {
  const circle = circleFrom(owner)?.map((each) => ({ owner: each, weight: each.weight + uncertainty() }));
  let victim = circle?.[0];
  for (const each of circle ?? []) {
    const { weight } = victim as { weight: number };
    if (each.weight < weight || (each.weight === weight && each.owner === owner)) victim = each;
  }
  return victim?.owner;
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
