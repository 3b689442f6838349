import { rmSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { countDatabaseEffects, readAuditedDatabase } from '../support/audited-database.ts';
import { eventually } from '../support/eventually.ts';
import type { Haproxy } from '../support/haproxy.ts';
import type { MariadbServer } from '../support/mariadb-server.ts';
import { joinHistories, ProducerProcess } from '../support/producer-process.ts';
import type { SentinelGroup } from '../support/redis-sentinel.ts';
import type { RedisServer } from '../support/redis-server.ts';
import { auditRows, type Audit } from '../support/rows-audit.ts';
import type { ServerProcess } from '../support/server-process.ts';
import type { NetworkHost } from '../support/test-network.ts';
import { statesOf } from './balancer.ts';
import {
  closePairParts,
  FIRST_REDIS,
  nameOf,
  startPairParts,
  TOKEN,
  type ClusterMode,
  type PairOptions,
  type PairParts,
} from './pair-parts.ts';
import { Prober } from './prober.ts';

const PARTITIONS = 16;
const PATIENCE_MS = 60_000;
const PRODUCER_PAUSE_MS = 50;
const FINISH_POLL_MS = 250;
const SAID_CHARACTERS = 4_000;
const GENERATIONS_PER_CLIENT = 100_000;

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
  readonly #parts: PairParts;
  readonly #onExit: () => void;
  #prober: Prober | undefined;
  #struckAtMs = 0;

  private constructor(parts: PairParts, options: PairOptions) {
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
    const world = new PairWorld(await startPairParts(options), options);
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

  /** What whoever stood still for longest went through, and what the nodes said last: for whoever looks for a fault. */
  describe(): string {
    return `${this.prober.describeLongest()}; ${this.#said()}`;
  }

  async close(): Promise<void> {
    await this.#prober?.stop(0);
    await Promise.all([...this.producers, ...this.nodes].map((one) => one.close()));
    await closePairParts(this.#parts);
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

  #said(): string {
    return this.nodes
      .map((node, i) => `${nameOf(i)}${node.running ? '' : ' (ended)'} said ${node.output.slice(-SAID_CHARACTERS)}`)
      .join('; ');
  }
}
