import { BIGINT, TEXT } from './compiled.ts';
import type { Session } from './session.ts';
import type { VirtualTable } from './statement-context.ts';

/** `information_schema.processlist`, as far as somebody reads it: who is connected, and whether a statement runs. */
export function processList(database: string, sessions: readonly Session[]): VirtualTable {
  return {
    columns: [
      { name: 'ID', type: BIGINT },
      { name: 'USER', type: TEXT },
      { name: 'DB', type: TEXT },
      { name: 'COMMAND', type: TEXT },
    ],
    rows: sessions.map((session) => [session.id, 'root', database, session.isRunning ? 'Query' : 'Sleep']),
  };
}
