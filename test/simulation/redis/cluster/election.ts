import type { SeededRandom } from '../../../support/seeded-random.ts';
import type { Header } from './messages.ts';
import type { KnownNode, Topology } from './topology.ts';

const FIXED_DELAY_MS = 500;
const RANDOM_DELAY_MS = 500;
const DELAY_OF_RANK_MS = 1_000;
const MIN_VOTE_MS = 2_000;
const MIN_RETRY_MS = 4_000;
/** How many times as long as a node may be silent a replica may have been without its master. */
const VALIDITY_FACTOR = 10;
const REPLICA_PING_MS = 10_000;

export interface ElectionParts {
  readonly topology: Topology;
  readonly timeoutMs: number;
  readonly random: SeededRandom;
  nowMs(): number;
  /** Since when it does not follow its master, ms; undefined while it does. */
  apartSinceMs(): number | undefined;
  requestVotes(): void;
  /** The majority of the masters has voted for it: it takes the place of its master. */
  won(epoch: number): void;
}

/** A replica that takes the place of its master, and a master that votes who may. */
export class Election {
  readonly #parts: ElectionParts;
  /** When votes are asked for, and the epoch in which they were. */
  #planned: { readonly atMs: number; rank: number; delayMs: number; epoch: number | undefined } | undefined;
  readonly #votes = new Set<KnownNode>();

  constructor(parts: ElectionParts) {
    this.#parts = parts;
  }

  /** Called again and again. */
  advance(): void {
    const { topology, timeoutMs, nowMs, random } = this.#parts;
    const { self } = topology;
    const { master } = self;
    if (master === undefined || master.health !== 'fail' || topology.slotsOf(master).length === 0 || this.#isOutdated) return;
    const voteMs = Math.max(2 * timeoutMs, MIN_VOTE_MS);
    const retryMs = Math.max(2 * voteMs, MIN_RETRY_MS);
    const planned = this.#planned;
    if (planned === undefined || nowMs() - planned.atMs - planned.delayMs > retryMs) {
      const rank = this.#rank;
      const delayMs = FIXED_DELAY_MS + random.below(RANDOM_DELAY_MS) + rank * DELAY_OF_RANK_MS;
      this.#planned = { atMs: nowMs(), rank, delayMs, epoch: undefined };
      this.#votes.clear();
      return;
    }
    if (planned.epoch === undefined && this.#rank > planned.rank) {
      planned.delayMs += (this.#rank - planned.rank) * DELAY_OF_RANK_MS;
      planned.rank = this.#rank;
    }
    const waitedMs = nowMs() - planned.atMs - planned.delayMs;
    if (waitedMs < 0 || waitedMs > voteMs) return;
    if (planned.epoch === undefined) {
      planned.epoch = ++topology.currentEpoch;
      this.#parts.requestVotes();
    } else if (this.#votes.size >= topology.majority) {
      this.#planned = undefined;
      this.#parts.won(planned.epoch);
    }
  }

  voted(by: KnownNode, epoch: number): void {
    if (by.master === undefined && this.#parts.topology.slotsOf(by).length > 0 && epoch >= (this.#planned?.epoch ?? Infinity))
      this.#votes.add(by);
  }

  /** A replica asks for a vote; gives whether it has it. */
  vote(candidate: KnownNode, { currentEpoch, configEpoch, slots }: Header): boolean {
    const { topology, timeoutMs, nowMs } = this.#parts;
    const { master } = candidate;
    if (topology.self.master !== undefined || topology.slotsOf(topology.self).length === 0) return false;
    if (currentEpoch < topology.currentEpoch || topology.lastVoteEpoch === topology.currentEpoch) return false;
    if (master?.health !== 'fail' || nowMs() - master.votedMs < 2 * timeoutMs) return false;
    if (slots.some((slot) => (topology.ownerOf(slot)?.configEpoch ?? 0) > configEpoch)) return false;
    master.votedMs = nowMs();
    topology.lastVoteEpoch = topology.currentEpoch;
    return true;
  }

  /** What it has is too old. */
  get #isOutdated(): boolean {
    const sinceMs = this.#parts.apartSinceMs();
    const apartMs = sinceMs === undefined ? 0 : this.#parts.nowMs() - sinceMs;
    return apartMs - this.#parts.timeoutMs > REPLICA_PING_MS + VALIDITY_FACTOR * this.#parts.timeoutMs;
  }

  /** How many replicas of its master have more. */
  get #rank(): number {
    const { self, nodes } = this.#parts.topology;
    return nodes.filter((node) => node !== self && node.master === self.master && node.offset > self.offset).length;
  }
}
