import type { Figures, Side } from '../comparison.ts';
import { checkMariadb } from '../check/mariadb-contents.ts';
import { watchCores } from '../processor-time.ts';
import type { ScaledWorkload } from '../scaled-workload.ts';
import { missingForInstallation, senderTo, startInstallation } from './installation.ts';

/** Rows from the sender's socket to committed in MariaDB. */
export function rowsApplied(workloadFor: ScaledWorkload, name = 'syncline'): Side {
  return {
    name,
    title: 'Syncline, 8 connections, Redis with AOF every second, MariaDB, defaults',
    missing: missingForInstallation,
    async measure(scale, watch): Promise<Figures> {
      const workload = workloadFor(scale);
      const { redis, mariadb, server, close } = await startInstallation(workload, scale, watch);
      try {
        const sender = await senderTo(server, { kind: 'items', table: 'item', workload, batching: 'as the client' });
        await watch?.begin(server);
        const cores = watchCores({ server: server.pid, redis: redis.pid, mariadb: mariadb.pid });
        sender.go();
        const { seconds, cpuSeconds } = await sender.applied();
        const used = cores({ sender: cpuSeconds });
        await watch?.end(server);
        sender.close();
        await checkMariadb(mariadb, workload);
        return { 'rows/s': workload.changes / seconds, ...used };
      } finally {
        await close();
      }
    },
  };
}
