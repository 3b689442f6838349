import { checkMariadb } from '../check/mariadb-contents.ts';
import type { Figures, Side } from '../comparison.ts';
import { scaledWorkload } from '../scaled-workload.ts';
import { missingForInstallation, senderTo, startInstallation } from './installation.ts';

/** How long changes are sent. */
const SECONDS = 20;

/**
 * From the write to the socket to APPLIED, at a steady rate that does not wait for answers: a stall is met by everything
 * that is sent meanwhile.
 */
export function sendToApplied(changesPerSecond: number): Side {
  const workloadFor = scaledWorkload('inserts', changesPerSecond * SECONDS);
  return {
    name: 'syncline',
    title: `Syncline, ${changesPerSecond.toLocaleString('en-US')} changes/s on 8 connections, each in a frame of its own, send to APPLIED`,
    missing: missingForInstallation,
    async measure(scale, watch): Promise<Figures> {
      const workload = workloadFor(scale);
      const { mariadb, server, close } = await startInstallation(workload, scale, watch);
      try {
        const material = { kind: 'items', table: 'item', workload, batching: 'none' } as const;
        const sender = await senderTo(server, material, { framesPerSecond: changesPerSecond });
        await watch?.begin(server);
        sender.go();
        const { latency } = await sender.applied();
        await watch?.end(server);
        sender.close();
        await checkMariadb(mariadb, workload);
        if (latency === undefined) throw new Error('the sender measured no latency');
        return { 'p50 ms': latency.p50, 'p99 ms': latency.p99, 'max ms': latency.max, 'sender late by ms': latency.maxLateness };
      } finally {
        await close();
      }
    },
  };
}
