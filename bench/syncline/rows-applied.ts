import { availableParallelism } from 'node:os';
import type { Figures, Side } from '../comparison.ts';
import { checkMariadb } from '../check/mariadb-contents.ts';
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
      const { mariadb, server, close } = await startInstallation(workload, scale, watch);
      try {
        const sender = await senderTo(server, { kind: 'items', table: 'item', workload, batching: 'as the client' });
        await watch?.begin(server);
        sender.go();
        const { seconds, cpuSeconds } = await sender.applied();
        await watch?.end(server);
        sender.close();
        await checkMariadb(mariadb, workload);
        return { 'rows/s': workload.changes / seconds, 'sender %': senderPercent(cpuSeconds, seconds) };
      } finally {
        await close();
      }
    },
  };
}

/** Share of all cores that the sender took from what it measured. */
export function senderPercent(cpuSeconds: number, seconds: number): number {
  return (cpuSeconds / seconds / availableParallelism()) * 100;
}
