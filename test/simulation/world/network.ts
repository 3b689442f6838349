import type { SeededRandom } from '../../support/seeded-random.ts';
import type { Host } from './host.ts';
import type { Timeline } from './timeline.ts';

/**
 * One end of a connection between two processes: messages arrive in order, or the connection ends. A message is a chunk
 * of bytes or any value that neither side changes afterwards.
 */
export interface Wire {
  readonly peer: string;
  /** Messages sent from this end that the other has not received yet, in the sizes that were given. */
  readonly inFlightBytes: number;
  /** Installs the receiver; what came before is delivered to it. Called once. */
  open(receiver: WireReceiver): void;
  send(message: unknown, bytes?: number): void;
  /** Holds back what arrives, and goes on: the peer sees its {@link inFlightBytes} grow. */
  pause(): void;
  resume(): void;
  /** The peer receives what was sent, then the end. This end receives nothing more. */
  close(): void;
  /** Ends at once: part of what is under way is lost. */
  reset(): void;
}

/** Messages that were sent at once, and travel as one: when a connection breaks, the first of them may still arrive. */
export class Together {
  readonly messages: readonly unknown[];

  constructor(messages: readonly unknown[]) {
    this.messages = messages;
  }
}

export interface WireReceiver {
  message(message: unknown): void;
  /** Called once, with the reason when the connection broke; not after {@link Wire.close} or {@link Wire.reset} of this end. */
  closed(error?: Error): void;
  /** Something that was in flight has arrived. */
  moved?(): void;
}

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
  readonly #paths = new Map<string, PathSettings>();
  readonly #cut = new Set<string>();
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
      const settle = (outcome: () => void) => {
        if (settled) return;
        settled = true;
        enter(outcome);
      };
      this.#timeline.at(timeoutMs, () => settle(() => reject(new Error(`connect ETIMEDOUT ${name}`))));
      const service = this.#services.get(name);
      // Who is not there refuses, as the kernel of a machine that runs does.
      if (service === undefined) {
        this.#timeline.at(this.#latency(from.name, name), () => settle(() => reject(new Error(`connect ECONNREFUSED ${name}`))));
        return;
      }
      if (this.#cut.has(pathOf(from.name, service.host.name)) || this.#cut.has(pathOf(service.host.name, from.name))) return;
      this.#timeline.at(this.#latency(from.name, service.host.name), () => {
        if (settled) return;
        if (this.#services.get(name) !== service) return settle(() => reject(new Error(`connect ECONNREFUSED ${name}`)));
        const connection = new Connection(this, from, service.host);
        this.#connections.add(connection);
        // The kernel accepts also for a process that is paused.
        service.host.enter(() => service.accept(connection.server, from.name));
        settle(() => resolve(connection.client));
      });
    });
  }

  /** Sets how messages travel from `from` to `to`. */
  setPath(from: string, to: string, settings: PathSettings): void {
    this.#paths.set(pathOf(from, to), settings);
  }

  /** From now on nothing that `from` sends reaches `to`. */
  cut(from: string, to: string): void {
    this.#cut.add(pathOf(from, to));
  }

  mend(from: string, to: string): void {
    this.#cut.delete(pathOf(from, to));
    for (const connection of this.#connections) connection.mended(from, to);
  }

  mendAll(): void {
    this.#cut.clear();
    this.#paths.clear();
    for (const connection of this.#connections) connection.mended();
  }

  /** How many connections to another host the process on `host` holds; for bounds. */
  connectionCount(host: string, other: string): number {
    return [...this.#connections].filter((connection) => connection.joins(host, other) && connection.isHeldBy(host)).length;
  }

  isCut(from: string, to: string): boolean {
    return this.#cut.has(pathOf(from, to));
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
  deliver(from: Host, to: Host, notBeforeMs: number, run: () => void): number {
    const dueMs = Math.max(notBeforeMs, this.#timeline.nowMs + this.#latency(from.name, to.name));
    this.#timeline.at(dueMs - this.#timeline.nowMs, run);
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

  #latency(from: string, to: string): number {
    const { minLatencyMs, maxLatencyMs } = this.#paths.get(pathOf(from, to)) ?? DEFAULT_PATH;
    return minLatencyMs + this.#random.fraction() * (maxLatencyMs - minLatencyMs);
  }
}

class Connection {
  readonly client: End;
  readonly server: End;
  readonly #network: Network;

  constructor(network: Network, from: Host, to: Host) {
    this.#network = network;
    this.client = new End(network, from, to);
    this.server = new End(network, to, from);
    for (const [end, other] of [
      [this.client, this.server],
      [this.server, this.client],
    ] as const)
      end.join(
        other,
        () => this.#ended(),
        () => this.break(),
      );
  }

  joins(a: string, b: string): boolean {
    return (this.client.host.name === a && this.server.host.name === b) || (this.client.host.name === b && this.server.host.name === a);
  }

  isHeldBy(host: string): boolean {
    return ![this.client, this.server].some((end) => end.host.name === host && end.isClosed);
  }

  mended(from?: string, to?: string): void {
    for (const end of [this.client, this.server]) if (from === undefined || (end.host.name === from && end.peer === to)) end.launch();
  }

  break(): void {
    this.client.broken();
    this.server.broken();
  }

  #ended(): void {
    if (this.client.isClosed && this.server.isClosed) this.#network.forget(this);
  }
}

interface Sent {
  readonly message: unknown;
  readonly bytes: number;
  /** The end of the connection: orderly, or not. */
  readonly end: 'no' | 'close' | 'reset';
  readonly before?: (() => void) | undefined;
  readonly afterwards?: () => void;
}

/** One end; it owns what travels from it to the other end. */
class End implements Wire {
  readonly host: Host;
  readonly #to: Host;
  readonly #network: Network;
  #other: End | undefined;
  #onOver: () => void = () => {};
  #break: () => void = () => {};
  #receiver: WireReceiver | undefined;
  /** Sent and not yet on its way, because the path is cut. */
  #unsent: Sent[] = [];
  /** On its way, or arrived and not taken: in order. */
  #underWay: Sent[] = [];
  /** How many of those have arrived. */
  #arrived = 0;
  #lastDueMs = 0;
  #inFlightBytes = 0;
  #isHeld = false;
  /** This end neither sends nor receives any more. */
  #isClosed = false;
  /** Something that was sent from here is lost. */
  #isTorn = false;
  /** The other end was told that this one is closed. */
  #hasRefused = false;

  constructor(network: Network, host: Host, to: Host) {
    this.#network = network;
    this.host = host;
    this.#to = to;
  }

  join(other: End, onOver: () => void, breakConnection: () => void): void {
    this.#other = other;
    this.#onOver = onOver;
    this.#break = breakConnection;
    this.host.onCrash.add(this.#crashed);
  }

  get peer(): string {
    return this.#to.name;
  }

  get inFlightBytes(): number {
    return this.#inFlightBytes;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  open(receiver: WireReceiver): void {
    this.#receiver = receiver;
    this.#other!.#take();
  }

  send(message: unknown, bytes = 0): void {
    if (this.#isClosed || this.#isTorn) return;
    const interference = this.#network.interfere?.({ from: this.host.name, to: this.#to.name, message });
    if (interference === undefined) return this.#queue({ message, bytes, end: 'no' });
    // Behind a hole nothing arrives.
    this.#isTorn = interference.arrives !== message && interference.isWhole !== true;
    const afterwards = () => this.#network.soon(() => interference.afterwards(this.#break));
    if (interference.arrives === undefined) return afterwards();
    this.#queue({ message: interference.arrives, bytes, end: 'no', before: interference.before, afterwards });
  }

  pause(): void {
    this.#isHeld = true;
  }

  resume(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    this.#other!.#take();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#queue({ message: undefined, bytes: 0, end: 'close' });
    this.#finish();
  }

  reset(): void {
    if (this.#isClosed) return;
    this.#lose();
    this.#queue({ message: undefined, bytes: 0, end: 'reset' });
    this.#finish();
  }

  /** The connection broke under both ends. */
  broken(): void {
    if (this.#isClosed) return;
    this.#lose();
    const receiver = this.#receiver;
    this.#finish();
    this.host.enter(() => receiver?.closed(new Error('read ECONNRESET')));
  }

  /** Sends what waited for the path. */
  launch(): void {
    const waiting = this.#unsent;
    this.#unsent = [];
    for (const sent of waiting) this.#launch(sent);
  }

  readonly #crashed = (): void => {
    if (this.#isClosed) return;
    // What the kernel had taken over still arrives, or part of it.
    this.#lose();
    this.#queue({ message: undefined, bytes: 0, end: 'reset' });
    this.#finish();
  };

  #queue(sent: Sent): void {
    this.#inFlightBytes += sent.bytes;
    if (this.#unsent.length > 0 || this.#network.isCut(this.host.name, this.#to.name)) this.#unsent.push(sent);
    else this.#launch(sent);
  }

  #launch(sent: Sent): void {
    this.#underWay.push(sent);
    this.#lastDueMs = this.#network.deliver(this.host, this.#to, this.#lastDueMs, () => {
      // Lost with the connection.
      if (!this.#underWay.includes(sent)) return;
      this.#arrived++;
      // Alone and awaited, it is taken within this event.
      if (this.#arrived === 1 && this.#to.isRunning) this.#takeOne();
      else this.#take();
    });
  }

  /** Loses the newer part of what is under way, perhaps in the middle of a chunk. */
  #lose(): void {
    this.#unsent = [];
    const kept = this.#underWay.slice(0, this.#arrived + this.#network.survivors(this.#underWay.length - this.#arrived));
    const torn = this.#underWay[kept.length];
    this.#underWay = kept;
    const part = torn === undefined ? undefined : this.#firstPartOf(torn.message);
    if (part !== undefined) this.#launch({ ...torn!, message: part });
  }

  #firstPartOf(message: unknown): unknown {
    const length = message instanceof Uint8Array ? message.length : message instanceof Together ? message.messages.length : 0;
    const kept = length > 1 ? this.#network.cutPoint(length) : 0;
    if (kept === 0) return undefined;
    return message instanceof Together ? new Together(message.messages.slice(0, kept)) : (message as Uint8Array).subarray(0, kept);
  }

  /** Hands what has arrived to the other end, one message an event. */
  #take(): void {
    const other = this.#other!;
    if (this.#arrived === 0 || other.#isHeld || (other.#receiver === undefined && !other.#isClosed)) return;
    this.#to.enter(() => this.#takeOne());
  }

  #takeOne(): void {
    const other = this.#other!;
    if (this.#arrived === 0 || other.#isHeld || (other.#receiver === undefined && !other.#isClosed)) return;
    const sent = this.#underWay.shift();
    if (sent === undefined) return;
    this.#arrived--;
    this.#inFlightBytes -= sent.bytes;
    const receiver = other.#receiver;
    if (!other.#isClosed && receiver !== undefined) {
      if (sent.end === 'no') {
        sent.before?.();
        receiver.message(sent.message);
        sent.afterwards?.();
      } else {
        other.#finish();
        receiver.closed(sent.end === 'reset' ? new Error('read ECONNRESET') : undefined);
      }
    } else if (sent.end === 'no' && !other.#hasRefused) {
      // Whoever sends to a closed end is told so by its kernel.
      other.#hasRefused = true;
      other.#queue({ message: undefined, bytes: 0, end: 'reset' });
    }
    if (!this.#isClosed && this.#receiver?.moved !== undefined) this.host.enter(() => this.#receiver?.moved?.());
    if (this.#arrived > 0) this.#take();
  }

  #finish(): void {
    this.#isClosed = true;
    this.host.onCrash.delete(this.#crashed);
    this.#onOver();
  }
}

function pathOf(from: string, to: string): string {
  return `${from} → ${to}`;
}
