import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { FaultWorld } from '../fault/fault-world.ts';
import { sampleProcess } from '../support/process-sample.ts';
import type { Sample } from './soak-report.ts';

const MIB = 1024 * 1024;

/** Looks now and then at what everybody in a world holds. */
export class Sampler {
  readonly samples: Sample[] = [];
  readonly #world: FaultWorld;
  readonly #startedMs = performance.now();
  readonly #firstSeenMs = new Map<number, number>();

  constructor(world: FaultWorld) {
    this.#world = world;
  }

  /** Skips what a fault has just ended, or keeps from answering: there will be another time. */
  async sample(phase: 'loaded' | 'quiet'): Promise<void> {
    const { server, bystanders, clients, services } = this.#world;
    try {
      const nowMs = performance.now();
      const serverPid = server.pid;
      const own = sampleProcess(serverPid);
      if (!this.#firstSeenMs.has(serverPid)) this.#firstSeenMs.set(serverPid, nowMs);
      const status = await server.status();
      const others = bystanders.filter(({ running }) => running).map(({ pid }) => sampleProcess(pid));
      this.samples.push({
        atS: Math.round((nowMs - this.#startedMs) / 1000),
        isQuiet: phase === 'quiet',
        serverPid,
        serverAgeS: Math.round((nowMs - (this.#firstSeenMs.get(serverPid) ?? nowMs)) / 1000),
        serverRssMib: own.rssMib,
        serverDescriptors: own.descriptors,
        serverThreads: own.threads,
        clientRssMib: Math.max(0, ...others.map(({ rssMib }) => rssMib)),
        clientDescriptors: Math.max(0, ...others.map(({ descriptors }) => descriptors)),
        redisMib: Number(/used_memory:(\d+)/.exec(await services.redis.command('INFO', 'memory'))?.[1]) / MIB,
        queued: status.queue.batches,
        spoolMib: Math.max(...clients.map(({ spool }) => folderBytes(spool))) / MIB,
      });
    } catch (error) {
      if (phase === 'quiet') throw error;
    }
  }
}

function folderBytes(folder: string): number {
  return readdirSync(folder).reduce((sum, name) => sum + (statSync(join(folder, name), { throwIfNoEntry: false })?.size ?? 0), 0);
}
