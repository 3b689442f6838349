import { isoNanoseconds } from '../core/partition.ts';
import { Timestamp, type ChangeGroup, type Row, type Value } from '../core/change.ts';
import type { ChangeFault } from '../core/errors.ts';
import { encodeBatch } from '../protocol/batch.ts';
import type { DeadLetter, Rejection } from '../sinks/sink.ts';
import type { Item } from './read-element.ts';

/** A batch of which something failed for good. */
export interface FailedBatch {
  readonly item: Item;
  /** Set when the whole batch is refused; `changes` is then empty. */
  readonly whole: ChangeFault | undefined;
  readonly changes: readonly FailedChange[];
}

export interface FailedChange {
  /** Through all groups of the batch. */
  readonly index: number;
  readonly groupIndex: number;
  readonly rowIndex: number;
  readonly fault: ChangeFault;
}

/** Longest key text that a dead letter keeps, characters. */
const KEY_CHARS = 500;

/** The dead letters to store with the commit that moves the watermark past the batch. */
export function deadLettersOf(failed: FailedBatch, partition: number): DeadLetter[] {
  const { item, whole } = failed;
  const common = {
    stream: item.stream,
    partition,
    seq: item.seq,
    producer: item.element.producer,
    storedAtUs: item.element.storedAtUs,
  };
  if (whole !== undefined) {
    const payload = item.content.type === 'refused' ? item.content.payload : new Uint8Array();
    return [{ ...common, index: -1, table: '', op: '', key: '', code: whole.code, message: whole.message, payload }];
  }
  if (item.content.type !== 'batch') throw new Error('changes can only fail in a batch that was read');
  const { groups } = item.content.batch;
  return failed.changes.map(({ index, groupIndex, rowIndex, fault }) => {
    const group = groups[groupIndex] as ChangeGroup;
    const row = group.rows[rowIndex] as Row;
    return {
      ...common,
      index,
      table: group.table,
      op: group.op,
      key: keyText(row.slice(0, group.keyCount)),
      code: fault.code,
      message: fault.message,
      payload: encodeBatch({ groups: [{ ...group, rows: [row] }] }),
    };
  });
}

/** What the producer is told: one notice for each code, in order of the first change that has it. */
export function rejectionsOf(failed: FailedBatch, partition: number): Rejection[] {
  const { item, whole } = failed;
  if (whole !== undefined) return [{ partition, seq: item.seq, code: whole.code, message: whole.message, changes: [] }];
  const byCode = new Map<string, { code: ChangeFault['code']; message: string; changes: number[] }>();
  for (const { index, fault } of failed.changes) {
    const entry = byCode.get(fault.code);
    if (entry === undefined) byCode.set(fault.code, { ...fault, changes: [index] });
    else entry.changes.push(index);
  }
  return [...byCode.values()].map(({ code, message, changes }) => ({ partition, seq: item.seq, code, message, changes }));
}

/** The key's values as JSON for people: bytes in hex, timestamps in ISO 8601. */
export function keyText(values: readonly Value[]): string {
  return JSON.stringify(values.map(plain)).slice(0, KEY_CHARS);
}

function plain(value: Value): unknown {
  if (typeof value === 'bigint') return String(value);
  if (value instanceof Uint8Array) return `0x${Buffer.from(value).toString('hex')}`;
  if (value instanceof Timestamp) return isoNanoseconds(value);
  return value;
}
