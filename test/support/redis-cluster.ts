import type { Certificate } from './certificate.ts';
import { eventually } from './eventually.ts';
import { freePort } from './free-port.ts';
import { startRedis, type RedisServer } from './redis-server.ts';

/** A Redis Cluster on this machine, each node in a temporary folder. */
export interface RedisCluster {
  /** The masters of the start, in the order of their slots, then the replicas in the same order. */
  readonly nodes: readonly RedisServer[];
  /** `redis+cluster://…`, or `rediss+cluster://…`, with every node. */
  readonly url: string;
  slotOf(key: string): Promise<number>;
  /** The master that serves a slot. */
  ownerOf(slot: number): Promise<RedisServer>;
  /** Hands a slot with its keys to another master, key by key while it is used. */
  moveSlot(slot: number, target: RedisServer): Promise<void>;
  /** Makes a replica the master in place of its own, which follows it then or is gone. */
  promote(replica: RedisServer): Promise<void>;
  /** Resolves when every node says that the cluster works. */
  settled(): Promise<void>;
  /** Runs one command on every node. */
  onEach(...args: string[]): Promise<void>;
  close(): Promise<void>;
}

export interface RedisClusterOptions {
  readonly masters?: number;
  /** Of each master. */
  readonly replicas?: number;
  /** Further arguments of every node. */
  readonly args?: readonly string[];
  /** TLS to the nodes, and between them. */
  readonly tls?: Certificate;
}

const SLOTS = 16_384;
const SETTLE_TIMEOUT_MS = 90_000;

/** Starts the nodes and joins them; resolves when every node says that the cluster works. */
export async function startRedisCluster(options: RedisClusterOptions = {}): Promise<RedisCluster> {
  const { masters = 3, replicas = 0, args = [], tls } = options;
  const nodes: RedisServer[] = [];
  const close = async () => void (await Promise.all(nodes.map((node) => node.close())));
  try {
    const busPorts: number[] = [];
    for (let i = 0; i < masters * (1 + replicas); i++) {
      const busPort = await freePort();
      busPorts.push(busPort);
      nodes.push(await startRedis({ args: [...nodeArgs(busPort), ...args], ...(tls && { tls }) }));
    }
    await join(nodes, busPorts);
    await shareOut(nodes, masters);
    await settled(nodes);
    return clusterOf(nodes, tls === undefined ? 'redis' : 'rediss', close);
  } catch (error) {
    await close();
    throw error;
  }
}

function nodeArgs(busPort: number): string[] {
  return [
    ...['--cluster-enabled', 'yes', '--cluster-config-file', 'nodes.conf', '--cluster-port', String(busPort)],
    ...['--cluster-announce-ip', '127.0.0.1', '--cluster-node-timeout', '3000', '--repl-diskless-sync-delay', '0'],
  ];
}

async function join(nodes: readonly RedisServer[], busPorts: readonly number[]): Promise<void> {
  const first = nodes[0] as RedisServer;
  for (const [index, node] of nodes.entries()) {
    await node.command('CLUSTER', 'SET-CONFIG-EPOCH', String(index + 1));
    if (index > 0) await first.command('CLUSTER', 'MEET', '127.0.0.1', String(node.port), String(busPorts[index]));
  }
  await eventually(async () => {
    for (const node of nodes) {
      const known = (await lines(node)).filter((line) => !line.includes('handshake'));
      if (known.length !== nodes.length) throw new Error('the nodes do not all know each other yet');
    }
  }, SETTLE_TIMEOUT_MS);
}

async function shareOut(nodes: readonly RedisServer[], masters: number): Promise<void> {
  const ids = await Promise.all(nodes.map((node) => idOf(node)));
  for (const [index, node] of nodes.entries()) {
    if (index < masters) {
      const [from, to] = [index, index + 1].map((share) => Math.floor((SLOTS * share) / masters)) as [number, number];
      await node.command('CLUSTER', 'ADDSLOTSRANGE', String(from), String(to - 1));
    } else {
      await eventually(() => node.command('CLUSTER', 'REPLICATE', ids[index % masters] as string), SETTLE_TIMEOUT_MS);
    }
  }
}

