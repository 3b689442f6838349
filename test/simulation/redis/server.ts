import type { Clock } from '../../../src/core/clock.ts';
import type { SeededRandom } from '../../support/seeded-random.ts';
import type { Host } from '../world/host.ts';
import type { Network } from '../world/network.ts';
import type { Wire } from '../world/wire.ts';
import { AppendOnlyFile, type Persistence } from './append-only-file.ts';
import { Channels, type Client } from './channels.ts';
import { ClusterGate } from './cluster/gate.ts';
import { ClusterMember, type ClusterOptions } from './cluster/member.ts';
import { migrate } from './cluster/migration.ts';
import { ServerConnection } from './connection.ts';
import { Engine, type EngineSettings } from './engine.ts';
import { LATER, type Reply } from './replies.ts';
import { Replication } from './replication.ts';
import { Store, type EvictionPolicy } from './store.ts';

export interface SimRedisOptions {
  /** The name under which it listens; its host's name when it is left out. */
  readonly service?: string;
  /**
   * When what was written reaches the disk: `always` before it is answered, `everysec` about once a second, `no` within half
   * a minute, as the kernel likes. `off`: there is no file.
   */
  readonly persistence?: Persistence;
  /** How long the disk may take to sync, with `everysec`. */
  readonly maxSyncMs?: number;
  readonly maxMemory?: number;
  readonly policy?: EvictionPolicy;
  /** How many of the last writes can be taken back, at least. */
  readonly historyLimit?: number;
  /** The cluster that it is a node of. */
  readonly cluster?: ClusterOptions;
}

/** How a server dies: its process, with what it held back from the file; its process and the file; or the machine, with what no disk holds yet. */
export type Death = 'process' | 'file-lost' | 'power-loss';

const DEFAULT_HISTORY = 4096;
const DEFAULT_MAX_SYNC_MS = 50;

/**
 * A Redis 7.0 that runs on a host of the simulation: a primary, with or without replicas, a replica of another, or a node of
 * a cluster.
 *
 * down ──boot──► loading ──► serving; a pause of the host holds everything back; kill or a crash of the host ──► down.
 */
export class SimRedis {
  readonly host: Host;
  readonly service: string;
  readonly store: Store;
  readonly cluster: ClusterMember | undefined;
  readonly #network: Network;
  readonly #random: SeededRandom;
  readonly #persistence: Persistence;
  readonly #file: AppendOnlyFile;
  readonly #engine: Engine;
  readonly #replication: Replication;
  readonly #settings: EngineSettings;
  readonly #connections = new Set<ServerConnection>();
  /** Carries out what clients publish, when it likes; at once when there is none. */
  onPublish: ((publish: () => void) => void) | undefined;
  #clock: Clock | undefined;
  /** It hands a key over, and does nothing else. */
  #isBusy = false;
  /** How long former processes have lived, ms: the time of writes goes on with the next process. */
  #livedMs = 0;
  #isWatching = false;

