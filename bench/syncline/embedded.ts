import type { Figures, Side } from '../comparison.ts';
import { watchCores } from '../processor-time.ts';
import type { ScaledWorkload } from '../scaled-workload.ts';
import { checkSqlite, createSqliteDatabase } from '../services/sqlite.ts';
import { senderTo, warmUp } from './installation.ts';
import { startServer } from './server.ts';

/** Rows from the sender's socket to committed in SQLite, by a server with nothing beside it. */
export function embeddedApplied(workloadFor: ScaledWorkload): Side {
  return {
    name: 'syncline',
    title: 'Syncline embedded: queue and sink in SQLite, 8 connections, defaults',
    missing: async () => undefined,
    async measure(scale, watch): Promise<Figures> {
      using database = createSqliteDatabase();
      const workload = workloadFor(scale);
      const server = await startServer({ env: { SYNCLINE_SINK: `sqlite:${database.path}` }, watch });
      try {
        await warmUp(server, scale);
        const sender = await senderTo(server, { kind: 'items', table: 'item', workload, batching: 'as the client' });
        await watch?.begin(server);
        const cores = watchCores({ server: server.pid });
        sender.go();
        const { seconds, cpuSeconds } = await sender.applied();
        const used = cores({ sender: cpuSeconds });
        await watch?.end(server);
        sender.close();
        checkSqlite(database.path, workload);
        return { 'rows/s': workload.changes / seconds, ...used };
      } finally {
        await server.close();
      }
    },
  };
}
