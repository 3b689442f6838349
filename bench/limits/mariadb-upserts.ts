import type { Figures, Side } from '../comparison.ts';
import { checkMariadb } from '../check/mariadb-contents.ts';
import { watchCores } from '../processor-time.ts';
import { upsertsFile } from '../services/input-files.ts';
import { runMariadbClient } from '../services/mariadb-client.ts';
import { missingMariadb, startDatabase } from '../services/mariadb.ts';
import { warmUpWorkload, type ScaledWorkload } from '../scaled-workload.ts';

/** MariaDB's own command-line client, fed upserts of 1,000 rows from a file: as much as one connection takes. */
export function mariadbUpserts(workloadFor: ScaledWorkload, connections: 1 | 2): Side {
  return {
    name: connections === 1 ? 'mariadb-client' : `mariadb-client-${connections}`,
    title: `mariadb client, upserts of 1,000 rows from a file, ${connections === 1 ? 'one connection' : `${connections} connections`}`,
    missing: missingMariadb,
    async measure(scale): Promise<Figures> {
      const workload = workloadFor(scale);
      const files = Array.from({ length: connections }, (_, part) => upsertsFile(workload, 'item', part, connections));
      const server = await startDatabase(workload);
      try {
        await runMariadbClient(server, { file: upsertsFile(warmUpWorkload(scale), 'warm_up') });
        const cores = watchCores({ mariadb: server.pid });
        const startedMs = performance.now();
        await Promise.all(files.map((file) => runMariadbClient(server, { file })));
        const seconds = (performance.now() - startedMs) / 1000;
        const used = cores();
        await checkMariadb(server, workload);
        return { 'rows/s': workload.changes / seconds, ...used };
      } finally {
        await server.close();
      }
    },
  };
}
