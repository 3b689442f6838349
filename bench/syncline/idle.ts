import { setTimeout as delay } from 'node:timers/promises';
import type { Figures, Side } from '../comparison.ts';
import { watchCores } from '../processor-time.ts';
import { scaledWorkload } from '../scaled-workload.ts';
import { missingForInstallation, senderTo, startInstallation } from './installation.ts';

const SECONDS = 60;
/** What came before has to be over: connections that end, memory that is tidied. */
const SETTLE_MS = 5_000;

/** Processor time of a server that has work behind it, connected clients, and nothing to do. */
export function idleCpu(): Side {
  return {
    name: 'syncline',
    title: 'Syncline with 8 connections that send nothing; processor time of all its threads',
    missing: missingForInstallation,
    async measure(scale, watch): Promise<Figures> {
      const { server, close } = await startInstallation(scaledWorkload('inserts', 0)(1), scale, watch);
      try {
        const sender = await senderTo(server, { kind: 'blobs', frames: 0, payloadBytes: 0 });
        await delay(SETTLE_MS);
        await watch?.begin(server);
        const cores = watchCores({ server: server.pid });
        await delay(SECONDS * scale * 1000);
        const used = cores();
        await watch?.end(server);
        sender.close();
        return { '% of a core': (used['server cores'] as number) * 100 };
      } finally {
        await close();
      }
    },
  };
}
