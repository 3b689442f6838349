import { SyncError } from '../../core/errors.ts';
import type { Connection } from './connection.ts';

/**
 * How many connections of one node can be found again: as many slices as may run at once, and what the main thread and
 * each worker thread have beside them.
 */
const MAX_MARKS = 256;

/**
 * Marks a connection as one of a node, named by its incarnation: it holds a lock of the session by name, of which the
 * server knows the holder for as long as the connection lasts, and not longer. A connection beyond {@link MAX_MARKS} goes unmarked.
 */
export async function markConnection(connection: Connection, incarnation: string): Promise<void> {
  // The first name that is free: CASE takes no further lock then.
  const attempts = names(incarnation).map((name, i) => `WHEN GET_LOCK('${name}',0)=1 THEN ${i}`);
  await connection.rows(`SELECT CASE ${attempts.join(' ')} END`);
}

/**
 * Ends every marked connection of a node; returns how many. Only the holder of a lock is ended, so nobody else's
 * connection is: neither after a restart of the server, nor where it gives numbers anew.
 */
export async function endConnections(connection: Connection, incarnation: string): Promise<number> {
  const holders = () =>
    connection.rows(
      `SELECT ${names(incarnation)
        .map((name) => `IS_USED_LOCK('${name}')`)
        .join(',')}`,
    );
  const [row = []] = await holders();
  let ended = 0;
  for (const id of row) {
    if (id === null) continue;
    try {
      await connection.run(`KILL CONNECTION ${Number(id)}`);
      ended++;
    } catch (error) {
      // It may have ended by itself in the meantime.
      if (!(error instanceof SyncError) || !connection.alive || (await holders())[0]?.includes(id) === true) throw error;
    }
  }
  return ended;
}

function names(incarnation: string): string[] {
  // It is part of a statement.
  if (!/^[0-9a-f]{32}$/.test(incarnation)) throw new RangeError('an incarnation is 32 hex digits');
  return Array.from({ length: MAX_MARKS }, (_, i) => `syncline:${incarnation}:${i}`);
}
