import type { Scheduler } from '../apply/scheduler.ts';
import { CLIENTS_FOLLOW_MS, type Cluster } from '../cluster/cluster.ts';
import { type Clock, sleep } from '../core/clock.ts';
import type { Sessions } from '../ingest/sessions.ts';

export interface DepartureParts {
  /** Undefined where there are no other nodes. */
  readonly cluster: Pick<Cluster, 'clientsFollow' | 'hasSuccessor' | 'isPrimary' | 'leaving'> | undefined;
  readonly scheduler: Pick<Scheduler, 'drain'>;
  readonly sessions: Pick<Sessions, 'empty'>;
  readonly clock: Clock;
}

/** How long handing over the partitions may take; after that, what is left of it goes on beside what comes next. */
const PARTITIONS_MS = 3_000;
/** How long a balancer may take to notice that this node is not to be used any more: `haproxy.cfg` needs 0.7 s. */
const NOTICE_MS = 1_000;

/**
 * Hands a node's work over to others, so that nobody waits for both in turn: first the partitions, while its clients stay
 * and are served as by any node that does not apply; a while later a balancer is told, and has time to lead them elsewhere
 * before they are sent away. Does nothing but to say that this node leaves where nobody could take over: then it goes on until its
 * clients are gone. Stops where it is when `signal` is aborted: the node stays.
 */
export async function handOver({ cluster, scheduler, sessions, clock }: DepartureParts, signal?: AbortSignal): Promise<void> {
  if (cluster === undefined) return;
  const isOver = new AbortController();
  const timeUp = sleep(clock, PARTITIONS_MS, isOver.signal);
  await Promise.race([cluster.leaving(), timeUp]);
  if (cluster.hasSuccessor && !signal?.aborted) {
    await Promise.race([scheduler.drain('elsewhere'), timeUp]);
    if (cluster.isPrimary) await sleep(clock, CLIENTS_FOLLOW_MS, signal);
    if (!signal?.aborted) {
      cluster.clientsFollow();
      await sessions.empty(NOTICE_MS);
    }
  }
  // Whoever comes only now finds nobody here that keeps clients.
  if (!signal?.aborted) cluster.clientsFollow();
  isOver.abort();
}
