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

/** Slots `first` to `last`. */
interface SlotRange {
  readonly first: number;
  readonly last: number;
}

/** What one node says of who serves these slots. */
interface Claim extends SlotRange {
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

/**
 * Makes one view of what several nodes answered to CLUSTER NODES: of two owners of a slot, the one of the higher epoch. What
 * others say of a node that says itself that it does not serve the slot counts only where nobody else is said to: until
 * Redis 7.2, a node that missed how a slot was handed over goes on naming the one before.
 */
export function readClusterNodes(answers: readonly string[]): ClusterView {
  const claims: Claim[] = [];
  /** Of nodes that answered, what they serve as they say themselves. */
  const own = new Map<string, SlotRange[]>();
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
    const served = ranges.flatMap((range) => parseRange(range) ?? []);
    for (const range of served) claims.push({ ...range, owner });
    if (said.has('myself')) own.set(name, served);
  }
  const isMaster = ([name, epoch]: [string, number]) => epoch >= (demoted.get(name) ?? 0);
  return {
    ownerOf: lookUp(claims, own),
    masters: new Set([...masters].filter(isMaster).map(([name]) => name)),
    nodes: [...nodes.values()],
  };
}

/** Finds owners among claims. A queue has few keys and is asked for the same slots again and again, so the others are never looked at. */
function lookUp(claims: readonly Claim[], own: ReadonlyMap<string, readonly SlotRange[]>): ClusterView['ownerOf'] {
  const known = new Map<number, SlotOwner | undefined>();
  return (slot) => {
    if (known.has(slot)) return known.get(slot);
    const named = claims.filter((claim) => isWithin(slot, claim)).map(({ owner }) => owner);
    const owner =
      newest(named.filter(({ address }) => own.get(nameOf(address))?.some((range) => isWithin(slot, range)) !== false)) ?? newest(named);
    known.set(slot, owner);
    return owner;
  };
}

function isWithin(slot: number, { first, last }: SlotRange): boolean {
  return first <= slot && slot <= last;
}

/** Of several with the same epoch, the first. */
function newest(owners: readonly SlotOwner[]): SlotOwner | undefined {
  let best: SlotOwner | undefined;
  for (const owner of owners) if ((best?.epoch ?? -1) < owner.epoch) best = owner;
  return best;
}

/** Undefined for what is in brackets: slots that are being handed over. */
function parseRange(text: string): SlotRange | undefined {
  const match = /^(\d+)(?:-(\d+))?$/.exec(text);
  return match === null ? undefined : { first: Number(match[1]), last: Number(match[2] ?? match[1]) };
}

/** `host:port@bus[,hostname]`; the name is the one that certificates know. */
function parsePlace(place: string): RedisAddress | undefined {
  const match = /^(.*):(\d+)@\d+(?:,([^,]*))?/.exec(place);
  const host = match?.[3] === undefined || match[3] === '' ? match?.[1] : match[3];
  return host === undefined || host === '' ? undefined : { host, port: Number(match?.[2]) };
}
