import type { Batch } from '../core/change.ts';
import { SyncError, type ChangeFault } from '../core/errors.ts';
import { decodeBatch } from '../protocol/batch.ts';
import { isFault, type Sink, type SinkTransaction, type StoredDeadLetter } from './sink.ts';

/** The changes of a dead letter, or why they cannot be read. */
export function changesOf(letter: StoredDeadLetter): Batch | ChangeFault {
  try {
    return decodeBatch(letter.payload);
  } catch (error) {
    if (error instanceof SyncError) return { code: error.code, message: error.message };
    throw error;
  }
}

/** Applies every change of `batch` in order, and stops at the first that cannot be applied. */
export async function applyEach(sink: Sink, transaction: SinkTransaction, batch: Batch): Promise<ChangeFault | undefined> {
  for (const { table: name, op, keyCount, columns, rows } of batch.groups) {
    const table = sink.table(name);
    if (table === undefined) return { code: 'unknown_table', message: `table ${name} does not exist` };
    const shape = table.shape(op, keyCount, columns);
    if (isFault(shape)) return shape;
    for (const row of rows) {
      const fault = shape.check(row) ?? (await transaction.writeOne(shape, row));
      if (fault !== undefined) return fault;
    }
  }
  return undefined;
}

/** What `retry` of a dead letter store answers for a letter that is not there, or no longer open. */
export function notOpen(id: number, letter: StoredDeadLetter | undefined): ChangeFault {
  return {
    code: 'value_refused',
    message: letter === undefined ? `there is no dead letter ${id}` : `dead letter ${id} is not open but ${letter.state}`,
  };
}
