/** Who leads a failover, as one Sentinel votes and counts: in one epoch, who asks first gets the vote. */
export class Ballot {
  readonly #self: string;
  /** The newest epoch that it has heard of. */
  epoch = 0;
  #votedEpoch = 0;
  #votedFor = '*';
  /** What others have voted, and whether the primary is down for them. */
  readonly #reports = new Map<string, { atMs: number; isDown: boolean; leader: string; epoch: number }>();

  constructor(self: string) {
    this.#self = self;
  }

  /** Another Sentinel wants to lead in `epoch`; gives who has the vote, and in which epoch. */
  vote(epoch: number, candidate: string): readonly [leader: string, epoch: number] {
    this.heard(epoch);
    if (this.#votedEpoch < epoch && this.epoch <= epoch) {
      this.#votedEpoch = epoch;
      this.#votedFor = candidate;
    }
    return [this.#votedFor, this.#votedEpoch];
  }

  heard(epoch: number): void {
    this.epoch = Math.max(this.epoch, epoch);
  }

  reported(sentinel: string, atMs: number, isDown: boolean, leader: string, epoch: number): void {
    this.#reports.set(sentinel, { atMs, isDown, leader, epoch });
  }

  forgetReports(): void {
    this.#reports.clear();
  }

  /** How many others said not before `sinceMs` that the primary is down. */
  downCount(sinceMs: number): number {
    return [...this.#reports.values()].filter(({ atMs, isDown }) => isDown && atMs >= sinceMs).length;
  }

  /** Whether this Sentinel was elected in `epoch`: by the majority of all, and by `quorum` of them. Its own vote is its own if it is free. */
  isElected(epoch: number, sentinelCount: number, quorum: number): boolean {
    const [own] = this.vote(epoch, this.#self);
    const votes = [own, ...[...this.#reports.values()].filter((report) => report.epoch === epoch).map(({ leader }) => leader)];
    const count = votes.filter((leader) => leader === this.#self).length;
    return count >= Math.floor(sentinelCount / 2) + 1 && count >= quorum;
  }
}
