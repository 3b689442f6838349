import { missing, type DebianPackage } from '../missing.ts';
import { createPipeline, startRedisQueue } from '../pipeline.ts';
import type { Command } from '../program.ts';
import { missingStores } from '../stores.ts';

/** A loop in PHP on each side of a Redis list. */
export const phpLoop = createPipeline({
  name: 'php-loop',
  title: 'PHP: one RPUSH, one BLPOP and one upsert per change',
  missing: () => Promise.resolve(missing(missingStores('redis', 'mariadb'), PHP)),
  warmUpChanges: 500,
  order: 'kept',
  startQueue: startRedisQueue,
  producer: phpCommand(new URL('producer.php', import.meta.url)),
  consumer: phpCommand(new URL('consumer.php', import.meta.url)),
});

function phpCommand(script: URL): Command {
  return ['php', '-d', 'display_errors=stderr', script.pathname];
}

const PHP: readonly DebianPackage[] = [
  { name: 'php-cli', command: ['php', '--version'], prints: /^PHP/ },
  { name: 'php-redis', command: ['php', '-m'], prints: /^redis$/m },
  { name: 'php-mysql', command: ['php', '-m'], prints: /^pdo_mysql$/m },
];
