import { createHash } from 'node:crypto';
import type { Logger } from '../../src/admin/log.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { boundFaults, leftovers } from './checker/bounds.ts';
import { check } from './checker/check.ts';
import { everApplied, lettersOf } from './checker/sink-view.ts';
import { SimClient, type SimClientOptions } from './client/sim-client.ts';
import { DAMAGE_FAULTS } from './damage-faults.ts';
import { type Fault, FAULTS } from './faults.ts';
import { MARIADB_FAULTS, REDIS_FAULTS } from './server-faults.ts';
import { SimNode } from './node/sim-node.ts';
import { createServers, type Servers } from './servers.ts';
import { TABLES } from './tables.ts';
import { Host } from './world/host.ts';
import { Network } from './world/network.ts';
import { Timeline } from './world/timeline.ts';

/** How a history goes, but for its seed. */
export interface SimulationOptions {
  readonly seed: number;
  /** Faults to choose from. */
  readonly faults?: readonly Fault[];
  /** How long clients write and faults strike, virtual ms. */
  readonly activeMs?: number;
  /** What the world is made of; drawn from the seed when it is left out. */
  readonly shape?: Shape;
  /** Whether it is looked at what is still held when everything has come to rest; it is when this is left out. */
  readonly rest?: 'looked at' | 'left out';
  /** Called before anything runs. */
  readonly prepare?: (simulation: Simulation) => void;
  /** Told of everything that happens, one line each. */
  readonly trace?: (line: string) => void;
}

export interface Shape {
  readonly partitions: number;
  /** Threads of a node that apply. */
  readonly threads?: number;
  readonly clients: readonly ClientShape[];
}

/** How a client behaves; see `SimClientOptions`. */
export type ClientShape = Pick<SimClientOptions, 'doors' | 'keyCount' | 'pauseMs' | 'poisonShare' | 'familyShare' | 'script'>;

/** How a history went. */
export interface History {
  readonly seed: number;
  /** What is wrong; empty when every promise was kept. */
  readonly violations: readonly string[];
  readonly virtualMs: number;
  readonly events: number;
  readonly changes: number;
  readonly faults: number;
  /** Equal for equal histories. */
  readonly digest: string;
}

export const ALL_FAULTS: readonly Fault[] = [...FAULTS, ...REDIS_FAULTS, ...MARIADB_FAULTS, ...DAMAGE_FAULTS];

const DEFAULT_ACTIVE_MS = 30_000;
/** After the faults have ceased, everything must be applied within this time. */
const SETTLE_MS = 120_000;
/** When everything is applied, what was begun comes to its end within this time. */
const REST_MS = 20_000;
const BOUNDS_EVERY_MS = 1_000;
/** How long somebody takes to look after a client that has stopped. */
const OPERATOR_MS = 2_000;
const KEYS_APART = 1_000_000;

function drawShape(random: SeededRandom): Shape {
  const partitions = random.pick([1, 2, 4]);
  const clients = Array.from({ length: 1 + random.below(3) }, () => ({
    doors: random.pick([['node'], ['node', 'rival'], ['node', 'rival', 'stranger']]),
    keyCount: random.pick([1, 3, 10]),
    pauseMs: random.pick([100, 300, 1_000]),
    poisonShare: random.pick([0, 0, 0.05, 0.3]),
    familyShare: random.pick([0, 0, 0.1, 0.6]),
  }));
  return { partitions, clients };
}

/** One history: a world of its own, its clients, its faults, and what became of it. */
export class Simulation {
  readonly timeline = new Timeline();
  readonly network: Network;
  readonly hosts: readonly Host[];
  readonly clients: readonly SimClient[];
  readonly node: SimNode;
  /** A second node, which is there only when a fault starts it. */
  readonly rival: SimNode;
  /** A node that was configured otherwise; likewise. */
  readonly stranger: SimNode;
  readonly servers: Servers;
  /** Pairs of hosts that talk to each other. */
  readonly paths: readonly (readonly [string, string])[];
  readonly violations: string[] = [];
  readonly #options: SimulationOptions;
  readonly #partitions: number;
  readonly #random: SeededRandom;
  readonly #digest = createHash('sha256');
  readonly #undo = new Set<() => void>();
  #faultCount = 0;

