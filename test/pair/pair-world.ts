import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { countDatabaseEffects, createAuditedDatabase, readAuditedDatabase } from '../support/audited-database.ts';
import { eventually } from '../support/eventually.ts';
import { haproxyAvailable, type Haproxy } from '../support/haproxy.ts';
import { mariadbAvailable, startMariadb, type MariadbServer } from '../support/mariadb-server.ts';
import { joinHistories, ProducerProcess } from '../support/producer-process.ts';
import { startSentinelGroup, type SentinelGroup } from '../support/redis-sentinel.ts';
import { redisAvailable, type RedisServer } from '../support/redis-server.ts';
import { auditRows, type Audit } from '../support/rows-audit.ts';
import { mergedEnv } from '../support/source-patches.ts';
import { ServerProcess } from '../support/server-process.ts';
import { createTestNetwork, LOOPBACK, type NetworkHost, type Site, type TestNetwork } from '../support/test-network.ts';
import { startBalancer, statesOf } from './balancer.ts';
import { createProbeTables, Prober } from './prober.ts';

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

/** How long a node keeps the right to apply that went silent: the product's default. */
export const LEASE_MS = 3_000;
const PARTITIONS = 16;
const PATIENCE_MS = 60_000;
const PRODUCER_PAUSE_MS = 50;
const FINISH_POLL_MS = 250;
const GENERATIONS_PER_CLIENT = 100_000;
const TOKEN = 'of-the-pair';
const FIRST_REDIS = 'redis';
const FIRST_NODE = 'node';

/** Why the pair cannot run here; undefined when it can. */
export function missingForPair(): string | undefined {
  if (redisAvailable() && mariadbAvailable() && haproxyAvailable()) return undefined;
  return 'redis-server, mariadbd and haproxy must be installed';
}

interface Parts {
  readonly home: string;
  readonly network: TestNetwork | undefined;
  readonly redis: SentinelGroup;
  readonly mariadb: MariadbServer;
  readonly nodes: readonly ServerProcess[];
  readonly balancer: Haproxy;
}

/**
 * Everything that a pair in production has, on this machine: nodes behind HAProxy, Redis with a replica under three
 * Sentinels, MariaDB; and clients under way.
 */
export class PairWorld {
  readonly mode: ClusterMode;
  readonly redis: SentinelGroup;
  readonly mariadb: MariadbServer;
  readonly nodes: readonly ServerProcess[];
  readonly balancer: Haproxy;
  readonly producers: readonly ProducerProcess[];
  readonly patienceMs: number;
  /** Nodes that are meant to run. */
  readonly present: Set<ServerProcess>;
  readonly #parts: Parts;
  readonly #onExit: () => void;
  #prober: Prober | undefined;
  #struckAtMs = 0;

