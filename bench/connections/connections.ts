import { fork } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { endWithUs } from '../../src/chaos/end-with-us.ts';
import { count } from '../../src/cli/text.ts';
import { watchCores } from '../processor-time.ts';
import { startServer, type SynclineServer } from '../syncline/server.ts';
import type { CrowdPlan, CrowdReport } from './crowd-messages.ts';

const CROWD = fileURLToPath(new URL('crowd-entry.ts', import.meta.url));
const COLLECT = new URL('collect.ts', import.meta.url).href;
/** What it does at the start, and after so many connections came, has to be over. */
const SETTLE_MS = 5_000;
const REST_SECONDS = 30;

/** Memory of the server, once its garbage is collected. */
interface Memory {
  readonly rssBytes: number;
  readonly heapBytes: number;
}

/** The default, and one that takes hardly any processor time. */
const HEARTBEATS_MS = [10_000, 60_000];

/**
 * Opens so many connections that send nothing, half of them over WebSocket, and prints what each costs the server: memory, and processor time for
 * heartbeats, of which there are more and then fewer. Server and clients are processes of their own, each with the descriptors that `ulimit -n` allows.
 */
export async function measureConnections(connections: number, print: (line: string) => void): Promise<number> {
  let failures = 0;
  for (const heartbeatMs of HEARTBEATS_MS) failures += await measure(connections, heartbeatMs, print);
  return failures === 0 ? 0 : 1;
}

async function measure(connections: number, heartbeatMs: number, print: (line: string) => void): Promise<number> {
  const room = String(connections + 100);
  const server = await startServer({
    env: {
      SYNCLINE_INGEST_MAX_CONNECTIONS: room,
      SYNCLINE_INGEST_MAX_CONNECTIONS_PER_PRODUCER: room,
      SYNCLINE_INGEST_HEARTBEAT_MS: String(heartbeatMs),
      SYNCLINE_LOG_LEVEL: 'warn',
    },
    watch: { nodeOptions: ['--expose-gc', '--import', COLLECT], env: {}, begin: () => Promise.resolve(), end: () => Promise.resolve() },
  });
  try {
    const before = await memoryOf(server);
    const crowd = await gather({ port: server.port, webPort: server.webPort, token: server.token, connections });
    const after = await memoryOf(server);
    const cores = watchCores({ server: server.pid });
    await delay(REST_SECONDS * 1000);
    const { 'server cores': used = NaN } = cores();
    const { open } = (await server.status()).sessions;
    crowd.close();
    const each = (bytes: number) => `${(bytes / connections / 1000).toFixed(1)} kB`;
    print(`${count(open)} connections that send nothing, asked every ${heartbeatMs / 1000} s whether they are there`);
    print(
      `memory for each: ${each(after.rssBytes - before.rssBytes)} resident, ${each(after.heapBytes - before.heapBytes)} of it in the heap`,
    );
    print(`at rest: ${(used * 100).toFixed(1)} % of a core`);
    return open === connections ? 0 : 1;
  } finally {
    await server.close();
  }
}

async function memoryOf(server: SynclineServer): Promise<Memory> {
  await delay(SETTLE_MS);
  process.kill(server.pid, 'SIGUSR2');
  await delay(SETTLE_MS);
  const heapBytes = (await server.metrics()).get('nodejs_heap_size_used_bytes') ?? NaN;
  const rss = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))?.[1];
  return { rssBytes: Number(rss) * 1024, heapBytes };
}

function gather(plan: CrowdPlan): Promise<{ close(): void }> {
  const child = fork(CROWD);
  endWithUs(child);
  child.send(plan);
  return new Promise((resolve, reject) => {
    child.on('exit', (code) => reject(new Error(`the clients ended with ${code}`)));
    child.on('message', (message: CrowdReport) => {
      if (message.type === 'open') resolve({ close: () => child.disconnect() });
      else reject(new Error(`a connection: ${message.message}`));
    });
  });
}
