import type { Clock } from '../../../../src/core/clock.ts';
import type { SeededRandom } from '../../../support/seeded-random.ts';
import type { Host } from '../../world/host.ts';
import type { Network } from '../../world/network.ts';
import { Channels, type Client } from '../channels.ts';
import { ServerConnection } from '../connection.ts';
import { ErrorReply, type Reply } from '../replies.ts';
import { Ballot } from './ballot.ts';
import { answer } from './commands.ts';
import { Failover, reconfigure } from './failover.ts';
import { Instance } from './instance.ts';
import { SentinelLink } from './link.ts';

export interface SimSentinelOptions {
  readonly host: Host;
  readonly network: Network;
  readonly random: SeededRandom;
  /** What the primary is called. */
  readonly name: string;
  /** The host that is primary at the start. */
  readonly primary: string;
  /** The hosts of all Sentinels, its own among them. */
  readonly sentinels: readonly string[];
  readonly quorum: number;
  readonly downAfterMs: number;
  readonly failoverTimeoutMs: number;
}

const PORT = '6379';
const TICK_MS = 100;
const PING_MS = 1_000;
const INFO_MS = 10_000;
/** While a failover may be on its way. */
const INFO_SOON_MS = 1_000;
const HELLO_MS = 2_000;
const ASK_PEERS_MS = 1_000;
const REPORT_VALID_MS = 5_000;
const MAX_DESYNC_MS = 1_000;
/** How long a server is left alone that is not what it should be. */
const STRANGE_MS = 8_000;
/** A Sentinel that stood still so long does not trust what it sees for the next while. */
const STANDSTILL_MS = 2_000;
const TILT_MS = 30_000;

/**
 * A Sentinel of Redis 7.0 on a host of its own. What it has agreed upon with others outlives its process.
 *
 * Where it knowingly differs: Sentinels are configured to know each other, and tell each other what is new over connections
 * of their own instead of channels of the servers. There is one primary that is watched, no authentication, no change of the
 * configuration by command; hosts have names, and ports mean nothing.
 */
export class SimSentinel {
  readonly host: Host;
  readonly options: SimSentinelOptions;
  readonly ballot: Ballot;
  /** The newest configuration that it knows: which server is primary, since which epoch. */
  primary: string;
  configEpoch = 0;
  readonly #channels = new Channels();
  readonly #instances = new Map<string, Instance>();
  readonly #peers = new Map<string, SentinelLink>();
  #replicas = new Set<string>();
  #clock: Clock | undefined;
  #failover: Failover | undefined;
  /** Before that it does not begin another failover. */
  #restUntilMs = 0;
  #tiltUntilMs = -Infinity;
  #tickedMs = 0;
  #helloMs = -Infinity;
  #askedPeersMs = -Infinity;

  constructor(options: SimSentinelOptions) {
    this.options = options;
    this.host = options.host;
    this.primary = options.primary;
    this.ballot = new Ballot(options.host.name);
  }

