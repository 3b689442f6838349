import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { endWithUs } from '../../src/chaos/end-with-us.ts';
import type { Figures, Side } from '../comparison.ts';
import { type ScaledWorkload, warmUpWorkload } from '../scaled-workload.ts';
import { checkSqlite, createSqliteDatabase } from '../services/sqlite.ts';
import type { SqliteLoopPlan } from './sqlite-loop-entry.ts';

const ENTRY = fileURLToPath(new URL('sqlite-loop-entry.ts', import.meta.url));

/** The loop that a program with an SQLite of its own would write, as safe as our sink. */
export function sqliteLoop(workloadFor: ScaledWorkload): Side {
  return {
    name: 'sqlite-loop',
    title: 'node:sqlite, prepared upsert, transactions of 1,000 rows, WAL, synchronous=FULL',
    missing: async () => undefined,
    async measure(scale): Promise<Figures> {
      using database = createSqliteDatabase();
      const workload = workloadFor(scale);
      const seconds = await run({ path: database.path, workload, warmUp: warmUpWorkload(scale) });
      checkSqlite(database.path, workload);
      return { 'rows/s': workload.changes / seconds };
    },
  };
}

function run(plan: SqliteLoopPlan): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = fork(ENTRY, { execArgv: ['--max-old-space-size=4096'] });
    endWithUs(child);
    child.once('message', (seconds: number) => resolve(seconds));
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`the loop over SQLite ended with ${code}`)));
    child.send(plan);
  });
}