  constructor(host: Host, network: Network, random: SeededRandom, options: SimRedisOptions = {}) {
    const { service = host.name, persistence = 'everysec', maxSyncMs = DEFAULT_MAX_SYNC_MS } = options;
    const { maxMemory = 0, policy = 'noeviction', historyLimit = DEFAULT_HISTORY } = options;
    this.host = host;
    this.service = service;
    this.#network = network;
    this.#random = random;
    this.#persistence = persistence;
    this.#file = new AppendOnlyFile(persistence, random, maxSyncMs);
    this.store = new Store(() => this.#clock!.wallMs(), random, historyLimit);
    this.#settings = {
      maxMemory,
      policy,
      role: 'master',
      saves: 'succeed',
      minReplicas: 0,
      maxReplicaLagS: 10,
      backlogBytes: 1024 * 1024,
      staleData: 'served',
      loading: 'no',
      appendOnly: persistence === 'off' ? 'no' : 'yes',
      runId: '',
    };
    const channels = new Channels();
    this.#replication = new Replication({
      host,
      network,
      random,
      channels,
      store: this.store,
      settings: this.#settings,
      clock: () => this.#clock!,
      commit: () => this.#commit(),
    });
    const { cluster } = options;
    const member =
      cluster &&
      new ClusterMember({
        ...{ host, network, random, channels, store: this.store, replication: this.#replication, options: cluster },
        commit: () => this.#commit(),
        isBusy: () => this.#isBusy,
      });
    this.cluster = member;
    this.#engine = new Engine(this.store, this.#settings, {
      channels,
      replication: this.#replication,
      cluster: member && new ClusterGate(member, this.store, (args, client) => this.#migrate(args, client)),
      killClients: (kind, except) => this.#killClients(kind, except),
    });
  }

  get runId(): string {
    return this.#settings.runId;
  }

  get isServing(): boolean {
    return this.host.isUp && !this.host.isPaused && this.#settings.loading === 'no';
  }

  /** Starts the process; for `loadingMs` it answers commands on data with LOADING. */
  boot(loadingMs = 0): void {
    const clock = this.host.boot();
    this.#clock = clock;
    this.host.onCrash.add(() => this.#died(clock));
    for (const connection of [...this.#connections]) this.#forget(connection);
    this.#settings.role = 'master';
    this.#settings.saves = 'succeed';
    this.#startAfresh();
    this.#network.listen(this.host, this.service, (wire) => this.#accept(wire));
    this.#settings.loading = loadingMs > 0 ? 'yes' : 'no';
    this.#isBusy = false;
    if (loadingMs === 0) return this.cluster?.start(clock);
    this.cluster?.ended();
    clock.setTimer(loadingMs, () => {
      this.#settings.loading = 'no';
      this.cluster?.start(clock);
    });
  }

  /** Ends the process as `how` says, if there is one; a new {@link boot} finds what is left of the data. */
  kill(how: Death): void {
    this.host.crash();
    if (how === 'file-lost') this.store.wipe();
    if (how !== 'power-loss') return;
    // A random part of what was not forced to the disk may be there nevertheless.
    this.store.rollBack(this.#random.below(this.store.writesSince(this.#file.durableMs) + 1));
    this.#file.ended(this.#nowMs, 'machine');
  }

  /** Removes all data, as FLUSHALL does. */
  flushAll(): void {
    this.store.clear();
    this.#commit();
  }

  /**
   * Promotion of a replica that lagged behind: the data is as it was `writes` writes ago, all connections break, and the
   * scripts are unknown. A write is a command, a script, or the end of a key that expired. Gives how many were lost.
   */
  rollBack(writes: number): number {
    const lost = this.store.rollBack(writes);
    this.#startAfresh();
    for (const connection of [...this.#connections]) connection.break();
    return lost;
  }

  setMaxMemory(bytes: number): void {
    this.#settings.maxMemory = bytes;
  }

  setPolicy(policy: EvictionPolicy): void {
    this.#settings.policy = policy;
  }

  /** A replica refuses writes: READONLY. */
  setRole(role: 'master' | 'replica'): void {
    this.#settings.role = role;
  }

  /** While it loads, commands on data are answered with LOADING. */
  setLoading(loading: 'no' | 'yes'): void {
    this.#settings.loading = loading;
  }

  /** While saving fails, writes are refused: MISCONF. */
  setSaves(saves: 'succeed' | 'fail'): void {
    this.#settings.saves = saves;
  }

  /** Writes are refused with fewer replicas than these: NOREPLICAS. */
  setMinReplicas(count: number): void {
    this.#settings.minReplicas = count;
  }

  /** Executes one command as over a connection, now; `client` is the connection that it came over, if any. */
  execute(args: readonly string[], client?: Client): Reply {
    if (this.onPublish !== undefined && client !== undefined && args[0]?.toUpperCase() === 'PUBLISH') {
      this.onPublish(() => void this.execute(args));
      return 0;
    }
    const reply = this.#engine.execute(args, client);
    this.#commit();
    if (client !== undefined && this.#engine.hasRun) this.#replication.executed(client);
    return reply;
  }

  #startAfresh(): void {
    this.#settings.runId = Array.from({ length: 40 }, () => this.#random.below(16).toString(16)).join('');
    this.#engine.forgetScripts();
    this.#replication.start(this.runId);
  }

  #accept(wire: Wire): void {
    const connection = new ServerConnection({
      wire,
      execute: (args, client) => this.execute(args, client),
      isHeld: () => this.#isBusy,
      onEnd: () => this.#forget(connection),
    });
    this.#connections.add(connection);
  }

  #forget(connection: ServerConnection): void {
    this.#connections.delete(connection);
    this.#engine.channels.drop(connection);
    this.#replication.drop(connection);
  }

  #migrate(args: readonly string[], client: Client): Reply {
    const { host, store } = this;
    const parts = { host, store, network: this.#network, clock: () => this.#clock!, commit: () => this.#commit() };
    const begun = migrate(args, parts, (reply) => {
      this.#isBusy = false;
      client.answer(reply);
      this.cluster!.goOn();
      for (const connection of [...this.#connections]) connection.goOn();
    });
    if (begun !== 'begun') return begun;
    this.#isBusy = true;
    return LATER;
  }

  /** Gives how many it ended. */
  #killClients(kind: 'normal' | 'pubsub', except: Client | undefined): number {
    const isMeant = (connection: ServerConnection) =>
      connection !== except &&
      !this.#replication.isReplica(connection) &&
      this.#engine.channels.isSubscribed(connection) === (kind === 'pubsub');
    const meant = [...this.#connections].filter(isMeant);
    for (const connection of meant) connection.end();
    return meant.length;
  }

  /** The process is gone, and with it what it had not handed to the kernel. */
  #died(clock: Clock): void {
    this.#replication.ended();
    this.store.rollBack(this.store.writesSince(this.#file.writtenMs));
    if (this.#persistence === 'off') this.store.wipe();
    this.#livedMs += clock.monotonicMs();
    this.#clock = undefined;
    this.#isWatching = false;
    this.#file.ended(this.#nowMs, 'process');
  }

  #commit(): void {
    const nowMs = this.#nowMs;
    this.#file.advance(nowMs);
    this.#replication.flush();
    if (!this.store.commit(nowMs)) return;
    this.#file.wrote(nowMs);
    this.store.forget(this.#file.durableMs);
    this.#watchFile();
  }

  /** By a timer, so that nothing gets on while the process is paused. */
  #watchFile(): void {
    const { dueMs } = this.#file;
    if (dueMs === undefined || this.#isWatching) return;
    this.#isWatching = true;
    this.#clock!.setTimer(dueMs - this.#nowMs, () => {
      this.#isWatching = false;
      this.#file.advance(this.#nowMs);
      this.#watchFile();
    });
  }

  get #nowMs(): number {
    return this.#livedMs + (this.#clock?.monotonicMs() ?? 0);
  }
}
