import type { Row } from '../../core/change.ts';
import { SyncError, type ChangeFault } from '../../core/errors.ts';
import type { Connection } from './connection.ts';
import type { MysqlShape } from './table.ts';
import type { Writer } from './writer.ts';

/**
 * Writes one change inside a savepoint and returns why it cannot be applied, if so. Only failures of the change itself
 * undo the savepoint: others, such as a lock that was waited for in vain, may have undone more than the server says.
 */
export async function writeInSavepoint(
  connection: Connection,
  writer: Writer,
  shape: MysqlShape,
  row: Row,
): Promise<ChangeFault | undefined> {
  // Setting it again moves it: there is nothing to release.
  await connection.run('SAVEPOINT change_start');
  try {
    await writer.writeOne(shape, row);
    return undefined;
  } catch (error) {
    if (!(error instanceof SyncError) || (error.kind !== 'permanent' && error.kind !== 'blocked')) throw error;
    await connection.run('ROLLBACK TO SAVEPOINT change_start');
    return { code: error.code, message: error.message };
  }
}
