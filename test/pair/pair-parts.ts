import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createAuditedDatabase } from '../support/audited-database.ts';
import { haproxyAvailable, type Haproxy } from '../support/haproxy.ts';
import { mariadbAvailable, startMariadb, type MariadbServer } from '../support/mariadb-server.ts';
import { startSentinelGroup, type SentinelGroup } from '../support/redis-sentinel.ts';
import { redisAvailable } from '../support/redis-server.ts';
import { ServerProcess } from '../support/server-process.ts';
import { mergedEnv } from '../support/source-patches.ts';
import { createTestNetwork, LOOPBACK, type Site, type TestNetwork } from '../support/test-network.ts';
import { startBalancer } from './balancer.ts';
import { createProbeTables } from './prober.ts';

export type ClusterMode = 'standby' | 'active';

export interface PairOptions {
  readonly mode: ClusterMode;
  /** How many nodes there are; 2 when it is left out. */
  readonly nodes?: number;
  /** Nodes that are not started with the others, the last ones. */
  readonly absent?: number;
  /** Variables of a node, by its place in the list. */
  readonly nodeEnv?: (index: number) => Readonly<Record<string, string>>;
  /** Variables of every node. */
  readonly env?: Readonly<Record<string, string>>;
  /** `split`: the first Redis and the first node each on a host of its own, so that the way between any two can be cut. */
  readonly network?: 'loopback' | 'split';
  /** Clients with spools that write all the time; 2 when it is left out. */
  readonly producers?: number;
  /** Between two blocks of 40 rows of a producer. */
  readonly producerPauseMs?: number;
  /** How long nothing may move. */
  readonly patienceMs?: number;
}

/** What the clients of a pair stand before. */
export interface PairParts {
  /** The folder of everything. */
  readonly home: string;
  /** Undefined where all is on loopback. */
  readonly network: TestNetwork | undefined;
  readonly redis: SentinelGroup;
  readonly mariadb: MariadbServer;
  readonly nodes: readonly ServerProcess[];
  readonly balancer: Haproxy;
}

/** How long a node keeps the right to apply that went silent: the product's default. */
export const LEASE_MS = 3_000;
/** Of the one producer that there is, and for whoever asks how the nodes are. */
export const TOKEN = 'of-the-pair';
/** The host of the first Redis, where there is a network. */
export const FIRST_REDIS = 'redis';
const FIRST_NODE = 'node';

/** Why the pair cannot run here; undefined when it can. */
export function missingForPair(): string | undefined {
  const missing = [
    redisAvailable() ? [] : ['redis-server'],
    mariadbAvailable() ? [] : ['mariadbd', 'mariadb-install-db'],
    haproxyAvailable() ? [] : ['haproxy'],
  ].flat();
  return missing.length === 0 ? undefined : `must be installed and on the path: ${missing.join(', ')}`;
}

/** As the balancer and the logs call a node. */
export function nameOf(index: number): string {
  return `node-${index + 1}`;
}

/** Starts everything but the nodes, which are only made: whoever uses them starts them. */
export async function startPairParts(options: PairOptions): Promise<PairParts> {
  const { mode, nodes: nodeCount = 2, nodeEnv, network: kind = 'loopback' } = options;
  const network = kind === 'split' ? createTestNetwork([FIRST_REDIS, FIRST_NODE]) : undefined;
  if (typeof network === 'string') throw new Error(network);
  const home = mkdtempSync(join(tmpdir(), 'syncline-pair-'));
  const here = network?.here ?? LOOPBACK;
  const parts: Partial<PairParts> = {};
  try {
    const redis = await startSentinelGroup({
      args: ['--appendonly', 'yes', '--appendfsync', 'everysec', '--maxmemory-policy', 'noeviction'],
      site: here,
      firstSite: network?.hosts.get(FIRST_REDIS) ?? here,
      dir: home,
      // What a failover costs is timed and published.
      pace: 'as it comes',
    });
    Object.assign(parts, { redis });
    const mariadb = await startDatabase(here, home);
    Object.assign(parts, { mariadb });
    const sites: Site[] = Array.from({ length: nodeCount }, (_, i) => (i === 0 ? (network?.hosts.get(FIRST_NODE) ?? here) : here));
    const env = {
      SYNCLINE_QUEUE: redis.directUrl,
      SYNCLINE_SINK: `mysql://root@${here.address}:${mariadb.port}/shop`,
      SYNCLINE_CLUSTER_MODE: mode,
      SYNCLINE_TOKEN: TOKEN,
      SYNCLINE_ADMIN_TOKEN: TOKEN,
      // The balancer, which names the client of a connection.
      SYNCLINE_TCP_PROXY_FROM: here.address,
    };
    const nodes = await Promise.all(
      sites.map((site, i) =>
        ServerProcess.create(
          { ...env, SYNCLINE_NODE: nameOf(i), ...mergedEnv(options.env ?? {}, nodeEnv?.(i) ?? {}) },
          { site, dir: home },
        ),
      ),
    );
    const balancer = await startBalancer(nodes, mode, home);
    return { home, network, redis, mariadb, nodes, balancer };
  } catch (error) {
    await closePairParts({ home, network, ...parts });
    rmSync(home, { recursive: true, force: true });
    throw error;
  }
}

async function startDatabase(here: Site, dir: string): Promise<MariadbServer> {
  const isLoopback = here === LOOPBACK;
  const mariadb = await startMariadb({ dir, ...(isLoopback ? {} : { args: [`--bind-address=${LOOPBACK.address},${here.address}`] }) });
  if (!isLoopback) await mariadb.query(["CREATE USER root@'%' IDENTIFIED BY ''", "GRANT ALL ON *.* TO root@'%' WITH GRANT OPTION"]);
  await createAuditedDatabase(mariadb);
  await createProbeTables(mariadb);
  return mariadb;
}

/** The network last: processes in it end with the others. */
export async function closePairParts({ balancer, redis, mariadb, network }: Partial<PairParts>): Promise<void> {
  await Promise.all([balancer?.close(), redis?.close(), mariadb?.close()]);
  network?.close();
}
