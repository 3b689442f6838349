import type { Installation } from '../installation.ts';
import type { RedisGroup } from '../redis-group.ts';

/** `token incarnation name`, as a node of several is recorded. */
const OF_SEVERAL = /^\S+ [0-9a-f]{32} /;

/** Watches that nobody takes a lease that lasts from another: only who leads a pair takes what is behind the first partition. */
export function watchLeases({ mode }: Installation, { servers }: RedisGroup, fault: (message: string) => void): void {
  for (const server of servers)
    server.onLeaseTaken = (partition, before, after) => {
      if (!OF_SEVERAL.test(after) || (mode === 'standby' && partition > 0)) return;
      fault(`the lease of partition ${partition} was taken by ${after} while it was that of ${before}`);
    };
}
