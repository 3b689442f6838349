import type { Contender } from '../contender.ts';
import { bullmq } from './bullmq/bullmq.ts';
import { nodeLoop } from './node/node-loop.ts';
import { phpLoop } from './php/php-loop.ts';
import { rabbitmq } from './rabbitmq/rabbitmq.ts';
import { syslogNg } from './syslog-ng/syslog-ng.ts';

/** What people use today to bring changes to a database. They count changes that are committed in MariaDB. */
export const peers: readonly Contender[] = [phpLoop, nodeLoop, bullmq, rabbitmq];

/** What people use today to take changes from the network. They count changes that are stored in Redis. */
export const ingestPeers: readonly Contender[] = [syslogNg];