  get replicas(): readonly string[] {
    return [...this.#replicas];
  }

  /** What clients are told: during a failover, who was promoted already. */
  get address(): readonly [host: string, port: string] {
    return [this.#failover?.promoted?.host ?? this.primary, PORT];
  }

  /** Whether the primary is down for this Sentinel. */
  get isDown(): boolean {
    return this.#instances.get(this.primary)?.isDown === true;
  }

  boot(): void {
    this.#clock = this.host.boot();
    // Its file names whoever it had promoted, with the epoch of that.
    if (this.#failover?.promoted !== undefined) this.#record(this.#failover.promoted.host);
    this.#instances.clear();
    this.#peers.clear();
    this.#failover = undefined;
    this.#restUntilMs = 0;
    this.#tiltUntilMs = -Infinity;
    this.#tickedMs = this.#nowMs();
    this.#helloMs = -Infinity;
    this.#askedPeersMs = -Infinity;
    const { network, sentinels } = this.options;
    network.listen(this.host, this.host.name, (wire) => {
      const connection = new ServerConnection({
        wire,
        execute: (args, client) => this.#execute(args, client),
        onEnd: () => this.#channels.drop(connection),
      });
    });
    for (const peer of sentinels) if (peer !== this.host.name) this.#peers.set(peer, this.#link(peer));
    this.#watch(this.primary);
    for (const replica of this.#replicas) this.#watch(replica);
    this.#tick();
  }

  /** Another Sentinel tells what it knows. */
  heard(epoch: number, primary: string, configEpoch: number): void {
    this.ballot.heard(epoch);
    if (configEpoch <= this.configEpoch) return;
    this.configEpoch = configEpoch;
    if (primary !== this.primary) this.#switchTo(primary);
  }

  /** Another Sentinel asks for the vote to lead. */
  votesFor(epoch: number, candidate: string): readonly [leader: string, epoch: number] {
    const vote = this.ballot.vote(epoch, candidate);
    // Who follows does not begin a failover of its own for a while.
    if (vote[0] === candidate && candidate !== this.host.name) this.#rest();
    return vote;
  }

  #execute(args: readonly string[], client: Client): Reply {
    try {
      return answer(this, this.#channels, args, client);
    } catch (error) {
      if (error instanceof ErrorReply) return error;
      throw error;
    }
  }

  #tick(): void {
    const nowMs = this.#nowMs();
    if (nowMs - this.#tickedMs > STANDSTILL_MS) this.#tiltUntilMs = nowMs + TILT_MS;
    this.#tickedMs = nowMs;
    this.#look();
    if (nowMs >= this.#tiltUntilMs) this.#act();
    // No two at the same times, so that votes are not split for ever.
    this.#clock!.setTimer(TICK_MS * (0.5 + this.options.random.fraction() / 2), () => this.#tick());
  }

  #look(): void {
    const nowMs = () => this.#nowMs();
    const { downAfterMs } = this.options;
    const infoMs = this.isDown || this.#failover !== undefined ? INFO_SOON_MS : INFO_MS;
    for (const instance of [...this.#instances.values()]) {
      instance.ping(nowMs, Math.min(PING_MS, downAfterMs));
      instance.inquire(nowMs, instance.infoMs < 0 ? INFO_SOON_MS : infoMs);
    }
    for (const replica of this.#watched.replicas) {
      if (this.#watched.role !== 'master' || replica === this.primary) continue;
      this.#replicas.add(replica);
      this.#watch(replica);
    }
    if (nowMs() - this.#helloMs >= HELLO_MS) this.#sayHello();
  }

  #act(): void {
    const nowMs = this.#nowMs();
    const { downAfterMs, quorum } = this.options;
    const primary = this.#watched;
    for (const instance of this.#instances.values()) {
      const isStrange = instance === primary && instance.role === 'slave' && nowMs - instance.sinceMs > downAfterMs + 2 * INFO_MS;
      instance.isDown = instance.silentMs(nowMs) > downAfterMs || isStrange;
    }
    if (primary.isDown) this.#askPeers();
    const isAgreed = primary.isDown && 1 + this.ballot.downCount(nowMs - REPORT_VALID_MS) >= quorum;
    if (isAgreed && this.#failover === undefined && nowMs >= this.#restUntilMs) this.#begin();
    this.#failover?.advance();
    if (this.#failover === undefined) this.#correct();
  }

  #begin(): void {
    const { failoverTimeoutMs: timeoutMs, sentinels, quorum, random } = this.options;
    this.ballot.heard(this.ballot.epoch + 1);
    const { epoch } = this.ballot;
    this.#rest();
    this.#failover = new Failover({
      epoch,
      primary: this.primary,
      startMs: this.#nowMs() + random.fraction() * MAX_DESYNC_MS,
      timeoutMs,
      nowMs: () => this.#nowMs(),
      isElected: () => this.ballot.isElected(epoch, sentinels.length, quorum),
      replicas: () => [...this.#replicas].map((replica) => this.#instances.get(replica)!),
      promoted: () => {
        this.configEpoch = epoch;
        this.#sayHello();
      },
      ended: (replica) => {
        this.#failover = undefined;
        if (replica !== undefined) this.#switchTo(replica.host);
      },
    });
    this.#askedPeersMs = -Infinity;
    this.#askPeers();
  }

  /** Twice as long as a failover may take, and not the same for all. */
  #rest(): void {
    this.#restUntilMs = this.#nowMs() + 2 * this.options.failoverTimeoutMs + this.options.random.fraction() * MAX_DESYNC_MS;
  }

  #askPeers(): void {
    const nowMs = this.#nowMs();
    if (nowMs - this.#askedPeersMs < ASK_PEERS_MS) return;
    this.#askedPeersMs = nowMs;
    const candidate = this.#failover?.isElecting === true ? this.host.name : '*';
    const { primary } = this;
    for (const [peer, link] of this.#peers)
      link.ask([['SENTINEL', 'IS-MASTER-DOWN-BY-ADDR', primary, PORT, String(this.ballot.epoch), candidate]], (reply) => {
        if (!Array.isArray(reply) || primary !== this.primary) return;
        const [isDown, leader, epoch] = reply as readonly Reply[];
        this.ballot.reported(peer, this.#nowMs(), isDown === 1, String(leader), Number(epoch));
      });
  }

  #sayHello(): void {
    this.#helloMs = this.#nowMs();
    const [host] = this.address;
    for (const link of this.#peers.values()) link.ask([['SENTINEL', 'HELLO', String(this.ballot.epoch), host, String(this.configEpoch)]]);
  }

  #switchTo(host: string): void {
    const former = this.primary;
    this.#record(host);
    this.#failover = undefined;
    this.#restUntilMs = 0;
    this.ballot.forgetReports();
    this.#watch(host);
    for (const instance of this.#instances.values()) instance.begin(instance.host === host ? 'master' : 'slave', this.#nowMs());
    this.#channels.publish('+switch-master', `${this.options.name} ${former} ${PORT} ${host} ${PORT}`);
  }

  #record(primary: string): void {
    this.#replicas.delete(primary);
    this.#replicas.add(this.primary);
    this.primary = primary;
  }

  /** Servers that came back as something else than they should be are told what they are. */
  #correct(): void {
    const nowMs = this.#nowMs();
    const primary = this.#watched;
    if (primary.isDown || primary.role !== 'master' || nowMs - primary.infoMs > 2 * INFO_MS) return;
    for (const host of this.#replicas) {
      const replica = this.#instances.get(host)!;
      if (replica.isDown || replica.role === undefined || replica.primary === this.primary) continue;
      const patienceMs = replica.role === 'master' ? STRANGE_MS : 2 * INFO_MS + 1_000;
      if (nowMs - replica.sinceMs <= patienceMs || replica.infoMs <= replica.sinceMs - 1) continue;
      reconfigure(replica, [this.primary, PORT]);
      replica.sinceMs = nowMs;
    }
  }

  get #watched(): Instance {
    return this.#instances.get(this.primary)!;
  }

  #watch(host: string): void {
    if (!this.#instances.has(host)) this.#instances.set(host, new Instance(host, this.#link(host), this.#nowMs()));
  }

  #link(service: string): SentinelLink {
    return new SentinelLink(this.host, this.#clock!, this.options.network, service);
  }

  #nowMs(): number {
    return this.#clock!.monotonicMs();
  }
}