  private constructor(parts: Parts, options: PairOptions) {
    const { mode, absent = 0, producers = 2, producerPauseMs = PRODUCER_PAUSE_MS, patienceMs = PATIENCE_MS } = options;
    this.#parts = parts;
    this.mode = mode;
    this.redis = parts.redis;
    this.mariadb = parts.mariadb;
    this.nodes = parts.nodes;
    this.balancer = parts.balancer;
    this.patienceMs = patienceMs;
    this.present = new Set(parts.nodes.slice(0, parts.nodes.length - absent));
    const env = { SYNCLINE_TOKEN: TOKEN, PAUSE_MS: String(producerPauseMs) };
    this.producers = Array.from(
      { length: producers },
      (_, i) => new ProducerProcess(parts.balancer.url, { env, generation: i * GENERATIONS_PER_CLIENT, dir: parts.home }),
    );
    // Last of all: by then, what writes there has been killed.
    this.#onExit = () => rmSync(parts.home, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
    process.on('exit', this.#onExit);
  }

  /** Resolves when every partition applies what comes through the balancer. */
  static async start(options: PairOptions): Promise<PairWorld> {
    const world = new PairWorld(await startParts(options), options);
    try {
      await Promise.all([...world.present].map((node) => node.start()));
      await world.settled();
      for (const producer of world.producers) producer.start();
      world.#prober = await Prober.start({ url: world.balancer.url, token: TOKEN, partitions: PARTITIONS }, world.patienceMs);
      await Promise.all(world.producers.map((producer) => producer.sending()));
    } catch (error) {
      await world.close();
      throw error;
    }
    return world;
  }

  get prober(): Prober {
    if (this.#prober === undefined) throw new Error('nobody probes yet');
    return this.#prober;
  }

  /** Where the first Redis runs, and what it can be cut off from: everything but the first node. */
  get split(): { readonly redis: NetworkHost; readonly others: readonly string[] } {
    const { network } = this.#parts;
    const host = network?.hosts.get(FIRST_REDIS);
    if (network === undefined || host === undefined) throw new Error('all of this pair is on loopback');
    return { redis: host, others: [network.here.address] };
  }

  /** From now on it counts how long clients wait. */
  struck(): void {
    this.#struckAtMs = performance.now();
    this.prober.struck();
  }

  get struckAtMs(): number {
    return this.#struckAtMs;
  }

  /** Waits until on every partition a change was applied that was written after the strike. */
  recovered(): Promise<void> {
    return this.prober.recovered(this.patienceMs);
  }

  /** The node that leads, of a pair in standby mode: waits until there is exactly one. */
  async leader(): Promise<ServerProcess> {
    return eventually(async () => {
      const leading = await this.#leading();
      const [leader] = leading;
      if (leader === undefined || leading.length > 1) throw new Error(`${leading.length} nodes lead; ${this.#said()}`);
      return leader;
    }, this.patienceMs);
  }

  /** Sees to it that a node leads, by restarting the one that does. */
  async lead(node: ServerProcess): Promise<void> {
    const leader = await this.leader();
    if (leader === node) return;
    await leader.stop('SIGTERM');
    await leader.start();
    await this.settled();
  }

  /** Sees to it that a Redis is the primary, by a failover that nobody suffers from. */
  async preferRedis(server: RedisServer): Promise<void> {
    if ((await this.redis.master()) === server) return;
    await this.redis.promote();
    await this.settled();
  }

  /** Starts whatever does not run and heals the network, until everything is as at the start. */
  async repair(): Promise<void> {
    for (const host of this.#parts.network?.hosts.values() ?? []) host.heal();
    if (!this.mariadb.running) await this.mariadb.restart();
    for (const server of [...this.redis.servers, ...this.redis.sentinels]) if (!server.running) await server.restart();
    if (!this.balancer.running) await this.balancer.restart();
    for (const node of this.nodes) {
      if (this.present.has(node) && !node.running) await node.start();
      if (!this.present.has(node) && node.running) await node.stop();
    }
    await this.settled();
  }

  /** Resolves when the replica follows, every node is ready, the right ones lead, and the balancer knows. */
  async settled(): Promise<void> {
    await this.redis.inSync();
    await this.redis.master();
    await eventually(
      async () => {
        for (const node of this.present) if (!(await node.ready())) throw new Error(`a node is not ready; ${this.#said()}`);
        const leading = await this.#leading();
        const expected = this.mode === 'standby' ? 1 : this.present.size;
        if (leading.length !== expected) throw new Error(`${leading.length} nodes of ${expected} lead; ${this.#said()}`);
        const states = await statesOf(this.balancer);
        const wrong = this.nodes.filter((node, i) => (states[i] === 'UP') !== leading.includes(node));
        if (wrong.length > 0) throw new Error(`the balancer says ${states.join(', ')}`);
      },
      this.patienceMs,
      100,
    );
  }

  /** How many changes of the producers took effect, about. */
  async effects(): Promise<number> {
    return countDatabaseEffects(this.mariadb);
  }

  /** Lets everybody finish, and compares every row. */
  async audit(): Promise<Audit> {
    const left = await this.prober.stop(this.patienceMs);
    const finished = (await Promise.all(this.producers.map((producer) => this.#finish(producer)))).flat();
    const history = joinHistories(this.producers.map((producer) => producer.history()));
    const rows = auditRows(history, await readAuditedDatabase(this.mariadb));
    const probes = await this.prober.audit(this.mariadb);
    return {
      sent: rows.sent + probes.sent,
      applied: rows.applied + probes.applied,
      deadLetters: rows.deadLetters,
      lost: [...rows.lost, ...probes.lost],
      duplicated: [...rows.duplicated, ...probes.duplicated],
      outOfOrder: [...rows.outOfOrder, ...probes.outOfOrder],
      other: [...left, ...finished, ...rows.other, ...probes.other, ...(history.foreign ?? [])],
    };
  }

  async close(): Promise<void> {
    await this.#prober?.stop(0);
    await Promise.all([...this.producers, ...this.nodes].map((one) => one.close()));
    await closeParts(this.#parts);
    process.off('exit', this.#onExit);
    this.#onExit();
  }

  async #leading(): Promise<ServerProcess[]> {
    const answers = await Promise.all(this.nodes.map(async (node) => node.running && node.primary()));
    return this.nodes.filter((_, i) => answers[i] === true);
  }

  async #finish(producer: ProducerProcess): Promise<string[]> {
    const ended = producer.stop('SIGTERM');
    let [effects, sinceMs] = [-1, performance.now()];
    while (producer.running && performance.now() - sinceMs < this.patienceMs) {
      const now = await this.effects().catch(() => effects);
      if (now !== effects) [effects, sinceMs] = [now, performance.now()];
      await Promise.race([ended, delay(FINISH_POLL_MS)]);
    }
    if (!producer.running) return (await ended) === 0 ? [] : [`a client ended in failure: ${producer.output}`];
    process.kill(producer.pid, 'SIGUSR2');
    await delay(FINISH_POLL_MS);
    await producer.stop('SIGKILL');
    return [`nothing moves, and a client waits: ${producer.output}; ${this.#said()}`];
  }

  /** What the nodes said last, for whoever looks for a fault. */
  #said(): string {
    return this.nodes.map((node, i) => `${nameOf(i)}${node.running ? '' : ' (ended)'} said ${node.output.slice(-1000)}`).join('; ');
  }
}

/** As the balancer and the logs call a node. */
export function nameOf(index: number): string {
  return `node-${index + 1}`;
}

async function startParts(options: PairOptions): Promise<Parts> {
  const { mode, nodes: nodeCount = 2, nodeEnv, network: kind = 'loopback' } = options;
  const network = kind === 'split' ? createTestNetwork([FIRST_REDIS, FIRST_NODE]) : undefined;
  if (typeof network === 'string') throw new Error(network);
  const home = mkdtempSync(join(tmpdir(), 'syncline-pair-'));
  const here = network?.here ?? LOOPBACK;
  const parts: Partial<Parts> = {};
  try {
    const redis = await startSentinelGroup({
      args: ['--appendonly', 'yes', '--appendfsync', 'everysec', '--maxmemory-policy', 'noeviction'],
      site: here,
      firstSite: network?.hosts.get(FIRST_REDIS) ?? here,
      dir: home,
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
    await closeParts({ home, network, ...parts });
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

async function closeParts({ balancer, redis, mariadb, network }: Partial<Parts>): Promise<void> {
  await Promise.all([balancer?.close(), redis?.close(), mariadb?.close()]);
  network?.close();
}
