import type { Contender } from '../contender.ts';

/** What people use today to bring changes to a database. They count changes that are committed in MariaDB. */
export const peers: readonly Contender[] = [];

/** What people use today to take changes from the network. They count changes that are stored in Redis. */
export const ingestPeers: readonly Contender[] = [];
