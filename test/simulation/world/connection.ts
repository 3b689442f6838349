import type { TimelineEvent } from './event-heap.ts';
import type { Host } from './host.ts';
import type { Network, Path } from './network.ts';
import { Together, type Wire, type WireReceiver } from './wire.ts';

/** A connection of two processes, seen from the network. */
export class Connection {
  readonly client: End;
  readonly server: End;
  readonly #network: Network;
  /** Whether the process that asked for it is still there: it may have died before it had it. */
  readonly #isAskerThere: () => boolean;

  constructor(network: Network, from: Host, to: Host, isAskerThere: () => boolean) {
    this.#network = network;
    this.#isAskerThere = isAskerThere;
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
    if (this.client.host.name === host && !this.#isAskerThere()) return false;
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

/** What is called before and after something is received. */
interface Interfered {
  readonly before: (() => void) | undefined;
  readonly afterwards: () => void;
}

/** What was sent, and is an event when it arrives. */
class Sent implements TimelineEvent {
  readonly message: unknown;
  readonly bytes: number;
  /** The end of the connection: orderly, or not. */
  readonly end: 'no' | 'close' | 'reset';
  readonly interfered: Interfered | undefined;
  readonly #onArrival: (sent: Sent) => void;
  readonly isCancelled = false;

  constructor(onArrival: (sent: Sent) => void, message: unknown, bytes: number, end: Sent['end'], interfered?: Interfered) {
    this.#onArrival = onArrival;
    this.message = message;
    this.bytes = bytes;
    this.end = end;
    this.interfered = interfered;
  }

  happen(): void {
    this.#onArrival(this);
  }
}

/** One end; it owns what travels from it to the other end. */
class End implements Wire {
  readonly host: Host;
  readonly #to: Host;
  readonly #network: Network;
  readonly #path: Path;
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
    this.#path = network.path(host.name, to.name);
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
    if (interference === undefined) return this.#queue(message, bytes, 'no');
    // Behind a hole nothing arrives.
    this.#isTorn = interference.arrives !== message && interference.isWhole !== true;
    const afterwards = () => this.#network.soon(() => interference.afterwards(this.#break));
    if (interference.arrives === undefined) return afterwards();
    this.#queue(interference.arrives, bytes, 'no', { before: interference.before, afterwards });
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
    this.#queue(undefined, 0, 'close');
    this.#finish();
  }

  reset(): void {
    if (this.#isClosed) return;
    this.#lose();
    this.#queue(undefined, 0, 'reset');
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
    this.#queue(undefined, 0, 'reset');
    this.#finish();
  };

  #queue(message: unknown, bytes: number, end: Sent['end'], interfered?: Interfered): void {
    const sent = new Sent(this.#hasArrived, message, bytes, end, interfered);
    this.#inFlightBytes += bytes;
    if (this.#unsent.length > 0 || this.#path.isCut) this.#unsent.push(sent);
    else this.#launch(sent);
  }

  #launch(sent: Sent): void {
    this.#underWay.push(sent);
    this.#lastDueMs = this.#network.deliver(this.#path, this.#lastDueMs, sent);
  }

  readonly #hasArrived = (sent: Sent): void => {
    // Lost with the connection.
    if (!this.#underWay.includes(sent)) return;
    this.#arrived++;
    // Alone and awaited, it is taken within this event.
    if (this.#arrived === 1 && this.#to.isRunning) this.#takeOne();
    else this.#take();
  };

  /** Loses the newer part of what is under way, perhaps in the middle of a chunk. */
  #lose(): void {
    this.#unsent = [];
    const kept = this.#underWay.slice(0, this.#arrived + this.#network.survivors(this.#underWay.length - this.#arrived));
    const torn = this.#underWay[kept.length];
    this.#underWay = kept;
    const part = torn === undefined ? undefined : this.#firstPartOf(torn.message);
    if (part !== undefined) this.#launch(new Sent(this.#hasArrived, part, torn!.bytes, torn!.end, torn!.interfered));
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
        sent.interfered?.before?.();
        receiver.message(sent.message);
        sent.interfered?.afterwards();
      } else {
        other.#finish();
        receiver.closed(sent.end === 'reset' ? new Error('read ECONNRESET') : undefined);
      }
    } else if (sent.end === 'no' && !other.#hasRefused) {
      // Whoever sends to a closed end is told so by its kernel.
      other.#hasRefused = true;
      other.#queue(undefined, 0, 'reset');
    }
    if (!this.#isClosed && this.#receiver?.awaitsMoves?.() === true) this.host.enter(() => this.#receiver?.moved?.());
    if (this.#arrived > 0) this.#take();
  }

  #finish(): void {
    this.#isClosed = true;
    this.host.onCrash.delete(this.#crashed);
    this.#onOver();
  }
}
