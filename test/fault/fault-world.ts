import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { countDatabaseEffects, createAuditedDatabase, readAuditedDatabase } from '../support/audited-database.ts';
import { countEffects, createAuditedFile, readAuditedFile, type AuditedRows } from '../support/audited-file.ts';
import { eventually } from '../support/eventually.ts';
import { FaultProxy } from '../../src/chaos/fault-proxy.ts';
import { mariadbAvailable, startMariadb, type MariadbServer } from '../support/mariadb-server.ts';
import { joinHistories, KEYS, ProducerProcess } from '../support/producer-process.ts';
import { redisAvailable, startRedis, type RedisServer } from '../support/redis-server.ts';
import { auditRows, type Audit } from '../support/rows-audit.ts';
import { ServerProcess } from '../support/server-process.ts';
import type { Installation } from './failpoints.ts';

/** Redis, MariaDB and the ways to them. */
export interface Services {
  readonly redis: RedisServer;
  readonly mariadb: MariadbServer;
  readonly toRedis: FaultProxy;
  readonly toMariadb: FaultProxy;
}

export interface WorldOptions {
  /** Folder of Redis, instead of one of its own. */
  readonly redisDir?: string;
  readonly redisArgs?: readonly string[];
  /** Folder of MariaDB, instead of one of its own. */
  readonly mariadbDir?: string;
  /** Folder of the client's spool, instead of one of its own. */
  readonly spool?: string;
  /** What clients speak; `tcps` needs variables that give both sides their certificates. `tcp` when it is left out. */
  readonly scheme?: 'tcp' | 'tcps';
  /** How many clients there are beside the one that faults strike; none when it is left out. */
  readonly bystanders?: number;
  /** Variables of every server, and of the clients. */
  readonly serverEnv?: Readonly<Record<string, string>>;
  readonly clientEnv?: Readonly<Record<string, string>>;
  /** How long nothing may move. */
  readonly patienceMs?: number;
}

/** Short, so that a node that stands still is succeeded within a test. */
export const LEASE_MS = 1_000;
const PATIENCE_MS = 30_000;
const GENERATIONS_PER_CLIENT = 100_000;
const FINISH_POLL_MS = 250;

/** Why an installation cannot be tested here; undefined when it can. */
export function missingFor(installation: Installation): string | undefined {
  if (installation === 'embedded' || (redisAvailable() && mariadbAvailable())) return undefined;
  return 'redis-server and mariadbd must be installed';
}

/** An installation under load: a client with a spool, a way to the server, the server, and what is behind it. */
export class FaultWorld {
  readonly installation: Installation;
  /** The way from the client to the server. */
  readonly door: FaultProxy;
  /** The client that faults strike. */
  readonly producer: ProducerProcess;
  /** Others beside it, which are left alone. */
  readonly bystanders: readonly ProducerProcess[];
  /** Where processes with failpoints write which they have visited. */
  readonly failpointLog = join(mkdtempSync(join(tmpdir(), 'syncline-failpoints-')), 'log');
  server: ServerProcess;
  /** How long nothing may move. */
  readonly patienceMs: number;
  readonly #options: WorldOptions;
  readonly #services: Services | undefined;
  readonly #servers: ServerProcess[] = [];
  #struckAtMs = 0;
  longestWaitMs = 0;
  /** Whether a server that ends by itself is started again. */
  supervised = false;
  /** How often that was done. */
  restartCount = 0;
  /** Whether the client was given an old copy of its spool. */
  spoolRestored = false;
  /** Names of changes that may take effect a second time, because such a copy held them. */
  readonly repeatable = new Set<string>();

  private constructor(
    installation: Installation,
    services: Services | undefined,
    server: ServerProcess,
    door: FaultProxy,
    options: WorldOptions,
  ) {
    this.installation = installation;
    this.#services = services;
    this.server = server;
    this.#servers.push(server);
    this.door = door;
    this.#options = options;
    this.patienceMs = options.patienceMs ?? PATIENCE_MS;
    const { scheme = 'tcp', spool, clientEnv: env, bystanders = 0 } = options;
    const url = `${scheme}://127.0.0.1:${door.port}`;
    this.producer = new ProducerProcess(url, { spool, env });
    this.bystanders = Array.from(
      { length: bystanders },
      (_, i) => new ProducerProcess(url, { env, generation: (i + 1) * GENERATIONS_PER_CLIENT }),
    );
  }

  /** Resolves when rows are applied. */
  static async start(installation: Installation, options: WorldOptions = {}): Promise<FaultWorld> {
    const services = installation === 'services' ? await startServices(options) : undefined;
    const server = await ServerProcess.create(serverEnv(services, options));
    if (services === undefined) createAuditedFile(join(server.data, 'data.db'));
    const world = new FaultWorld(installation, services, server, await FaultProxy.start(server.tcpPort), options);
    try {
      await server.start();
      for (const client of world.clients) client.start();
      world.struck();
      await world.advance();
    } catch (error) {
      await world.close();
      throw error;
    }
    world.longestWaitMs = 0;
    return world;
  }

  get clients(): readonly ProducerProcess[] {
    return [this.producer, ...this.bystanders];
  }

