import type { Figures, Side } from '../comparison.ts';
import { checkMariadb } from '../check/mariadb-contents.ts';
import { watchCores } from '../processor-time.ts';
import { loadFile, upsertsFile } from '../services/input-files.ts';
import { runMariadbClient } from '../services/mariadb-client.ts';
import { missingMariadb, startDatabase } from '../services/mariadb.ts';
import { warmUpWorkload, type ScaledWorkload } from '../scaled-workload.ts';

/** MariaDB's own bulk load, which checks less than any statement does: as fast as rows get into a table. */
export function loadData(workloadFor: ScaledWorkload): Side {
  return {
    name: 'load-data',
    title: 'LOAD DATA LOCAL INFILE through the mariadb client, one connection, one transaction',
    missing: missingMariadb,
    async measure(scale): Promise<Figures> {
      const workload = workloadFor(scale);
      const statement = `LOAD DATA LOCAL INFILE '${loadFile(workload)}' INTO TABLE item`;
      const server = await startDatabase(workload);
      try {
        await runMariadbClient(server, { file: upsertsFile(warmUpWorkload(scale), 'warm_up') });
        const cores = watchCores({ mariadb: server.pid });
        const startedMs = performance.now();
        await runMariadbClient(server, { statement });
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
