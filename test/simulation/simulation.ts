import { createHash, type Hash } from 'node:crypto';
import type { Logger } from '../../src/admin/log.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { Balancer } from './balancer.ts';
import { Acknowledged } from './checker/acknowledged.ts';
import { leftovers } from './checker/bounds.ts';
import { check } from './checker/check.ts';
import { Stored } from './checker/stored.ts';
import { watchHistory } from './checker/watch-history.ts';
import { KeySpace } from './client/key-space.ts';
import { SimClient, type SimClientOptions } from './client/sim-client.ts';
import { Course } from './course.ts';
import { faultsFor } from './faults-for.ts';
import type { Fault } from './faults.ts';
import { ALONE, drawInstallation, replicasOf, type Installation } from './installation.ts';
import { SimNode, type SimNodeOptions } from './node/sim-node.ts';
import { pathsOf } from './paths.ts';
import { createServers, type Servers } from './servers.ts';
import { TABLES } from './tables.ts';
import { Troubles } from './troubles.ts';
import { Host } from './world/host.ts';
import { Network } from './world/network.ts';
import { Timeline } from './world/timeline.ts';

/** How a history goes, but for its seed. */
export interface SimulationOptions {
  readonly seed: number;
  /** Faults to choose from; all that the installation has room for when they are left out. */
  readonly faults?: readonly Fault[];
  /**
   * How long clients write and faults strike without a break, virtual ms. When it is left out, a history is a whole one:
   * at least ten minutes with calm and rushes, 200 batches and ten faults.
   */
  readonly activeMs?: number;
  /** What the world is made of; drawn from the seed when it is left out. */
  readonly shape?: Shape;
  /** What it runs on; drawn from the seed when it is left out, and one node where there is a shape. */
  readonly installation?: Installation;
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
  /** Which share of the keys lies in partition 0 whatever their hash. */
  readonly hotShare: number;
  readonly clients: readonly ClientShape[];
}

/** How a client behaves; see `SimClientOptions`. */
export type ClientShape = Pick<SimClientOptions, 'keyCount' | 'poisonShare' | 'familyShare' | 'script'> & {
  /** What it connects to, each time one of them: the installation for `node`, or a node that does not belong to it. */
  readonly doors: readonly string[];
  /** Mean time between two writes in a rush. */
  readonly pauseMs: number;
};

/** How a history went. */
export interface History {
  readonly seed: number;
  /** What is wrong; empty when every promise was kept. */
  readonly violations: readonly string[];
  readonly virtualMs: number;
  readonly events: number;
  readonly installation: Installation;
  readonly partitions: number;
  readonly batches: number;
  readonly changes: number;
  readonly faults: number;
  /** Equal for equal histories. */
  readonly digest: string;
}

/** What a whole history has at least. */
export const WHOLE = { activeMs: 600_000, batches: 200, faults: 10, partitions: 4 } as const;
/** Which share of the batches the rushes are to bring, about; some come in calm times, and some rushes are cut short by faults. */
const RUSHED_SHARE = 0.75;
/** A rush that makes up for batches that are missing. */
const EXTRA_RUSH_MS = 2_000;
/** Whoever writes nothing in so long has come to a standstill, which the time to settle judges. */
const MAX_EXTRA_MS = 300_000;
/** After the faults have ceased, everything must be applied within this time. */
const SETTLE_MS = 120_000;
/** When everything is applied, what was begun comes to its end within this time. */
const REST_MS = 20_000;
/** How long somebody takes to look after a client that has stopped. */
const OPERATOR_MS = 2_000;
/** After which a node that refused to start is started again. */
const RESTART_MS = 1_000;
/** Characters of the trace that are hashed at once. */
const DIGESTED_AT_ONCE = 16_384;
const KEYS_APART = 10_000_000;

