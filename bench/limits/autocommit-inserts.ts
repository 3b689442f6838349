import { createHistogram } from 'node:perf_hooks';
import { checkMariadb } from '../check/mariadb-contents.ts';
import type { Figures, Side } from '../comparison.ts';
import { scaledWorkload } from '../scaled-workload.ts';
import { DATABASE } from '../services/mariadb-client.ts';
import { missingMariadb, startDatabase } from '../services/mariadb.ts';
import { changesOf, type Item } from '../workload.ts';

/** What a program waits for a single INSERT on a server that does nothing else. */
export function autocommitInserts(): Side {
  const workloadFor = scaledWorkload('inserts', 10_000);
  return {
    name: 'single-inserts',
    title: 'One autocommit INSERT after another, mysql2 with a prepared statement, idle MariaDB',
    missing: missingMariadb,
    async measure(scale): Promise<Figures> {
      const workload = workloadFor(scale);
      const server = await startDatabase(workload);
      try {
        const connection = await server.connect(DATABASE);
        const insert = (table: string, item: Item) => connection.execute(`INSERT INTO ${table} VALUES (?, ?, ?, ?, ?, ?)`, [...item]);
        for (const item of changesOf(workloadFor(WARM_UP_SCALE))) await insert('warm_up', item);
        const latency = createHistogram();
        for (const item of changesOf(workload)) {
          const startedMs = performance.now();
          await insert('item', item);
          latency.record(Math.max(1, Math.round((performance.now() - startedMs) * 1000)));
        }
        connection.destroy();
        await checkMariadb(server, workload);
        return { 'p50 ms': latency.percentile(50) / 1000, 'p99 ms': latency.percentile(99) / 1000, 'max ms': latency.max / 1000 };
      } finally {
        await server.close();
      }
    },
  };
}

const WARM_UP_SCALE = 0.1;
