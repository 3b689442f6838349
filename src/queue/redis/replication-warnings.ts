const MIB = 1024 * 1024;
const LEAST_BACKLOG_BYTES = 64 * MIB;

/** What is unwise about a server that a replica may replace, or whose replicas are waited for, as its INFO tells it. */
export function replicationWarnings(info: ReadonlyMap<string, string>, replicas: number): string[] {
  const warnings: string[] = [];
  const connected = Number(info.get('connected_slaves') ?? 0);
  if (connected < replicas)
    warnings.push(
      `queue.replicas is ${replicas}, and redis has fewer (${connected}) connected: nothing is acknowledged as stored until it has them`,
    );
  // Redis tells of this only where min-replicas-to-write is set.
  const needsReplicas = info.has('min_slaves_good_slaves');
  if (connected > 1 && !needsReplicas)
    warnings.push(
      'redis has min-replicas-to-write 0: a master that is cut off goes on taking changes that are lost when it comes back, and clients send them again; set min-replicas-to-write 1 and min-replicas-max-lag 5',
    );
  if (connected === 1 && needsReplicas)
    warnings.push(
      'redis has min-replicas-to-write and one replica: without that one it takes no writes, nor does that one when it has become the master, and nothing is stored or applied; add a replica, or set min-replicas-to-write 0',
    );
  const backlog = Number(info.get('repl_backlog_size') ?? LEAST_BACKLOG_BYTES);
  if (backlog < LEAST_BACKLOG_BYTES)
    warnings.push(
      `redis has repl-backlog-size ${backlog}: a replica that falls behind for a moment must copy everything anew; set repl-backlog-size 128mb and client-output-buffer-limit "replica 512mb 256mb 60"`,
    );
  return warnings;
}