function drawShape(random: SeededRandom): Shape {
  const partitions = random.pick([WHOLE.partitions, WHOLE.partitions, WHOLE.partitions + 1]);
  const clients = Array.from({ length: 1 + random.below(3) }, () => ({
    doors: random.pick([['node'], ['node', 'rival'], ['node', 'rival', 'stranger']]),
    keyCount: random.pick([1, 3, 10]),
    pauseMs: random.pick([150, 400, 1_000]),
    poisonShare: random.pick([0, 0, 0.05, 0.3]),
    familyShare: random.pick([0, 0, 0.1, 0.6]),
  }));
  return { partitions, clients, hotShare: random.pick([0, 0.6, 0.95]) };
}

/** One history: a world of its own, its clients, its faults, and what became of it. */
export class Simulation {
  readonly timeline = new Timeline();
  readonly network: Network;
  readonly hosts: readonly Host[];
  readonly clients: readonly SimClient[];
  readonly installation: Installation;
  /** Those that belong to the installation. */
  readonly nodes: readonly SimNode[];
  /** The first of them. */
  readonly node: SimNode;
  /** A node that believes to be the only one, which is there only when a fault starts it. */
  readonly rival: SimNode;
  /** A node that was configured otherwise; likewise. */
  readonly stranger: SimNode;
  readonly servers: Servers;
  /** Pairs of hosts that talk to each other. */
  readonly paths: readonly (readonly [string, string])[];
  readonly violations: string[] = [];
  readonly partitions: number;
  /** What hears which frames nodes acknowledge as stored, where replicas are waited for. */
  readonly stored: Stored | undefined;
  readonly troubles = new Troubles(this, (text) => this.#note(text));
  readonly #options: SimulationOptions;
  readonly #random: SeededRandom;
  #course: Course;
  readonly #balancer: Balancer;
  readonly #digest = createHash('sha256');
  #undigested = '';

  constructor(options: SimulationOptions) {
    this.#options = options;
    const { seed, activeMs, installation = options.shape === undefined ? drawInstallation(seed) : ALONE } = options;
    this.installation = installation;
    const random = new SeededRandom(seed);
    // What one part draws must not depend on how often another does.
    const fork = () => new SeededRandom(random.below(2 ** 32));
    this.#random = fork();
    const { partitions, threads, hotShare, clients } = options.shape ?? drawShape(random);
    const batchesPerMs = clients.reduce((sum, { pauseMs }) => sum + 1 / pauseMs, 0);
    this.#course =
      activeMs === undefined ? Course.draw(fork(), WHOLE.activeMs, (RUSHED_SHARE * WHOLE.batches) / batchesPerMs) : Course.short(activeMs);
    this.network = new Network(this.timeline, fork());
    const host = (name: string) => new Host(name, this.timeline);
    const [node, rival, stranger] = [host('node'), host('rival'), host('stranger')];
    this.servers = createServers({ host, network: this.network, random: fork(), installation, fault: this.violate });
    const { group, mariadb, view, watch } = this.servers;
    const replicas = replicasOf(installation);
    if (replicas > 0) this.stored = new Stored(this.timeline, group, watch, replicas + 1, this.violate);
    this.partitions = partitions;
    const nodeOn = (host: Host, partitions: number, more: Pick<SimNodeOptions, 'mode' | 'refused' | 'tap'> = {}) =>
      new SimNode({
        host,
        network: this.network,
        random: fork(),
        backends: this.servers.backends,
        partitions,
        threads,
        logger: this.#logger(host.name),
        fault: this.violate,
        ...more,
      });
    const memberOn = (host: Host): SimNode => {
      const restart = () => {
        if (!host.isUp) member.boot();
      };
      const member = nodeOn(host, partitions, {
        mode: installation.mode,
        refused: () => this.at(RESTART_MS, restart),
        ...(this.stored && { tap: () => this.stored!.tap(host) }),
      });
      return member;
    };
    this.node = memberOn(node);
    this.rival = nodeOn(rival, partitions);
    this.stranger = nodeOn(stranger, partitions * 2);
    this.nodes = [this.node, ...installation.nodes.slice(1).map((name) => memberOn(host(name)))];
    for (const [i, offsetMs] of (installation.clocksMs ?? []).entries()) this.nodes[i]!.host.wallOffsetMs = offsetMs;
    this.#balancer = new Balancer(this.timeline, this.nodes);
    const doorOf = (doors: readonly string[], random: SeededRandom) => {
      const door = random.pick(doors);
      if (door !== 'node' || this.nodes.length === 1) return door;
      return installation.entrance === 'balancer' ? this.#balancer.pick(random) : random.pick(installation.nodes);
    };
    const acknowledged = new Acknowledged(view, watch, this.violate);
    this.clients = clients.map(
      (client, i) =>
        new SimClient({
          ...client,
          door: (random) => doorOf(client.doors, random),
          pauseMs: (own) => this.#course.pauseMs(this.timeline.nowMs, client.pauseMs, own),
          host: host(`client-${i + 1}`),
          network: this.network,
          random: fork(),
          witness: {
            connected: () => view.restoreCount,
            told: (...args) => acknowledged.told(...args),
            forgot: (...args) => acknowledged.forgot(...args),
            regressed: (client) => this.#regressed(client),
            fault: this.violate,
          },
          keys: new KeySpace({ first: (i + 1) * KEYS_APART, partitionCount: partitions, hotPartition: 0, hotShare }),
        }),
    );
    const { sentinels, administrator } = group;
    const others = [...this.nodes.slice(1), ...group.servers.slice(1), ...sentinels, ...(administrator ? [administrator] : [])].map(
      (one) => one.host,
    );
    const clientHosts = this.clients.map((client) => client.host);
    this.hosts = [node, rival, stranger, group.servers[0].host, mariadb.host, ...clientHosts, ...others];
    this.paths = pathsOf(installation, group, clientHosts);
  }

  async run(): Promise<History> {
    const { faults = faultsFor(this.installation) } = this.#options;
    this.#options.prepare?.(this);
    this.servers.group.start();
    this.servers.mariadb.boot();
    for (const node of this.nodes) node.boot();
    for (const client of this.clients) client.boot();
    if (this.nodes.length > 1) this.#balancer.start();
    watchHistory(this);
    const isWhole = this.#options.activeMs === undefined;
    for (const { atMs, ...strike } of this.#course.strikes(faults, isWhole ? WHOLE.faults : 0, this.#random))
      this.timeline.at(atMs, () => this.troubles.strike(strike));
    const { activeMs } = this.#course;
    await this.#runUntil(activeMs);
    if (isWhole) await this.#makeUpForBatches(activeMs + MAX_EXTRA_MS);
    if (this.violations.length === 0) await this.#settleDown();
    return {
      seed: this.#options.seed,
      installation: this.installation,
      violations: this.violations,
      virtualMs: this.timeline.nowMs,
      events: this.timeline.eventCount,
      partitions: this.partitions,
      batches: this.#batchCount,
      changes: this.clients
        .flatMap(({ ledger }) => [...ledger.batches.values()].flat())
        .reduce((sum, { changes }) => sum + changes.length, 0),
      faults: this.troubles.count,
      digest: this.#digestLines().digest('hex').slice(0, 16),
    };
  }

  get #batchCount(): number {
    return this.clients.flatMap(({ ledger }) => [...ledger.batches.values()]).reduce((sum, { length }) => sum + length, 0);
  }

  async #runUntil(untilMs: number): Promise<void> {
    // Clients with a script may be done before.
    await this.timeline.run(untilMs, this.#isSettled);
  }

  /** Asked between any two events. */
  readonly #isSettled = (): boolean => {
    if (this.violations.length > 0) return true;
    for (const client of this.clients) if (!client.isDone) return false;
    return true;
  };