async function settled(nodes: readonly RedisServer[]): Promise<void> {
  await eventually(async () => {
    for (const node of nodes) {
      if (!(await node.command('CLUSTER', 'INFO')).includes('cluster_state:ok')) throw new Error('the cluster does not work yet');
      const replication = await node.command('INFO', 'replication');
      if (replication.includes('role:slave') && !replication.includes('master_link_status:up'))
        throw new Error('a replica does not follow its master yet');
    }
  }, SETTLE_TIMEOUT_MS);
}

function clusterOf(nodes: readonly RedisServer[], scheme: 'redis' | 'rediss', close: () => Promise<void>): RedisCluster {
  const ask = async (...args: string[]): Promise<string> => {
    let problem: unknown;
    for (const node of nodes) {
      try {
        return await node.command(...args);
      } catch (error) {
        problem = error;
      }
    }
    throw problem;
  };
  // A node may learn a moment later than the others who serves a slot.
  const ownerOf = (slot: number) =>
    eventually(async () => {
      const serving = (await ask('CLUSTER', 'NODES')).split('\n').find((line) => serves(line, slot));
      const port = Number(/:(\d+)@/.exec(serving ?? '')?.[1]);
      const owner = nodes.find((node) => node.port === port);
      if (owner === undefined) throw new Error(`nobody serves slot ${slot}`);
      return owner;
    });
  return {
    nodes,
    url: `${scheme}+cluster://${nodes.map(({ port }) => `127.0.0.1:${port}`).join(',')}`,
    slotOf: async (key) => Number((await ask('CLUSTER', 'KEYSLOT', key)).slice(1)),
    ownerOf,
    moveSlot: async (slot, target) => moveSlot(slot, await ownerOf(slot), target, nodes),
    promote: async (replica) => {
      await eventually(
        async () => {
          const role = (await replica.command('INFO', 'replication')).includes('role:master');
          if (role) return;
          await replica.command('CLUSTER', 'FAILOVER').catch(() => replica.command('CLUSTER', 'FAILOVER', 'FORCE'));
          throw new Error('the replica is no master yet');
        },
        SETTLE_TIMEOUT_MS,
        1000,
      );
    },
    settled: () => settled(nodes),
    onEach: async (...args) => void (await Promise.all(nodes.map((node) => node.command(...args)))),
    close,
  };
}

async function moveSlot(slot: number, source: RedisServer, target: RedisServer, nodes: readonly RedisServer[]): Promise<void> {
  if (source === target) return;
  const [from, to] = await Promise.all([idOf(source), idOf(target)]);
  await target.command('CLUSTER', 'SETSLOT', String(slot), 'IMPORTING', from);
  await source.command('CLUSTER', 'SETSLOT', String(slot), 'MIGRATING', to);
  for (;;) {
    const reply = (await source.command('CLUSTER', 'GETKEYSINSLOT', String(slot), '1')).split('\r\n');
    const key = reply[2];
    if (key === undefined) break;
    await source.command('MIGRATE', '127.0.0.1', String(target.port), key, '0', '5000');
  }
  // The target first: were the source to forget the slot before it, nobody would serve it.
  const others = nodes.filter((node) => node !== source && node !== target);
  for (const node of [target, source, ...others])
    await node.command('CLUSTER', 'SETSLOT', String(slot), 'NODE', to).catch((error: unknown) => {
      // A replica takes it from its master.
      if (!String(error).includes('only with masters')) throw error;
    });
}

async function lines(node: RedisServer): Promise<string[]> {
  return (await node.command('CLUSTER', 'NODES')).split('\n').filter((line) => line.includes(':'));
}

async function idOf(node: RedisServer): Promise<string> {
  return (await node.command('CLUSTER', 'MYID')).split('\r\n').at(-1) as string;
}

/** Whether a line of CLUSTER NODES is that of the master that serves `slot`. */
function serves(line: string, slot: number): boolean {
  const fields = line.trim().split(' ');
  const flags = (fields[2] ?? '').split(',');
  if (!flags.includes('master') || flags.includes('fail')) return false;
  return fields.slice(8).some((range) => {
    const match = /^(\d+)(?:-(\d+))?$/.exec(range);
    return match !== null && slot >= Number(match[1]) && slot <= Number(match[2] ?? match[1]);
  });
}