  get services(): Services {
    if (this.#services === undefined) throw new Error('the embedded installation has no services');
    return this.#services;
  }

  /** Starts another server on the same queue and sink and sends the client there; the one before is left as it is. */
  async replaceServer(): Promise<void> {
    const other =
      this.#servers.find((server) => server !== this.server) ?? (await ServerProcess.create(serverEnv(this.services, this.#options)));
    if (!this.#servers.includes(other)) this.#servers.push(other);
    await other.start();
    this.server = other;
    this.door.retarget(other.tcpPort);
    this.door.reset();
  }

  /** Ends the server, starts it again with more variables for this life, and waits until the client has come back. */
  async renewServer(env: Readonly<Record<string, string>> = {}): Promise<void> {
    await this.server.stop('SIGKILL');
    const before = this.server.output.length;
    this.server.launch(env);
    await this.server.answers();
    await eventually(() => {
      if (!this.server.output.slice(before).includes('stream opened')) throw new Error('no client has come back');
    }, this.patienceMs);
  }

  /** From now on it is waited until rows are applied again. */
  struck(): void {
    this.#struckAtMs = performance.now();
  }

  /** Waits until rows are applied again: no fault is injected into a system that stands still. */
  async advance(): Promise<void> {
    // What is applied may be what a client left that was killed: the new one must have begun.
    await this.producer.sending();
    const before = await this.effects();
    await eventually(async () => {
      if (!this.producer.running) return;
      await this.#restarted();
      const now = await this.effects();
      if (now < before + KEYS) throw new Error(`${now - before} rows were applied; the server said ${this.server.output.slice(-1500)}`);
    }, this.patienceMs);
    if (!this.producer.running) throw new Error(`the producer ended: ${this.producer.output}`);
    this.longestWaitMs = Math.max(this.longestWaitMs, performance.now() - this.#struckAtMs);
  }

  /** Starts a server again that has ended by itself, where that may happen. */
  async supervise(): Promise<void> {
    if (this.server.running || !this.supervised) return;
    this.restartCount++;
    await this.server.start();
  }

  /** How many changes took effect, about. */
  async effects(): Promise<number> {
    return this.#services === undefined ? countEffects(join(this.server.data, 'data.db')) : countDatabaseEffects(this.#services.mariadb);
  }

  /** Lets the clients finish, and checks every row of every generation. */
  async audit(): Promise<Audit> {
    const finished = (await Promise.all(this.clients.map((client) => this.#finish(client)))).flat();
    const history = joinHistories(this.clients.map((client) => client.history()));
    const audit = auditRows(history, await this.#read(), this.repeatable);
    const foreign = this.spoolRestored ? [] : (history.foreign ?? []);
    return { ...audit, other: [...audit.other, ...finished, ...foreign] };
  }

  async close(): Promise<void> {
    for (const client of this.clients) await client.close();
    for (const server of this.#servers) await server.close();
    await this.door.close();
    rmSync(dirname(this.failpointLog), { recursive: true, force: true });
    if (this.#services === undefined) return;
    const { redis, mariadb, toRedis, toMariadb } = this.#services;
    for (const one of [toRedis, toMariadb, redis, mariadb]) await one.close();
  }

  /** Lets a client flush; what is wrong when it cannot. */
  async #finish(client: ProducerProcess): Promise<string[]> {
    const ended = client.stop('SIGTERM');
    let [effects, sinceMs] = [-1, performance.now()];
    while (client.running && performance.now() - sinceMs < this.patienceMs) {
      await this.#restarted().catch(() => {});
      const now = await this.effects().catch(() => effects);
      if (now !== effects) [effects, sinceMs] = [now, performance.now()];
      await Promise.race([ended, delay(FINISH_POLL_MS)]);
    }
    if (!client.running) return (await ended) === 0 ? [] : [`the client ended in failure: ${client.output}`];
    process.kill(client.pid, 'SIGUSR2');
    const status = this.server.running ? JSON.stringify(await this.server.status()) : 'it has ended';
    await client.stop('SIGKILL');
    return [`nothing moves, and the client waits: ${client.output}; the server: ${status}; it said ${this.server.output.slice(-1500)}`];
  }

  async #restarted(): Promise<void> {
    if (!this.server.running && !this.supervised) throw new Error(`the server ended by itself: ${this.server.output.slice(-1500)}`);
    await this.supervise();
  }

  async #read(): Promise<AuditedRows> {
    return this.#services === undefined ? readAuditedFile(join(this.server.data, 'data.db')) : readAuditedDatabase(this.#services.mariadb);
  }
}

async function startServices({ redisDir, redisArgs = [], mariadbDir }: WorldOptions): Promise<Services> {
  const redis = await startRedis({
    args: ['--appendonly', 'yes', '--appendfsync', 'everysec', ...redisArgs],
    ...(redisDir === undefined ? {} : { dir: redisDir }),
  });
  const mariadb = await startMariadb(mariadbDir === undefined ? {} : { dir: mariadbDir });
  await createAuditedDatabase(mariadb);
  return { redis, mariadb, toRedis: await FaultProxy.start(redis.port), toMariadb: await FaultProxy.start(mariadb.port) };
}

function serverEnv(services: Services | undefined, { serverEnv: env = {} }: WorldOptions): Record<string, string> {
  if (services === undefined) return env;
  const { toRedis, toMariadb } = services;
  return {
    SYNCLINE_QUEUE: `redis://127.0.0.1:${toRedis.port}`,
    SYNCLINE_SINK: `mysql://root@127.0.0.1:${toMariadb.port}/shop`,
    SYNCLINE_APPLY_LEASE_MS: String(LEASE_MS),
    ...env,
  };
}
