import { createHash } from 'node:crypto';
import { rangesOf, SLOT_COUNT } from './slots.ts';

/** A node as another one, or it itself, sees it. */
export interface KnownNode {
  readonly id: string;
  readonly host: string;
  /** Whom it copies; undefined of a master. */
  master: KnownNode | undefined;
  /** Of a master: whether a replica copied it, or it was one. */
  hadReplicas: boolean;
  /** Since when it has its slots, in epochs: of two that claim one, the higher has it. */
  configEpoch: number;
  /** `pfail`: this node does not reach it. `fail`: the majority of the masters does not. */
  health: 'ok' | 'pfail' | 'fail';
  failedMs: number;
  /** By the master that said so last: when it was not reached. */
  readonly reports: Map<KnownNode, number>;
  /** When a PING was sent that is not answered; 0 without one. */
  pingSentMs: number;
  pongMs: number;
  /** When anything of it was heard. */
  heardMs: number;
  /** When a replica of it was voted for. */
  votedMs: number;
  /** How far it is in the stream of replication, as it says. */
  offset: number;
}

/** A node at the start. */
export interface Seat {
  readonly host: string;
  /** The slots of a master, from and to before; the host that a replica copies. */
  readonly role: readonly [from: number, to: number] | string;
}

const PORT = 6379;
const BUS_PORT = 16_379;

/** What one node believes of its cluster. It outlives the process, as `nodes.conf` does. */
export class Topology {
  readonly self: KnownNode;
  /** In the order of their ids. */
  readonly nodes: readonly KnownNode[];
  /** Slots of this node that are being handed to another, and of others that are being handed to this one. */
  readonly migrating = new Map<number, KnownNode>();
  readonly importing = new Map<number, KnownNode>();
  currentEpoch = 0;
  /** The last epoch in which it has voted. */
  lastVoteEpoch = 0;
  readonly #owners: (KnownNode | undefined)[] = Array.from({ length: SLOT_COUNT });
  /** By node: its slots, made when they are asked for after a change, and what it was seen to claim that is the same. */
  #claims: Map<KnownNode, readonly number[]> | undefined;
  readonly #agreed = new WeakMap<readonly number[], readonly number[]>();
  readonly #ranges = new WeakMap<readonly number[], readonly string[]>();

  constructor(self: string, seats: readonly Seat[]) {
    this.nodes = seats.map(({ host }, i) => knownNode(host, i + 1)).toSorted((a, b) => (a.id < b.id ? -1 : 1));
    this.currentEpoch = seats.length;
    for (const { host, role } of seats) {
      const node = this.at(host)!;
      if (typeof role === 'string') node.master = this.at(role)!;
      else for (let slot = role[0]; slot < role[1]; slot++) this.#owners[slot] = node;
    }
    for (const node of this.nodes) {
      if (node.master === undefined) continue;
      node.configEpoch = 0;
      node.master.hadReplicas = true;
    }
    this.self = this.at(self)!;
  }

  at(host: string): KnownNode | undefined {
    return this.nodes.find((node) => node.host === host);
  }

  find(id: string): KnownNode | undefined {
    for (const node of this.nodes) if (node.id === id) return node;
    return undefined;
  }

  get others(): readonly KnownNode[] {
    return this.nodes.filter((node) => node !== this.self);
  }

  /** Those that have a vote: masters with slots. */
  get voters(): readonly KnownNode[] {
    return this.nodes.filter((node) => node.master === undefined && this.slotsOf(node).length > 0);
  }

  get majority(): number {
    return Math.floor(this.voters.length / 2) + 1;
  }

  ownerOf(slot: number): KnownNode | undefined {
    return this.#owners[slot];
  }

  assign(slot: number, node: KnownNode | undefined): void {
    if (this.#owners[slot] === node) return;
    this.#owners[slot] = node;
    this.#claims = undefined;
  }

  /** In their order; the same object as long as nothing changes. */
  slotsOf(node: KnownNode): readonly number[] {
    if (this.#claims === undefined) {
      const claims = new Map(this.nodes.map((each) => [each, [] as number[]]));
      this.#owners.forEach((owner, slot) => owner !== undefined && claims.get(owner)!.push(slot));
      this.#claims = claims;
    }
    return this.#claims.get(node)!;
  }

  /** Whether a node has the slots that it claims, and no others. */
  isAgreed(node: KnownNode, claimed: readonly number[]): boolean {
    const own = this.slotsOf(node);
    if (this.#agreed.get(claimed) === own) return true;
    const isSame = own.length === claimed.length && own.every((slot, i) => slot === claimed[i]);
    if (isSame) this.#agreed.set(claimed, own);
    return isSame;
  }

  get isServedWhole(): boolean {
    return this.#owners.every((owner) => owner !== undefined && owner.health !== 'fail');
  }

  /** Takes a new epoch without asking anybody, unless it has the highest; gives whether it did. */
  bumpEpoch(): boolean {
    const highest = Math.max(this.currentEpoch, ...this.nodes.map(({ configEpoch }) => configEpoch));
    if (this.self.configEpoch !== 0 && this.self.configEpoch === highest) return false;
    this.self.configEpoch = ++this.currentEpoch;
    return true;
  }

  /** CLUSTER NODES. */
  describe(isConnected: (node: KnownNode) => boolean): string {
    const lines = this.nodes.map((node) => {
      const flags = [
        ...(node === this.self ? ['myself'] : []),
        node.master === undefined ? 'master' : 'slave',
        ...(node.health === 'pfail' ? ['fail?'] : node.health === 'fail' ? ['fail'] : []),
      ];
      const fields = [
        node.id,
        `${node.host}:${PORT}@${BUS_PORT}`,
        flags.join(','),
        node.master?.id ?? '-',
        Math.round(node.pingSentMs),
        Math.round(node.pongMs),
        node.master?.configEpoch ?? node.configEpoch,
        node === this.self || isConnected(node) ? 'connected' : 'disconnected',
        ...this.#rangesOf(this.slotsOf(node)),
        ...(node === this.self ? this.#open() : []),
      ];
      return `${fields.join(' ')}\n`;
    });
    return lines.join('');
  }

  #rangesOf(slots: readonly number[]): readonly string[] {
    const ranges = this.#ranges.get(slots) ?? rangesOf(slots);
    this.#ranges.set(slots, ranges);
    return ranges;
  }

  #open(): string[] {
    const slots = [...new Set([...this.migrating.keys(), ...this.importing.keys()])].toSorted((a, b) => a - b);
    return slots.map((slot) => {
      const to = this.migrating.get(slot);
      return to === undefined ? `[${slot}-<-${this.importing.get(slot)!.id}]` : `[${slot}->-${to.id}]`;
    });
  }
}

function knownNode(host: string, configEpoch: number): KnownNode {
  return {
    id: createHash('sha1').update(host).digest('hex'),
    host,
    master: undefined,
    hadReplicas: false,
    configEpoch,
    health: 'ok',
    failedMs: 0,
    reports: new Map(),
    pingSentMs: 0,
    pongMs: 0,
    heardMs: 0,
    votedMs: -Infinity,
    offset: 0,
  };
}
