import type { Clock } from '../core/clock.ts';
import type { Sink } from '../sinks/sink.ts';

/**
 * How old the schema of a slice may be, however long its thread was idle: rows that fit an older one may be written by
 * its rules, such as that no second unique index exists. A change that does not fit has it read at once.
 */
const SCHEMA_MAX_AGE_MS = 15_000;

/**
 * Reads the schema in the background from half of its greatest age on, and lets no slice go on with one that is older.
 * Slices that run side by side share one reading.
 */
export function schemaRenewal(sink: Pick<Sink, 'refreshSchema'>, clock: Clock): () => Promise<void> {
  let readMs = -Infinity;
  let reading: Promise<void> | undefined;
  const read = async () => {
    const startedMs = clock.monotonicMs();
    await sink.refreshSchema();
    readMs = startedMs;
  };
  return async () => {
    const ageMs = clock.monotonicMs() - readMs;
    if (ageMs < SCHEMA_MAX_AGE_MS / 2) return;
    reading ??= read().finally(() => (reading = undefined));
    if (ageMs >= SCHEMA_MAX_AGE_MS) return reading;
    // Who is too old meets it again, and waits for it.
    reading.catch(() => {});
  };
}
