import type { Access } from '../core/access.ts';
import type { Batch, ChangeGroup, Row } from '../core/change.ts';
import type { ChangeFault } from '../core/errors.ts';
import type { PartitionBy } from '../core/partition.ts';
import { isFault, type Shape, type Sink } from '../sinks/sink.ts';
import { partitionFault } from './read-element.ts';

/** A batch held against the sink's schema. */
export interface ResolvedBatch {
  /** In the batch's order; a group that the schema has no place for keeps its rows and has a fault instead of a shape. */
  readonly groups: readonly ResolvedGroup[];
  /** Whether every row of every group passed its checks. */
  readonly clean: boolean;
  /** Whether the schema lacked a table or a column: reading it again, or evolving it, may help. */
  readonly lacksSchema: boolean;
}

export type ResolvedGroup =
  | { readonly shape: Shape; readonly rows: readonly Row[]; readonly faults: readonly RowFault[] }
  | { readonly shape: undefined; readonly rows: readonly Row[]; readonly fault: ChangeFault };

/** Why the row at `at` in its group cannot be applied. */
export interface RowFault {
  readonly at: number;
  readonly fault: ChangeFault;
}

export interface ResolveContext {
  readonly sink: Sink;
  readonly partition: number;
  readonly partitionCount: number;
  readonly partitionBy: ReadonlyMap<string, PartitionBy>;
}

const NO_FAULTS: readonly RowFault[] = [];

/** Finds the shape of every group and checks every row. `access` is what the batch's producer may write; undefined: everything. */
export function resolveBatch(batch: Batch, context: ResolveContext, access?: Access): ResolvedBatch {
  const groups: ResolvedGroup[] = [];
  let clean = true;
  let lacksSchema = false;
  for (const group of batch.groups) {
    const shape =
      // First: what comes after would tell the producer what the sink has.
      access?.faultOf(group.table, group.op, group.keyCount, group.columns) ??
      partitionFault(group, context.partition, context.partitionCount, context.partitionBy.get(group.table)) ??
      context.sink.table(group.table)?.shape(group.op, group.keyCount, group.columns) ??
      unknownTable(context.sink, group.table);
    if (isFault(shape)) {
      clean = false;
      lacksSchema ||= shape.code === 'unknown_table' || shape.code === 'unknown_column' || shape.code === 'no_primary_key';
      groups.push({ shape: undefined, rows: group.rows, fault: shape });
      continue;
    }
    const faults = checkRows(shape, group.rows);
    if (faults.length > 0) clean = false;
    groups.push({ shape, rows: group.rows, faults });
  }
  return { groups, clean, lacksSchema };
}

export function isAllowed(access: Access, { table, op, keyCount, columns }: ChangeGroup): boolean {
  return access.faultOf(table, op, keyCount, columns) === undefined;
}

function checkRows(shape: Shape, rows: readonly Row[]): readonly RowFault[] {
  let faults: RowFault[] | undefined;
  for (let at = 0; at < rows.length; at++) {
    const fault = shape.check(rows[at] as Row);
    if (fault !== undefined) (faults ??= []).push({ at, fault });
  }
  return faults ?? NO_FAULTS;
}

function unknownTable(sink: Sink, table: string): ChangeFault {
  return { code: 'unknown_table', message: `sink ${sink.name} has no table ${JSON.stringify(table)}; create it or correct the name` };
}