  constructor(options: SimulationOptions) {
    this.#options = options;
    const random = new SeededRandom(options.seed);
    // What one part draws must not depend on how often another does.
    const fork = () => new SeededRandom(random.below(2 ** 32));
    this.#random = fork();
    this.network = new Network(this.timeline, fork());
    const host = (name: string) => new Host(name, this.timeline);
    const [node, rival, stranger] = [host('node'), host('rival'), host('stranger')];
    const [redis, mariadb] = [host('redis'), host('mariadb')];
    this.servers = createServers({ redis, mariadb, network: this.network, random: fork(), fault: (message) => this.violate(message) });
    const { partitions, threads, clients } = options.shape ?? drawShape(random);
    this.#partitions = partitions;
    const nodeOn = (host: Host, partitions: number) =>
      new SimNode({
        host,
        network: this.network,
        random: fork(),
        backends: this.servers.backends,
        partitions,
        threads,
        logger: this.#logger(host.name),
        fault: (message) => this.violate(message),
      });
    this.node = nodeOn(node, partitions);
    this.rival = nodeOn(rival, partitions);
    this.stranger = nodeOn(stranger, partitions * 2);
    this.clients = clients.map(
      (client, i) =>
        new SimClient({
          ...client,
          host: host(`client-${i + 1}`),
          network: this.network,
          random: fork(),
          witness: {
            settled: (...args) => this.#settled(...args),
            regressed: (client) => this.#regressed(client),
            fault: (message) => this.violate(message),
          },
          firstKey: (i + 1) * KEYS_APART,
        }),
    );
    this.hosts = [node, rival, stranger, redis, mariadb, ...this.clients.map((client) => client.host)];
    const ofNodes = ['node', 'rival'].flatMap((name) => [[name, 'redis'] as const, [name, 'mariadb'] as const]);
    this.paths = [...ofNodes, ...this.clients.map((client) => [client.host.name, 'node'] as const)];
  }

  async run(): Promise<History> {
    const { activeMs = DEFAULT_ACTIVE_MS, faults = ALL_FAULTS } = this.#options;
    this.#options.prepare?.(this);
    this.servers.redis.boot();
    this.servers.mariadb.boot();
    this.node.boot();
    for (const client of this.clients) client.boot();
    this.#planFaults(faults, activeMs);
    this.#watchBounds();
    // Clients with a script may be done before.
    await this.timeline.run(activeMs, () => this.violations.length > 0 || this.clients.every((client) => client.isDone));
    if (this.violations.length === 0) await this.#settleDown();
    return {
      seed: this.#options.seed,
      violations: this.violations,
      virtualMs: this.timeline.nowMs,
      events: this.timeline.eventCount,
      changes: this.clients
        .flatMap(({ ledger }) => [...ledger.batches.values()].flat())
        .reduce((sum, { changes }) => sum + changes.length, 0),
      faults: this.#faultCount,
      digest: this.#digest.digest('hex').slice(0, 16),
    };
  }

  violate(message: string): void {
    this.#note(`VIOLATION ${message}`);
    this.violations.push(message);
  }

  /** Does something later, whatever happens to hosts. */
  readonly at = (delayMs: number, run: () => void): void => {
    this.timeline.at(delayMs, run);
  };

