import type { TableConfig } from '../config/config.ts';
import type { Clock } from '../core/clock.ts';
import type { TableInfo } from '../protocol/messages.ts';
import type { Sink } from '../sinks/sink.ts';

/** How old the schema may be that new clients are told about. */
const MAX_AGE_MS = 5_000;

/**
 * What WELCOME says about tables: the key that the sink's schema names, and the configured `partitionBy`. A table that is
 * configured and not (or not yet) in the sink has an empty key. The schema is read again behind a client's back when it
 * has become old, so that a new table is known to the next one.
 */
export function tableInfos(sink: Sink, configured: ReadonlyMap<string, TableConfig>, clock: Clock): () => ReadonlyMap<string, TableInfo> {
  let readMs = clock.monotonicMs();
  return () => {
    if (clock.monotonicMs() - readMs > MAX_AGE_MS) {
      readMs = clock.monotonicMs();
      // A sink that is away keeps the schema it had; slices report it.
      void sink.refreshSchema().catch(() => {});
    }
    const infos = new Map<string, TableInfo>();
    for (const { name, key } of sink.tables()) infos.set(name, { key });
    for (const [name, { partitionBy }] of configured) {
      if (partitionBy !== undefined) infos.set(name, { key: infos.get(name)?.key ?? [], partitionBy });
    }
    return infos;
  };
}