  /** More rushes, as long as batches are missing. */
  async #makeUpForBatches(untilMs: number): Promise<void> {
    const { timeline } = this;
    while (this.violations.length === 0 && this.#batchCount < WHOLE.batches && timeline.nowMs < untilMs) {
      const toMs = timeline.nowMs + EXTRA_RUSH_MS;
      this.#course = this.#course.with({ fromMs: timeline.nowMs, toMs });
      await this.#runUntil(toMs);
    }
  }

  readonly violate = (message: string): void => {
    this.#note(`VIOLATION ${message}`);
    this.violations.push(message);
  };

  /** Does something later, whatever happens to hosts. */
  readonly at = (delayMs: number, run: () => void): void => {
    this.timeline.at(delayMs, run);
  };

  /** No more faults: everything comes back, the clients finish, and what came of it is looked at. */
  async #settleDown(): Promise<void> {
    this.#note('faults cease');
    this.troubles.end();
    this.network.mendAll();
    for (const host of this.hosts) host.resume();
    this.rival.host.crash();
    this.stranger.host.crash();
    this.servers.group.bootAll();
    this.servers.group.administrator?.mend();
    if (!this.servers.mariadb.host.isUp) this.servers.mariadb.boot();
    for (const node of this.nodes) {
      node.undrain();
      if (!node.host.isUp) node.boot();
    }
    for (const client of this.clients) {
      if (!client.host.isUp) client.boot();
      client.finish();
    }
    const isDone = this.#isSettled;
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
      for (const fault of leftovers(this)) this.violate(fault);
    }
    const ledgers = this.clients.map(({ ledger }) => ledger);
    for (const fault of check({ ledgers, sink: this.servers.view, tables: TABLES, journals: ['event'] })) this.violate(fault);
  }

  /** A node that refused to start in the middle of a fault is started again, as by its supervisor. */
  async #watchdog(isDone: () => boolean): Promise<void> {
    const untilMs = this.timeline.nowMs + SETTLE_MS;
    while (!isDone() && this.timeline.nowMs < untilMs) {
      for (const node of this.nodes) if (!node.host.isUp) node.boot();
      await this.timeline.run(Math.min(untilMs, this.timeline.nowMs + 1_000), isDone);
    }
  }

  /** A client has stopped because the database lacks what it was told is applied: somebody looks, and lets it go on. */
  #regressed(client: SimClient): void {
    const wasApplied = ([lane]: readonly [string, number]) => client.ledger.applied.has(lane);
    if (![...this.servers.view.takenBack].some(wasApplied))
      return this.violate(`${client.host.name} was told that the database lacks what it has`);
    this.#note(`${client.host.name} has stopped: the database lacks what was applied`);
    this.timeline.at(OPERATOR_MS, () => {
      if (!client.host.isUp) return;
      client.host.crash();
      client.boot('new-stream');
    });
  }

  #note(text: string): void {
    const line = `${this.timeline.nowMs.toFixed(3).padStart(11)}  ${text}`;
    this.#undigested += line;
    if (this.#undigested.length >= DIGESTED_AT_ONCE) this.#digestLines();
    this.#options.trace?.(line);
  }

  #digestLines(): Hash {
    this.#digest.update(this.#undigested);
    this.#undigested = '';
    return this.#digest;
  }

  #logger(name: string): Logger {
    const write = (level: string) => (fields: object, message: string) => {
      // Ids and places in a line tell two histories apart that differ anywhere.
      this.#note(`${name} ${level}: ${message} ${JSON.stringify(fields)}`);
      const isDamage = 'code' in fields && fields.code === 'corrupt_element';
      if (isDamage && this.servers.group.servers.every(({ damages }) => damages === 0))
        this.violate(`${name} reports damage where there is none`);
    };
    const logger: Logger = { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error'), child: () => logger };
    return logger;
  }
}

/** Runs the history of a seed. */
export function simulate(options: SimulationOptions): Promise<History> {
  return new Simulation(options).run();
}
