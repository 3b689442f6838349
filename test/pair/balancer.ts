import { startHaproxy, type Haproxy, type NodePorts } from '../support/haproxy.ts';
import type { ServerProcess } from '../support/server-process.ts';
import type { ClusterMode } from './pair-parts.ts';

/** The servers of haproxy.cfg, in the order of the nodes; the last one is added where there are three. */
const SERVERS = ['primary', 'backup', 'third'];
/** All clients of a drill have one address, and come back together each time. */
const ENV = { MAX_CONNECTIONS_PER_ADDRESS: '2000', MAX_NEW_CONNECTIONS_PER_10S: '10000' };

/** HAProxy with the repository's haproxy.cfg; with a further line where there are three nodes. */
export async function startBalancer(nodes: readonly ServerProcess[], mode: ClusterMode, dir: string): Promise<Haproxy> {
  const [primary, backup, third] = nodes.map(({ site: { address }, tcpPort, adminPort }) => ({ address, tcp: tcpPort, health: adminPort }));
  if (primary === undefined || backup === undefined) throw new Error('a balancer is in front of two nodes or more');
  return startHaproxy(primary, backup, {
    env: { ...ENV, ...(mode === 'active' ? { BALANCER_ACTIVE: '1' } : {}) },
    dir,
    ...(third === undefined ? {} : { edit: (config: string) => withThirdNode(config, third) }),
  });
}

/** What HAProxy says of each node, as in `UP`, in the order of the nodes. */
export async function statesOf(balancer: Haproxy): Promise<string[]> {
  const stats = await balancer.stats();
  return SERVERS.flatMap((name) => stats.get(name)?.status ?? []);
}

function withThirdNode(config: string, { address, tcp, health }: Required<Omit<NodePorts, 'web'>>): string {
  const line = /^    server backup .*_TCP_PORT\}" port "\$\{BACKUP_HEALTH_PORT\}"\n/m;
  if (!line.test(config)) throw new Error('haproxy.cfg no longer has the line of an active node');
  return config.replace(line, (backup) => `${backup}    server third ${address}:${tcp} port ${health}\n`);
}
