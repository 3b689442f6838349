import type { Scheduler } from '../apply/scheduler.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { type Clock, sleep } from '../core/clock.ts';
import type { Sessions } from '../ingest/sessions.ts';

export interface DepartureParts {
  /** Undefined where there are no other nodes. */
  readonly cluster: Pick<Cluster, 'hasSuccessor' | 'leaving'> | undefined;
  readonly scheduler: Pick<Scheduler, 'drain'>;
  readonly sessions: Pick<Sessions, 'empty'>;
  readonly clock: Clock;
}

/** How long handing over the partitions may take; after that, what is left of it goes on beside what comes next. */
const PARTITIONS_MS = 3_000;
/** How long a balancer may take to notice that this node is not to be used any more: `haproxy.cfg` needs about half of it. */
const NOTICE_MS = 1_500;

/**
 * Hands a node's work over to others, so that nobody waits for both in turn: first the partitions, while its clients stay
 * and are served as by any node that does not apply; then the balancer has time to lead clients elsewhere, before they
 * are sent away. Does nothing but to say that this node leaves where nobody could take over: then it goes on until its
 * clients are gone. Stops where it is when `signal` is aborted: the node stays.
 */
export async function handOver({ cluster, scheduler, sessions, clock }: DepartureParts, signal?: AbortSignal): Promise<void> {
  if (cluster === undefined) return;
  const startedMs = clock.monotonicMs();
  const isOver = new AbortController();
  const timeUp = sleep(clock, PARTITIONS_MS, isOver.signal);
  await Promise.race([cluster.leaving(), timeUp]);
  if (cluster.hasSuccessor && !signal?.aborted) {
    await Promise.race([scheduler.drain('elsewhere'), timeUp]);
    const leftMs = startedMs + NOTICE_MS - clock.monotonicMs();
    if (leftMs > 0 && !signal?.aborted) await sessions.empty(leftMs);
  }
  isOver.abort();
}
