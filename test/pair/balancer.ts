import { startHaproxy, type Haproxy } from '../support/haproxy.ts';
import type { ServerProcess } from '../support/server-process.ts';
import type { ClusterMode } from './pair-world.ts';

/** The servers of haproxy.cfg, in the order of the nodes; the last one is added where there are three. */
const SERVERS = ['primary', 'backup', 'third'];
/** All clients of a drill have one address, and come back together each time. */
const ENV = { MAX_CONNECTIONS_PER_ADDRESS: '2000', MAX_NEW_CONNECTIONS_PER_10S: '10000' };

/** HAProxy with the repository's haproxy.cfg, and where nodes are active, with what the file says to change for that. */
export async function startBalancer(nodes: readonly ServerProcess[], mode: ClusterMode, dir: string): Promise<Haproxy> {
  const [primary, backup, third] = nodes.map(({ site: { address }, tcpPort, adminPort }) => ({ address, tcp: tcpPort, health: adminPort }));
  if (primary === undefined || backup === undefined) throw new Error('a balancer is in front of two nodes or more');
  const line = third === undefined ? '' : `    server third ${third.address}:${third.tcp} port ${third.health}\n`;
  return startHaproxy(primary, backup, {
    env: ENV,
    dir,
    ...(mode === 'active' ? { edit: (config: string) => withActiveNodes(config, line) } : {}),
  });
}

/** What HAProxy says of each node, as in `UP`, in the order of the nodes. */
export async function statesOf(balancer: Haproxy): Promise<string[]> {
  const stats = await balancer.stats();
  return SERVERS.flatMap((name) => stats.get(name)?.status ?? []);
}

function withActiveNodes(config: string, line: string): string {
  const edited = config
    .replace(/^(    server primary "\$\{PRIMARY_HOST\}:\$\{PRIMARY_TCP_PORT\}".*) on-marked-up shutdown-backup-sessions$/m, '$1')
    .replace(/^(    server backup "\$\{BACKUP_HOST\}:\$\{BACKUP_TCP_PORT\}".*) backup\n/m, `$1\n${line}`);
  const servers = edited.split('\n').filter((text) => text.includes('_TCP_PORT}" port'));
  if (servers.length !== 2 || servers.some((text) => /backup-sessions| backup$/.test(text))) throw new Error('haproxy.cfg has changed');
  return edited;
}
