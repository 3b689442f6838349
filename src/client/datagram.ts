import type { ChangeGroup, Op } from '../core/change.ts';
import { encodeDatagram as encodeGroups } from '../protocol/datagram.ts';
import { type InputRow, RowPlan } from './row-plan.ts';

/** One change that travels in a datagram. */
export interface DatagramChange {
  readonly table: string;
  /** The key columns, in the order of the key. */
  readonly key: readonly string[];
  /** Default `upsert`. */
  readonly op?: Op;
  /** A value for each column; for a delete, for those of the key. */
  readonly row: InputRow;
}

/**
 * The bytes of one datagram with these changes, for a server's UDP port: at most once, and nothing ever answers. Rows are as
 * in {@link import('./table.ts').Table}.
 * @throws {TypeError} that names table and column, for a row that cannot be sent.
 * @throws {SyncError} `frame_too_large` for more than a datagram holds.
 */
export function encodeDatagram(token: string, changes: readonly DatagramChange[]): Uint8Array {
  return encodeGroups(
    token,
    changes.map(({ table, key, op = 'upsert', row }): ChangeGroup => {
      if (key.length === 0) throw new TypeError(`a change of table "${table}" must name its key columns, such as ["id"]`);
      const { keyCount, columns, values } = new RowPlan(table, key, undefined, 1).prepare(op, row);
      return { table, op, keyCount, columns, rows: [values] };
    }),
  );
}
