import { setTimeout as delay } from 'node:timers/promises';
import { checkMariadb } from '../check/mariadb-contents.ts';
import type { Figures, Side } from '../comparison.ts';
import type { ScaledWorkload } from '../scaled-workload.ts';
import { missingForInstallation, senderTo, startInstallation } from './installation.ts';

/** How long everything waits in Redis before the database comes back. */
const WAIT_MS = 10_000;

/** Changes that were all stored while the database was down, and are applied once it is up again. */
export function backlogDrained(workloadFor: ScaledWorkload): Side {
  return {
    name: 'syncline',
    title: 'Syncline: all changes wait in Redis, then MariaDB is started; timed from its first answer',
    missing: missingForInstallation,
    async measure(scale, watch): Promise<Figures> {
      const workload = workloadFor(scale);
      const { mariadb, server, close } = await startInstallation(workload, scale, watch);
      try {
        await mariadb.kill('SIGTERM');
        const sender = await senderTo(server, { kind: 'items', table: 'item', workload, batching: 'as the client' });
        server.resetPeakMemory();
        const beforeBytes = server.peakMemoryBytes();
        sender.go();
        const stored = await sender.stored();
        const storingBytes = server.peakMemoryBytes();
        server.resetPeakMemory();
        await delay(Math.max(1000, WAIT_MS * scale));
        const waitingBytes = server.peakMemoryBytes();
        server.resetPeakMemory();
        await watch?.begin(server);
        await mariadb.restart();
        const startedMs = performance.now();
        await sender.applied();
        const seconds = (performance.now() - startedMs) / 1000;
        await watch?.end(server);
        const drainingBytes = server.peakMemoryBytes();
        sender.close();
        const { queue } = await server.status();
        if (queue.batches !== 0) throw new Error(`everything was applied, and ${queue.batches} batches are still in the queue`);
        await checkMariadb(mariadb, workload);
        return {
          'rows/s': workload.changes / seconds,
          'stored rows/s': workload.changes / stored.seconds,
          'MB before': beforeBytes / 1e6,
          'MB while storing': storingBytes / 1e6,
          'MB while waiting': waitingBytes / 1e6,
          'MB while draining': drainingBytes / 1e6,
        };
      } finally {
        await close();
      }
    },
  };
}
