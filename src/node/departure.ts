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

/** How long other nodes may take to take partitions over one by one; after that they get the rest at once. */
const ONE_BY_ONE_MS = 3_000;
/** How long a balancer may take to notice that this node is not to be used any more: `haproxy.cfg` needs about half of it. */
const NOTICE_MS = 1_500;

/**
 * Hands a node's work over to others, so that nobody waits for both in turn: first the partitions, while its clients stay
 * and are served as by any node that does not apply; then the balancer has time to lead clients elsewhere, before they
 * are sent away. Does nothing but to say that this node leaves where nobody could take over: then it goes on until its
 * clients are gone. Stops where it is once `isStaying`.
 */
export async function handOver({ cluster, scheduler, sessions, clock }: DepartureParts, isStaying: () => boolean): Promise<void> {
  if (cluster === undefined) return;
  const hasSuccessor = cluster.hasSuccessor;
  const handedOver = cluster.leaving();
  if (!hasSuccessor) return;
  const noticedAtMs = clock.monotonicMs() + NOTICE_MS;
  const isDone = new AbortController();
  await Promise.race([handedOver, sleep(clock, ONE_BY_ONE_MS, isDone.signal)]);
  isDone.abort();
  if (isStaying()) return;
  await scheduler.drain();
  if (isStaying()) return;
  await sessions.empty(noticedAtMs - clock.monotonicMs());
}
