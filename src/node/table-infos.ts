import { sleep, type Clock } from '../core/clock.ts';
import type { PartitionBy } from '../core/partition.ts';
import type { TableInfo } from '../protocol/messages.ts';
import type { Sink } from '../sinks/sink.ts';

/** How old the schema may be that a new client is told about: less than it takes to type two commands. */
export const SCHEMA_AGE_MS = 250;
/** How long a client waits for a newer one: a sink that is away does not keep it from storing. */
const PATIENCE_MS = 500;

/**
 * What WELCOME says about tables: the key that the sink's schema names, whether changes depend on other partitions, and
 * the configured `partitionBy`. A table that is configured and not, or not yet, in the sink has an empty key.
 */
export function tableInfos(
  sink: Sink,
  configured: ReadonlyMap<string, PartitionBy>,
  clock: Clock,
): () => Promise<ReadonlyMap<string, TableInfo>> {
  let readMs = clock.monotonicMs();
  let reading: Promise<void> | undefined;
  return async () => {
    if (clock.monotonicMs() - readMs > SCHEMA_AGE_MS) {
      // A sink that is away keeps the schema that it had; slices report it.
      reading ??= sink
        .refreshSchema()
        .catch(() => {})
        .finally(() => {
          reading = undefined;
          readMs = clock.monotonicMs();
        });
      const patience = new AbortController();
      await Promise.race([reading, sleep(clock, PATIENCE_MS, patience.signal)]);
      patience.abort();
    }
    const infos = new Map<string, TableInfo>();
    for (const { name, key, independent } of sink.tables()) infos.set(name, independent ? { key } : { key, dependent: true });
    for (const [name, partitionBy] of configured) infos.set(name, { ...(infos.get(name) ?? { key: [] }), partitionBy });
    return infos;
  };
}
