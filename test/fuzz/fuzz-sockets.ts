import { setTimeout as delay } from 'node:timers/promises';
import { messageOf } from '../../src/core/errors.ts';
import { FaultWorld } from '../fault/fault-world.ts';
import { faultsOf } from '../fault/run-scenario.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { sampleProcess } from '../support/process-sample.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import type { FuzzReport } from './fuzz-report.ts';
import { hostileConnection } from './hostile-connection.ts';
import { hostileRequests } from './hostile-request.ts';
import { HostileSender } from './hostile-sender.ts';

const SENDERS = 8;
/** In turn. */
const CARRIERS = ['tcp', 'websocket', 'tcp', 'websocket', 'tcp', 'websocket', 'tcp', 'http'] as const;
const SENDER_INPUTS = 64;
const MAX_VIOLATIONS = 5;
/**
 * A server that has just started grows to what it needs under load, and what the allocator has had it keeps: by 200 MiB in the
 * first 300,000 inputs, by 20 MiB in the next 600,000; with WebSockets by 90 MiB between 10,000 and 20,000, and by 50 MiB between
 * 40,000 and 80,000. So the second half is held against the first, and may hold so much more.
 */
const MIN_WARM_UP_INPUTS = 10_000;
/** The young generation of a worker thread alone may grow by 64 MiB; whoever keeps what comes holds several times as much. */
const MAX_GROWN_MIB = 128;
/** Connections to queue and database come and go. */
const MAX_MORE_DESCRIPTORS = 8;

/**
 * Sends inputs `from` … `from + count − 1`, about, over real sockets to a real server beside a client that behaves: its rows
 * must all be applied, and the server must hold no more at the end than at the beginning.
 */
export async function fuzzSockets(
  from: number,
  count: number,
  until: AbortSignal,
  progress: (done: number) => void = () => {},
): Promise<FuzzReport> {
  const webPort = await freePort();
  const world = await FaultWorld.start('services', { serverEnv: { SYNCLINE_WEB_PORT: String(webPort) } });
  try {
    const violations: string[] = [];
    const warmUpInputs = Math.max(MIN_WARM_UP_INPUTS, Math.floor(count / 2));
    const before = sampleProcess(world.server.pid);
    let [done, taken, connections, next] = [0, 0, 0, Math.floor((from - 1) / SENDER_INPUTS)];
    let heldMib: number | undefined;
    const work = async () => {
      while (taken < count && !until.aborted && violations.length < MAX_VIOLATIONS && world.server.running) {
        taken += SENDER_INPUTS;
        const number = ++next;
        const random = new SeededRandom(number);
        const sender = new HostileSender(random, '');
        const carrier = CARRIERS[number % CARRIERS.length]!;
        const once = (left: number) =>
          carrier === 'http'
            ? hostileRequests(webPort, random)
            : hostileConnection({ port: carrier === 'tcp' ? world.server.tcpPort : webPort, carrier }, sender, random, left);
        try {
          for (let left = SENDER_INPUTS; left > 0; connections++) left -= Math.max(1, (await once(left)).inputs);
        } catch (error) {
          violations.push(`inputs ${(number - 1) * SENDER_INPUTS + 1}..${number * SENDER_INPUTS}: ${messageOf(error)}`);
        }
        done += SENDER_INPUTS;
        if (done >= warmUpInputs) heldMib ??= sampleProcess(world.server.pid).rssMib;
        progress(Math.min(done, count));
      }
    };
    await Promise.all(Array.from({ length: SENDERS }, work));
    if (!world.server.running) violations.push(`the server ended: ${world.server.output.slice(-1500)}`);
    else {
      await world.advance();
      await quiet(world, before.descriptors).catch((error: unknown) => violations.push(messageOf(error)));
    }
    const grownMib = world.server.running && heldMib !== undefined ? sampleProcess(world.server.pid).rssMib - heldMib : 0;
    if (grownMib > MAX_GROWN_MIB) violations.push(`the server holds ${grownMib.toFixed(1)} MiB more than after ${warmUpInputs} inputs`);
    violations.push(...errorsOf(world.server.output), ...faultsOf(await world.audit()).slice(0, MAX_VIOLATIONS));
    return { done: Math.min(done, count), violations, accepted: 0, connections, grownMib };
  } finally {
    await world.close();
  }
}

/** Waits until the server has let go of every connection that was ended. */
async function quiet(world: FaultWorld, descriptors: number): Promise<void> {
  await delay(500);
  await eventually(() => {
    const now = sampleProcess(world.server.pid).descriptors;
    if (now > descriptors + MAX_MORE_DESCRIPTORS) throw new Error(`the server has ${now} descriptors open, ${descriptors} before`);
  }, world.patienceMs);
}

function errorsOf(output: string): string[] {
  return output
    .split('\n')
    .filter((line) => line.startsWith('{"level":"error"'))
    .slice(0, MAX_VIOLATIONS);
}
