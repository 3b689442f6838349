import { checkMariadb } from '../check/mariadb-contents.ts';
import type { Figures, Side } from '../comparison.ts';
import { scaledWorkload } from '../scaled-workload.ts';
import { CONNECTIONS, missingForInstallation, PARTITIONS, senderTo, startInstallation } from './installation.ts';

export interface LatencyOptions {
  readonly name?: string;
  readonly connections?: number;
}

/** How long changes are sent. */
const SECONDS = 20;

/**
 * From the write to the socket to APPLIED, at a steady rate that does not wait for answers: a stall is met by everything
 * that is sent meanwhile.
 */
export function sendToApplied(changesPerSecond: number, { name = 'syncline', connections = CONNECTIONS }: LatencyOptions = {}): Side {
  const workloadFor = scaledWorkload('inserts', changesPerSecond * SECONDS);
  const counts = [changesPerSecond, connections].map((count) => count.toLocaleString('en-US'));
  return {
    name,
    title: `Syncline, ${counts[0]} changes/s on ${counts[1]} connections, each in a frame of its own, send to APPLIED`,
    missing: missingForInstallation,
    async measure(scale, watch): Promise<Figures> {
      const workload = workloadFor(scale);
      const room = String(connections + 1_000);
      const { mariadb, server, close } = await startInstallation(workload, scale, watch, {
        SYNCLINE_INGEST_MAX_CONNECTIONS: room,
        SYNCLINE_INGEST_MAX_CONNECTIONS_PER_PRODUCER: room,
      });
      try {
        const spread = connections > PARTITIONS ? 'in turn' : 'by partition';
        const material = { kind: 'items', table: 'item', workload, batching: 'none', spread } as const;
        const sender = await senderTo(server, material, { framesPerSecond: changesPerSecond, connections });
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
