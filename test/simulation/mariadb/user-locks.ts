/** A session that waits for the lock of a name. */
export class UserLockWait {
  readonly owner: number;
  readonly name: string;
  /** Called once, when the lock is its own. */
  onGranted: () => void = () => {};
  /** Gives the wait up; nothing once it is granted. */
  readonly withdraw: () => void;

  constructor(owner: number, name: string, withdraw: (wait: UserLockWait) => void) {
    this.owner = owner;
    this.name = name;
    this.withdraw = () => withdraw(this);
  }
}

/** What a statement yields that waits for the lock of a name. */
export interface TimedUserLockWait {
  readonly kind: 'user lock';
  readonly wait: UserLockWait;
  readonly timeoutMs: number;
}

interface UserLock {
  owner: number;
  /** How often its owner has taken it. */
  count: number;
  readonly waits: UserLockWait[];
}

/** The locks of GET_LOCK: they belong to sessions, by their ids, and not to transactions. Who waits is served in order. */
export class UserLocks {
  readonly #locks = new Map<string, UserLock>();

  ownerOf(name: string): number | undefined {
    return this.#locks.get(name)?.owner;
  }

  /** Takes the lock once more; false when another has it. */
  take(owner: number, name: string): boolean {
    const lock = this.#locks.get(name);
    if (lock === undefined) this.#locks.set(name, { owner, count: 1, waits: [] });
    else if (lock.owner === owner) lock.count++;
    else return false;
    return true;
  }

  /** Joins the queue for a lock that another has; undefined when the one that it would wait for waits for it. */
  wait(owner: number, name: string): UserLockWait | undefined {
    const lock = this.#locks.get(name)!;
    if (this.#leadsTo(lock.owner, owner)) return undefined;
    const wait = new UserLockWait(owner, name, (given) => {
      const at = lock.waits.indexOf(given);
      if (at >= 0) lock.waits.splice(at, 1);
    });
    lock.waits.push(wait);
    return wait;
  }

  /** As RELEASE_LOCK: 1 when it was given back once, 0 when it is another's, null when there is none. */
  release(owner: number, name: string): 0 | 1 | null {
    const lock = this.#locks.get(name);
    if (lock === undefined) return null;
    if (lock.owner !== owner) return 0;
    if (--lock.count === 0) this.#passOn(name, lock);
    return 1;
  }

  /** Gives how often the owner had taken what it gives back. */
  releaseAll(owner: number): number {
    let count = 0;
    for (const [name, lock] of this.#locks) {
      if (lock.owner !== owner) continue;
      count += lock.count;
      this.#passOn(name, lock);
    }
    return count;
  }

  #passOn(name: string, lock: UserLock): void {
    const next = lock.waits.shift();
    if (next === undefined) return void this.#locks.delete(name);
    lock.owner = next.owner;
    lock.count = 1;
    next.onGranted();
  }

  /** Whether `from` waits for `to`, by itself or through others. */
  #leadsTo(from: number, to: number): boolean {
    if (from === to) return true;
    const lock = [...this.#locks.values()].find(({ waits }) => waits.some(({ owner }) => owner === from));
    return lock !== undefined && this.#leadsTo(lock.owner, to);
  }
}
