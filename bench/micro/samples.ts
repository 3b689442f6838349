import type { Row } from '../../src/core/change.ts';
import { BatchBuilder, decodeBatch } from '../../src/protocol/batch.ts';
import { type Tape, TapeWriter } from '../load/tape.ts';
import { changesOf, ITEM_COLUMNS, type Item, type Workload } from '../workload.ts';

/** What the micro-benches work on: the rows of the comparisons. */
export const SAMPLE_ROWS = 5_000;
export const STREAM = '00112233445566778899aabbccddeeff';

export function sampleItems(kind: Workload['kind'] = 'inserts'): Item[] {
  return [...changesOf({ kind, changes: SAMPLE_ROWS, seed: 1 })];
}

/** The payload of a batch of upserts. */
export function batchOf(items: readonly Item[]): Uint8Array {
  const builder = new BatchBuilder();
  for (const item of items) builder.add('item', 'upsert', 1, ITEM_COLUMNS, item);
  return builder.finish();
}

/**
 * Rows as a worker gets them, decoded anew with each call: text that was read before is faster, because V8 keeps what it
 * found out about it.
 */
export function freshRows(payload: Uint8Array): readonly Row[] {
  return decodeBatch(payload).groups.flatMap(({ rows }) => rows);
}

/** `count` frames with the same payload, one after the other in one partition. */
export function tapeOf(payload: Uint8Array, count: number): Tape {
  const writer = new TapeWriter(STREAM);
  for (let i = 0; i < count; i++) writer.add(0, payload);
  return writer.finish();
}