  /** No more faults: everything comes back, the clients finish, and what came of it is looked at. */
  async #settleDown(): Promise<void> {
    this.#note('faults cease');
    for (const undo of [...this.#undo]) undo();
    this.network.mendAll();
    for (const host of this.hosts) host.resume();
    this.rival.host.crash();
    this.stranger.host.crash();
    if (!this.servers.redis.host.isUp) this.servers.redis.boot();
    if (!this.servers.mariadb.host.isUp) this.servers.mariadb.boot();
    if (!this.node.host.isUp) this.node.boot();
    for (const client of this.clients) {
      if (!client.host.isUp) client.boot();
      client.finish();
    }
    const isDone = () => this.violations.length > 0 || this.clients.every((client) => client.isDone);
    await this.#watchdog(isDone);
    if (this.violations.length > 0) return;
    if (!isDone()) {
      const waiting = this.clients
        .filter((client) => !client.isDone)
        .map((client) => `${client.host.name} ${JSON.stringify(client.status())}`);
      return this.violate(`not everything is applied ${SETTLE_MS} ms after the faults ceased: ${waiting.join('; ')}`);
    }
    if (this.#options.rest !== 'left out') {
      await this.timeline.run(this.timeline.nowMs + REST_MS, () => this.violations.length > 0);
      for (const fault of leftovers(this, this.#partitions)) this.violate(fault);
    }
    const ledgers = this.clients.map(({ ledger }) => ledger);
    for (const fault of check({ ledgers, sink: this.servers.view, tables: TABLES, journals: ['event'] })) this.violate(fault);
  }

  /** For as long as the history lasts. */
  #watchBounds(): void {
    this.timeline.at(BOUNDS_EVERY_MS, () => {
      for (const fault of boundFaults(this)) this.violate(fault);
      this.#watchBounds();
    });
  }

  /** A node that refused to start in the middle of a fault is started again, as by its supervisor. */
  async #watchdog(isDone: () => boolean): Promise<void> {
    const untilMs = this.timeline.nowMs + SETTLE_MS;
    while (!isDone() && this.timeline.nowMs < untilMs) {
      if (!this.node.host.isUp) this.node.boot();
      await this.timeline.run(Math.min(untilMs, this.timeline.nowMs + 1_000), isDone);
    }
  }

  #planFaults(faults: readonly Fault[], activeMs: number): void {
    const random = this.#random;
    if (faults.length === 0) return;
    const total = faults.reduce((sum, { weight }) => sum + weight, 0);
    const meanPauseMs = random.pick([1_000, 3_000, 8_000]);
    for (let atMs = random.fraction() * meanPauseMs; atMs < activeMs; atMs += random.fraction() * 2 * meanPauseMs) {
      let left = random.fraction() * total;
      const fault = faults.find(({ weight }) => (left -= weight) < 0) ?? faults[0]!;
      const lastsMs = random.fraction() ** 2 * fault.maxMs;
      const its = new SeededRandom(random.below(2 ** 32));
      this.timeline.at(atMs, () => this.#strike(fault, its, lastsMs));
    }
  }

  #strike(fault: Fault, random: SeededRandom, lastsMs: number): void {
    this.#note(`fault: ${fault.name} (${Math.round(lastsMs)} ms)`);
    this.#faultCount++;
    const undo = fault.strike(this, random);
    if (undo === undefined) return;
    const once = () => {
      if (!this.#undo.delete(once)) return;
      this.#note(`healed: ${fault.name}`);
      undo();
    };
    this.#undo.add(once);
    this.timeline.at(lastsMs, once);
  }

  /** APPLIED is told, and a frame forgotten, only where the database has it and the client knows of every dead letter in it. */
  #settled(client: SimClient, stream: string, partition: number, seq: number, how: string): void {
    const watermark = everApplied(this.servers.view, stream, partition);
    if (seq > watermark)
      return this.violate(`${client.host.name} ${how} ${stream} ${partition} ${seq} as applied, and the database is at ${watermark}`);
    for (const letter of lettersOf(this.servers.view)) {
      if (letter.stream !== stream || letter.partition !== partition || letter.seq > seq) continue;
      const batch = client.ledger.byPlace.get(`${stream} ${partition} ${letter.seq}`);
      if (batch !== undefined && !batch.rejected.has(letter.index))
        return this.violate(
          `${client.host.name} ${how} ${stream} ${partition} ${seq} as applied, and not that ${letter.seq} is a dead letter`,
        );
    }
  }

  /** A client has stopped because the database lacks what it was told is applied: somebody looks, and lets it go on. */
  #regressed(client: SimClient): void {
    if (!this.servers.view.isRestored) return this.violate(`${client.host.name} was told that the database lacks what it has`);
    this.#note(`${client.host.name} has stopped: the database lacks what was applied`);
    this.timeline.at(OPERATOR_MS, () => {
      if (!client.host.isUp) return;
      client.host.crash();
      client.boot('new-stream');
    });
  }

  #note(text: string): void {
    const line = `${this.timeline.nowMs.toFixed(3).padStart(11)}  ${text}`;
    this.#digest.update(line);
    this.#options.trace?.(line);
  }

  #logger(name: string): Logger {
    const write = (level: string) => (fields: object, message: string) => {
      // Ids and places in a line tell two histories apart that differ anywhere.
      this.#note(`${name} ${level}: ${message} ${JSON.stringify(fields)}`);
    };
    const logger: Logger = { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error'), child: () => logger };
    return logger;
  }
}

/** Runs the history of a seed. */
export function simulate(options: SimulationOptions): Promise<History> {
  return new Simulation(options).run();
}
