import { missing } from '../missing.ts';
import { installPackages } from '../packages.ts';
import { createPipeline } from '../pipeline.ts';
import { nodeCommand } from '../program.ts';
import { missingStores } from '../stores.ts';
import { rabbitmqMissing, startRabbitmq } from './rabbitmq-server.ts';

/** A message broker with a consumer that was written with care. */
export const rabbitmq = createPipeline({
  name: 'rabbitmq',
  title: 'RabbitMQ: quorum queue, confirms, prefetch 1,000, upserts of up to 1,000 rows',
  missing: () => Promise.resolve(missing([...missingStores('mariadb'), ...rabbitmqMissing()], [])),
  warmUpChanges: 20_000,
  order: 'kept',
  prepare: installPackages,
  startQueue: startRabbitmq,
  producer: nodeCommand(new URL('publisher.ts', import.meta.url)),
  consumer: nodeCommand(new URL('consumer.ts', import.meta.url)),
});
