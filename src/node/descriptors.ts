import { readFileSync } from 'node:fs';

/** For queue, sink, worker threads, admin and those who are told that there is no room: a server without any could not go on. */
const RESERVED = 256;

/** How many of `connections` the system's limit of open files leaves room for; all of them where it does not say. */
export function connectionsThatFit(connections: number, limit = openFileLimit()): number {
  return limit === undefined ? connections : Math.max(1, Math.min(connections, limit - RESERVED));
}

/** What to tell whoever runs the server when not all of `connections` fit. */
export function descriptorWarning(connections: number, limit = openFileLimit()): string | undefined {
  const fit = connectionsThatFit(connections, limit);
  if (fit === connections) return undefined;
  return `ingest.maxConnections is ${connections}, but this process may open ${limit} files: ${fit} connections are taken; raise the limit (ulimit -n, LimitNOFILE of systemd)`;
}

/** Node raises the soft limit to the hard one when it starts. */
function openFileLimit(): number | undefined {
  try {
    const [, soft] = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1')) ?? [];
    return soft === undefined ? undefined : Number(soft);
  } catch {
    // Not Linux.
    return undefined;
  }
}
