import { systemClock } from '../core/clock.ts';
import { SqliteFile } from '../sinks/sqlite/file.ts';
import type { ChaosDatabase, SqlValues } from './database.ts';

/** The SQLite file at `path`, which must exist. */
export function openSqliteDatabase(path: string): ChaosDatabase {
  const file = new SqliteFile(path, systemClock);
  return {
    dialect: 'sqlite',
    where: path,
    rows: async (sql) =>
      file.read('read what chaos wrote', (db) => {
        const statement = db.prepare(sql);
        statement.setReturnArrays(true);
        return statement.all() as unknown as SqlValues[];
      }),
    async run(sql) {
      try {
        const db = await file.lock();
        db.exec(sql);
        db.exec('COMMIT');
      } catch (error) {
        throw file.problem(error, 'run a statement of chaos');
      } finally {
        file.unlock();
      }
    },
    close: async () => file.close(),
  };
}
