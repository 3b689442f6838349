import type { ClusterState } from '../../src/admin/state.ts';
import { FaultProxy } from '../../src/chaos/fault-proxy.ts';
import { countDatabaseEffects, createAuditedDatabase, readAuditedDatabase } from '../support/audited-database.ts';
import { eventually } from '../support/eventually.ts';
import { startMariadb, type MariadbServer } from '../support/mariadb-server.ts';
import { joinHistories, KEYS, ProducerProcess } from '../support/producer-process.ts';
import { startRedis, type RedisServer } from '../support/redis-server.ts';
import { auditRows } from '../support/rows-audit.ts';
import { ServerProcess } from '../support/server-process.ts';
import { faultsOf } from './run-scenario.ts';

/** Short, so that a node that is gone is succeeded within a test. */
const LEASE_MS = 1_500;
/** So long that on a machine that has much to do none ends while its holder is at work: what changes hands was given. */
export const LONG_LEASE_MS = 15_000;
const PATIENCE_MS = 60_000;
const GENERATIONS_PER_CLIENT = 100_000;

/** One server of a cluster, and a client that sends to it through a door that can be turned to another. */
export interface ClusterNode {
  readonly name: string;
  readonly server: ServerProcess;
  readonly door: FaultProxy;
  readonly client: ProducerProcess;
  /** What the server says of its cluster. */
  view(): Promise<ClusterState>;
  /** What `/health/NAME` answers. */
  health(name: 'ready' | 'primary'): Promise<boolean>;
}

/** Several servers over one Redis and one MariaDB, each under load, and an audit of every row at the end. */
export class ClusterWorld {
  readonly mode: 'standby' | 'active';
  readonly redis: RedisServer;
  readonly mariadb: MariadbServer;
  readonly nodes: ClusterNode[] = [];
  readonly #leaseMs: number;

  private constructor(mode: 'standby' | 'active', leaseMs: number, redis: RedisServer, mariadb: MariadbServer) {
    this.mode = mode;
    this.#leaseMs = leaseMs;
    this.redis = redis;
    this.mariadb = mariadb;
  }

  static async start(mode: 'standby' | 'active', names: readonly string[], leaseMs = LEASE_MS): Promise<ClusterWorld> {
    const redis = await startRedis({ args: ['--appendonly', 'yes', '--appendfsync', 'everysec'] });
    const mariadb = await startMariadb();
    await createAuditedDatabase(mariadb);
    const world = new ClusterWorld(mode, leaseMs, redis, mariadb);
    for (const name of names) await world.add(name);
    return world;
  }

  /** Starts one more server, and its client. */
  async add(name: string, env: Readonly<Record<string, string>> = {}): Promise<ClusterNode> {
    const server = await this.create(name, env);
    await server.start();
    const door = await FaultProxy.start(server.tcpPort);
    const client = new ProducerProcess(`tcp://127.0.0.1:${door.port}`, {
      generation: (this.nodes.length + 1) * GENERATIONS_PER_CLIENT,
      env: { PAUSE_MS: '20' },
    });
    client.start();
    const at = `http://127.0.0.1:${server.adminPort}`;
    const node: ClusterNode = {
      name,
      server,
      door,
      client,
      view: async () => {
        const { cluster } = await server.status();
        if (cluster === undefined) throw new Error('the server knows no cluster');
        return cluster;
      },
      health: async (path) => (await fetch(`${at}/health/${path}`)).ok,
    };
    this.nodes.push(node);
    return node;
  }

  /** A server that is not started, and has no client. */
  create(name: string, env: Readonly<Record<string, string>> = {}): Promise<ServerProcess> {
    return ServerProcess.create({
      SYNCLINE_NODE: name,
      SYNCLINE_CLUSTER_MODE: this.mode,
      SYNCLINE_QUEUE: this.redis.url,
      SYNCLINE_SINK: this.mariadb.url('shop'),
      SYNCLINE_APPLY_LEASE_MS: String(this.#leaseMs),
      ...env,
    });
  }

  /** The node that leads, once exactly one of those that run says so. */
  async leader(): Promise<ClusterNode> {
    return eventually(async () => {
      const running = this.nodes.filter(({ server }) => server.running);
      const leading = (await Promise.all(running.map(async (node) => ((await node.health('primary')) ? node : undefined)))).filter(
        (node) => node !== undefined,
      );
      if (leading.length !== 1) throw new Error(`${leading.length} nodes say that they lead${this.#said()}`);
      return leading[0]!;
    }, PATIENCE_MS);
  }

  /** Waits until rows of each of these nodes' clients are applied anew. */
  async advance(nodes: readonly ClusterNode[] = this.nodes): Promise<void> {
    for (const { client } of nodes) await client.sending();
    const generations = nodes.map(({ client }) => client.history().spooled);
    const targets = generations.map((spooled) => {
      const generation = Math.max(...spooled.keys());
      return { generation, n: spooled.get(generation)! + KEYS };
    });
    await eventually(async () => {
      for (const { generation, n } of targets) {
        const [row] = await this.mariadb.query(`SELECT COALESCE(MAX(n), 0) AS n FROM shop.audit WHERE gen = ${generation}`);
        if (Number(row?.['n']) < n) throw new Error(`generation ${generation} is at ${String(row?.['n'])} of ${n}${this.#said()}`);
      }
    }, PATIENCE_MS);
  }

  /** How many changes took effect, about. */
  effects(): Promise<number> {
    return countDatabaseEffects(this.mariadb);
  }

  /** Lets every client finish, and says what is wrong with any row; empty when nothing is. */
  async audit(): Promise<string[]> {
    const ends = await Promise.all(
      this.nodes.map(async ({ name, client }) => {
        const giveUp = setTimeout(() => void client.stop('SIGKILL'), PATIENCE_MS);
        const code = await client.stop('SIGTERM');
        clearTimeout(giveUp);
        return code === 0 ? [] : [`the client of ${name} did not end well: ${client.output}${this.#said()}`];
      }),
    );
    const history = joinHistories(this.nodes.map(({ client }) => client.history()));
    return [...ends.flat(), ...faultsOf(auditRows(history, await readAuditedDatabase(this.mariadb)))];
  }

  async close(): Promise<void> {
    for (const { client, server, door } of this.nodes) {
      await client.close();
      await server.close();
      await door.close();
    }
    await this.redis.close();
    await this.mariadb.close();
  }

  #said(): string {
    return this.nodes.map(({ name, server }) => `\n${name} said: ${server.output.slice(-2_000)}`).join('');
  }
}
