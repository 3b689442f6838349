import { setTimeout as delay } from 'node:timers/promises';
import type { Figures, Side } from '../comparison.ts';
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
        const [startedMs, before] = [performance.now(), server.cpuSeconds()];
        await delay(SECONDS * scale * 1000);
        const used = server.cpuSeconds() - before;
        const seconds = (performance.now() - startedMs) / 1000;
        await watch?.end(server);
        sender.close();
        return { '% of a core': (used / seconds) * 100 };
      } finally {
        await close();
      }
    },
  };
}
