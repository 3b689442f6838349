import type { SeededRandom } from '../../support/seeded-random.ts';
import type { TimelineEvent } from './event-heap.ts';
import type { Host } from './host.ts';
import type { Timeline } from './timeline.ts';
import { Connection } from './connection.ts';
import type { Wire } from './wire.ts';

/** A message that is about to be sent. */
export interface Sending {
  readonly from: string;
  readonly to: string;
  readonly message: unknown;
}

/** What becomes of one message, and of those that it has to do with. */
export interface Interference {
  /** What arrives of it; undefined when nothing does. */
  readonly arrives: unknown;
  /** It arrives changed, and what follows it arrives too; otherwise a changed message is the last. */
  readonly isWhole?: boolean;
  /** Called just before that is received. */
  readonly before?: () => void;
  /** Called once that has arrived. */
  readonly afterwards: (breakConnection: () => void) => void;
}

/** How messages travel from one host to another. */
export interface PathSettings {
  readonly minLatencyMs: number;
  readonly maxLatencyMs: number;
}

/** The way from one host to another, the same for as long as the network is there. */
export interface Path {
  settings: PathSettings;
  isCut: boolean;
}

const DEFAULT_PATH: PathSettings = { minLatencyMs: 0.1, maxLatencyMs: 1 };
/** How long an attempt to connect waits for an answer when the caller does not say. */
const CONNECT_TIMEOUT_MS = 2_000;

/**
 * A network of hosts. Between two hosts each direction has its own latency and can be cut: what is sent meanwhile waits,
 * as TCP's retransmissions do, until the path is mended or the connection ends.
 */
export class Network {
  readonly #timeline: Timeline;
  readonly #random: SeededRandom;
  readonly #services = new Map<string, { readonly host: Host; readonly accept: (wire: Wire, from: string) => void }>();
  /** By where they begin, and then by where they end. */
  readonly #paths = new Map<string, Map<string, Path>>();
  readonly #connections = new Set<Connection>();
  /** Asked about every message: undefined lets it pass. */
  interfere: ((sending: Sending) => Interference | undefined) | undefined;

  constructor(timeline: Timeline, random: SeededRandom) {
    this.#timeline = timeline;
    this.#random = random;
  }

  /** Accepts connections to `name` in the process that runs on `host` now; returns how to stop. */
  listen(host: Host, name: string, accept: (wire: Wire, from: string) => void): () => void {
    const service = { host, accept };
    this.#services.set(name, service);
    const stop = () => {
      if (this.#services.get(name) === service) this.#services.delete(name);
    };
    host.onCrash.add(stop);
    return stop;
  }

  /** Connects from the process on `from` to service `name`. Rejects when nobody listens, or nothing is heard in time. */
  dial(from: Host, name: string, timeoutMs: number = CONNECT_TIMEOUT_MS): Promise<Wire> {
    return new Promise((resolve, reject) => {
      let settled = false;
      // What a process has asked for is no business of the next one.
      const enter = from.entry();
      const isThere = from.process();
      const settle = (outcome: () => void) => {
        if (settled) return;
        settled = true;
        enter(outcome);
      };
      this.#timeline.at(timeoutMs, () => settle(() => reject(new Error(`connect ETIMEDOUT ${name}`))));
      const service = this.#services.get(name);
      // Who is not there refuses, as the kernel of a machine that runs does.
      if (service === undefined) {
        this.#timeline.at(this.#latency(this.path(from.name, name)), () => settle(() => reject(new Error(`connect ECONNREFUSED ${name}`))));
        return;
      }
      const there = this.path(from.name, service.host.name);
      if (there.isCut || this.path(service.host.name, from.name).isCut) return;
      this.#timeline.at(this.#latency(there), () => {
        if (settled) return;
        if (this.#services.get(name) !== service) return settle(() => reject(new Error(`connect ECONNREFUSED ${name}`)));
        const connection = new Connection(this, from, service.host, isThere);
        this.#connections.add(connection);
        // The kernel accepts also for a process that is paused.
        service.host.enter(() => service.accept(connection.server, from.name));
        settle(() => resolve(connection.client));
      });
    });
  }

  /** Sets how messages travel from `from` to `to`. */
  setPath(from: string, to: string, settings: PathSettings): void {
    this.path(from, to).settings = settings;
  }

  /** From now on nothing that `from` sends reaches `to`. */
  cut(from: string, to: string): void {
    this.path(from, to).isCut = true;
  }

  mend(from: string, to: string): void {
    this.path(from, to).isCut = false;
    for (const connection of this.#connections) connection.mended(from, to);
  }

  mendAll(): void {
    for (const paths of this.#paths.values())
      for (const path of paths.values()) Object.assign(path, { settings: DEFAULT_PATH, isCut: false });
    for (const connection of this.#connections) connection.mended();
  }

  /** How many connections to another host the process on `host` holds; for bounds. */
  connectionCount(host: string, other: string): number {
    let count = 0;
    for (const connection of this.#connections) if (connection.joins(host, other) && connection.isHeldBy(host)) count++;
    return count;
  }

  /** Breaks every connection between two hosts: both ends see a reset, and part of what is under way is lost. */
  resetBetween(a: string, b: string): void {
    for (const connection of [...this.#connections]) if (connection.joins(a, b)) connection.break();
  }

  /** For connections. */
  soon(run: () => void): void {
    this.#timeline.at(0, run);
  }

  /** For connections. */
  path(from: string, to: string): Path {
    let paths = this.#paths.get(from);
    if (paths === undefined) this.#paths.set(from, (paths = new Map<string, Path>()));
    let path = paths.get(to);
    if (path === undefined) paths.set(to, (path = { settings: DEFAULT_PATH, isCut: false }));
    return path;
  }

  /** For connections. */
  deliver(path: Path, notBeforeMs: number, arrival: TimelineEvent): number {
    const dueMs = Math.max(notBeforeMs, this.#timeline.nowMs + this.#latency(path));
    this.#timeline.add(dueMs - this.#timeline.nowMs, arrival);
    return dueMs;
  }

  /** For connections. */
  forget(connection: Connection): void {
    this.#connections.delete(connection);
  }

  /** For connections: how many of `count` messages still arrive although the connection breaks. */
  survivors(count: number): number {
    return this.#random.below(count + 1);
  }

  /** For connections: where a chunk is cut that arrives in part. */
  cutPoint(bytes: number): number {
    return this.#random.below(bytes);
  }

  #latency({ settings: { minLatencyMs, maxLatencyMs } }: Path): number {
    return minLatencyMs + this.#random.fraction() * (maxLatencyMs - minLatencyMs);
  }
}
