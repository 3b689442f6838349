import type { RedisAddress } from '../../core/redis-url.ts';

/** Who serves a slot of a cluster. A newer owner has the higher epoch. */
export interface SlotOwner {
  readonly address: RedisAddress;
  readonly epoch: number;
}

/** What the nodes of a cluster say. */
export interface ClusterView {
  /** Undefined where nobody serves the slot. */
  ownerOf(slot: number): SlotOwner | undefined;
  /** Names (`host:port`) of all masters. */
  readonly masters: ReadonlySet<string>;
  /** Every node that is not known to have failed. */
  readonly nodes: readonly RedisAddress[];
}

/** What one node says of who serves slots `first` to `last`. */
interface Claim {
  readonly first: number;
  readonly last: number;
  readonly owner: SlotOwner;
}

const SLOT_COUNT = 16_384;
/** CRC-16/XMODEM. */
const POLYNOMIAL = 0x1021;

/** The slot of a key: that of its hash tag, when it has one. */
export function slotOf(key: string): number {
  const open = key.indexOf('{');
  const close = open < 0 ? -1 : key.indexOf('}', open + 1);
  let crc = 0;
  for (const byte of Buffer.from(close > open + 1 ? key.slice(open + 1, close) : key, 'utf8')) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? ((crc << 1) ^ POLYNOMIAL) & 0xffff : (crc << 1) & 0xffff;
  }
  return crc % SLOT_COUNT;
}

export function nameOf({ host, port }: RedisAddress): string {
  return `${host}:${port}`;
}

/** Makes one view of what several nodes answered to CLUSTER NODES: of two owners of a slot, the one of the higher epoch. */
export function readClusterNodes(answers: readonly string[]): ClusterView {
  const claims: Claim[] = [];
  const masters = new Map<string, number>();
  const demoted = new Map<string, number>();
  const nodes = new Map<string, RedisAddress>();
  for (const line of answers.flatMap((answer) => answer.split('\n'))) {
    const [, place = '', flags = '', , , , epochText, , ...ranges] = line.trim().split(' ');
    const address = parsePlace(place);
    const said = new Set(flags.split(','));
    if (address === undefined || said.has('noaddr') || said.has('handshake')) continue;
    const epoch = Number(epochText);
    const owner: SlotOwner = { address, epoch };
    const name = nameOf(address);
    if (!said.has('fail')) nodes.set(name, address);
    const roles = said.has('master') ? masters : demoted;
    roles.set(name, Math.max(epoch, roles.get(name) ?? 0));
    for (const range of ranges) {
      // In brackets: slots that are being handed over.
      const match = /^(\d+)(?:-(\d+))?$/.exec(range);
      if (match === null) continue;
      claims.push({ first: Number(match[1]), last: Number(match[2] ?? match[1]), owner });
    }
  }
  const isMaster = ([name, epoch]: [string, number]) => epoch >= (demoted.get(name) ?? 0);
  return { ownerOf: lookUp(claims), masters: new Set([...masters].filter(isMaster).map(([name]) => name)), nodes: [...nodes.values()] };
}

/** Finds owners among claims. A queue has few keys and is asked for the same slots again and again, so the others are never looked at. */
function lookUp(claims: readonly Claim[]): ClusterView['ownerOf'] {
  const known = new Map<number, SlotOwner | undefined>();
  return (slot) => {
    let owner = known.get(slot);
    if (owner !== undefined || known.has(slot)) return owner;
    for (const claim of claims)
      if (claim.first <= slot && slot <= claim.last && (owner?.epoch ?? -1) < claim.owner.epoch) owner = claim.owner;
    known.set(slot, owner);
    return owner;
  };
}

/** `host:port@bus[,hostname]`; the name is the one that certificates know. */
function parsePlace(place: string): RedisAddress | undefined {
  const match = /^(.*):(\d+)@\d+(?:,([^,]*))?/.exec(place);
  const host = match?.[3] === undefined || match[3] === '' ? match?.[1] : match[3];
  return host === undefined || host === '' ? undefined : { host, port: Number(match?.[2]) };
}
