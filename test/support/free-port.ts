import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/**
 * Below the range from which systems take the ports of outgoing connections: a port that was free would otherwise be
 * some connection's by the time its server starts, or starts again.
 */
const RANGE = [12_000, 32_000] as const;
/** Files that run at the same time take theirs from parts of it: a server that is away for a moment keeps its port. */
const PARTS = 4;
const MAX_TRIES = 100;
/** Nobody may listen yet on one that was given away a moment ago. */
const given = new Set<number>();

/** A port of 127.0.0.1 on which nobody listens right now. */
export async function freePort(): Promise<number> {
  const size = (RANGE[1] - RANGE[0]) / PARTS;
  const from = RANGE[0] + size * (Number(process.env['VITEST_POOL_ID'] ?? 0) % PARTS);
  for (let i = 0; i < MAX_TRIES; i++) {
    const port = randomInt(from, from + size);
    if (given.has(port)) continue;
    given.add(port);
    if (await isFree(port)) return port;
  }
  throw new Error(`no free port among ${MAX_TRIES} from ${RANGE[0]} to ${RANGE[1]}`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
