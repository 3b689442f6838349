import { timeText } from '../core/partition.ts';
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

/**
 * What the producer is told: one notice for each code and message, in order of the first change that has them. Grouped as
 * sinks group what they read from their dead letters: a client that hears of it both ways must see that it is the same.
 */
export function rejectionsOf(failed: FailedBatch, partition: number): Rejection[] {
  const { item, whole } = failed;
  if (whole !== undefined) return [{ partition, seq: item.seq, code: whole.code, message: whole.message, changes: [] }];
  const groups = new Map<string, { code: ChangeFault['code']; message: string; changes: number[] }>();
  for (const { index, fault } of failed.changes) {
    const id = `${fault.code} ${fault.message}`;
    const group = groups.get(id);
    if (group === undefined) groups.set(id, { ...fault, changes: [index] });
    else group.changes.push(index);
  }
  return [...groups.values()].map(({ code, message, changes }) => ({ partition, seq: item.seq, code, message, changes }));
}

/**
 * The key's values as JSON for people: integers beyond 2^53 as text, bytes in hex, timestamps in ISO 8601. Never fails: a
 * key may be dead just because it is no key, and then it may be anything.
 */
export function keyText(values: readonly Value[]): string {
  return JSON.stringify(values.map(plain)).slice(0, KEY_CHARS);
}

function plain(value: Value): unknown {
  if (typeof value === 'bigint') return String(value);
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Uint8Array) return `0x${Buffer.from(value).toString('hex', 0, KEY_CHARS)}`;
  if (value instanceof Timestamp) return timeText(value);
  if (Array.isArray(value)) return value.map(plain);
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, plain(member)]));
}
