import type { Instance } from './instance.ts';

export interface FailoverParts {
  readonly epoch: number;
  readonly primary: string;
  /** From when on it may act; Sentinels do not all begin at once. */
  readonly startMs: number;
  readonly timeoutMs: number;
  nowMs(): number;
  isElected(): boolean;
  /** Those that could take the place of the primary, or follow who does. */
  replicas(): readonly Instance[];
  /** The configuration of `epoch` names the replica from now on. */
  promoted(replica: Instance): void;
  /** It is over: the replica has taken the place of the primary, or nobody has. */
  ended(replica: Instance | undefined): void;
}

/** How long votes are waited for. */
const ELECTION_MS = 10_000;
const ASK_MS = 1_000;
/** How fresh what a replica tells of itself must be. */
const FRESH_MS = 5_000;

/**
 * One attempt of a Sentinel to put a replica in the place of a primary that is down.
 *
 * election → promotion (a replica was told, and is to say that it is primary) → following (the others are told) → over
 */
export class Failover {
  readonly #parts: FailoverParts;
  #state: 'election' | 'promotion' | 'following' = 'election';
  #sinceMs: number;
  #chosen: Instance | undefined;
  readonly #told = new Set<Instance>();

  constructor(parts: FailoverParts) {
    this.#parts = parts;
    this.#sinceMs = parts.startMs;
  }

  get epoch(): number {
    return this.#parts.epoch;
  }

  get isElecting(): boolean {
    return this.#state === 'election';
  }

  /** Whom clients are to be told of already, before all others follow it. */
  get promoted(): Instance | undefined {
    return this.#state === 'following' ? this.#chosen : undefined;
  }

  advance(): void {
    const { nowMs, startMs, timeoutMs, isElected, ended } = this.#parts;
    if (nowMs() < startMs) return;
    const elapsedMs = nowMs() - this.#sinceMs;
    switch (this.#state) {
      case 'election':
        if (isElected()) this.#choose();
        else if (elapsedMs > Math.min(ELECTION_MS, timeoutMs)) ended(undefined);
        return;
      case 'promotion':
        return this.#awaitPromotion(elapsedMs);
      case 'following':
        return this.#awaitFollowers(elapsedMs);
    }
  }

  #enter(state: 'promotion' | 'following'): void {
    this.#state = state;
    this.#sinceMs = this.#parts.nowMs();
  }

  #choose(): void {
    const { nowMs, replicas, ended } = this.#parts;
    const fit = replicas().filter(({ isDown, infoMs }) => !isDown && nowMs() - infoMs <= FRESH_MS);
    const [best] = fit.toSorted((a, b) => b.offset - a.offset || (a.host < b.host ? -1 : 1));
    if (best === undefined) return ended(undefined);
    this.#chosen = best;
    this.#enter('promotion');
    reconfigure(best, ['NO', 'ONE']);
  }

  #awaitPromotion(elapsedMs: number): void {
    const { timeoutMs, nowMs, promoted, ended } = this.#parts;
    const chosen = this.#chosen!;
    chosen.inquire(nowMs, ASK_MS);
    if (chosen.role === 'master' && chosen.infoMs > this.#sinceMs) {
      this.#enter('following');
      promoted(chosen);
    } else if (elapsedMs > timeoutMs) ended(undefined);
  }

  #awaitFollowers(elapsedMs: number): void {
    const { replicas, timeoutMs, nowMs, ended } = this.#parts;
    const chosen = this.#chosen!;
    const others = replicas().filter((replica) => replica !== chosen && !replica.isDown);
    for (const replica of others) {
      replica.inquire(nowMs, ASK_MS);
      if (this.#told.has(replica)) continue;
      this.#told.add(replica);
      reconfigure(replica, [chosen.host, '6379']);
    }
    const follows = ({ primary, isLinkUp }: Instance) => primary === chosen.host && isLinkUp;
    if (elapsedMs > timeoutMs || others.every(follows)) ended(chosen);
  }
}

/** As Sentinel does it, in one transaction: whom the server follows, that it is kept, and that clients look anew. */
export function reconfigure(instance: Instance, primary: readonly [host: string, port: string]): void {
  instance.link.ask([
    ['REPLICAOF', ...primary],
    ['CONFIG', 'REWRITE'],
    ['CLIENT', 'KILL', 'TYPE', 'normal'],
    ['CLIENT', 'KILL', 'TYPE', 'pubsub'],
  ]);
}
