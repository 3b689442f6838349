import type { Clock } from '../../../../src/core/clock.ts';
import type { SeededRandom } from '../../../support/seeded-random.ts';
import type { Host } from '../../world/host.ts';
import type { Network } from '../../world/network.ts';
import { Together } from '../../world/wire.ts';
import { ErrorReply, type Reply } from '../replies.ts';

/** A node as it says of itself. */
interface Seen {
  readonly host: string;
  readonly id: string;
  readonly isMaster: boolean;
  readonly epoch: number;
  /** Of the master that it follows. */
  readonly masterId: string | undefined;
  /** Those that it has, by their firsts and lasts. */
  readonly ranges: readonly (readonly [first: number, last: number])[];
  has(slot: number): boolean;
  /** Hosts of nodes that the majority of the masters does not reach. */
  readonly failed: ReadonlySet<string>;
  /** Slots that are being handed over, and the id of the other side. */
  readonly open: ReadonlyMap<number, { readonly way: 'to' | 'from'; readonly other: string }>;
}

/** How keys go to another node: over what may be there, or not. */
type Over = 'replaces' | 'spares';

/** What went wrong: the administrator gives up, and leaves everything as it is. */
class Failed extends Error {
  override name = 'Failed';
}

const ANSWER_MS = 3_000;
const MIGRATE_MS = '1000';
const LOOK_MS = 1_000;
/** Slots in a row that are handed over one by one. */
const FEW = 16;

/** Whoever hands slots over, and closes those that were left open, as `redis-cli --cluster reshard` and `fix` do. */
export class Administrator {
  readonly host: Host;
  readonly #network: Network;
  readonly #random: SeededRandom;
  readonly #nodes: readonly string[];
  #clock: Clock | undefined;
  /** Hands over, or has something to close. */
  isBusy = false;

  /** `nodes`: the hosts of the cluster. */
  constructor(host: Host, network: Network, random: SeededRandom, nodes: readonly string[]) {
    this.host = host;
    this.#network = network;
    this.#random = random;
    this.#nodes = nodes;
  }

  /** Hands a slot over, with up to `maxPauseMs` between two keys, and up to four times as much behind the last; gives up at the first thing that goes wrong. */
  begin(slot: number, target: string, maxPauseMs: number): void {
    this.#run(() => this.#handOver(slot, target, maxPauseMs));
  }

  /** The process ends in the midst of what it does. */
  die(): void {
    this.host.crash();
    this.isBusy = false;
  }

  /**
   * Closes every slot that is open, as soon as all nodes can be reached but those that have failed; goes on looking until these are
   * back, since slots may be open there.
   */
  mend(): void {
    this.#run(async () => {
      for (;;) {
        const seen = await this.#look();
        const open = new Set(seen.flatMap((node) => [...node.open.keys()]));
        const isThere = (name: string) => seen.some(({ host, failed }) => host === name || failed.has(name));
        if (this.#nodes.every(isThere)) {
          if (open.size === 0 && seen.length === this.#nodes.length && leftAlone(seen) === undefined) return;
          const alone = open.size === 0 ? leftAlone(seen) : undefined;
          this.isBusy = open.size > 0 || alone !== undefined;
          for (const slot of open) await this.#close(slot, seen).catch(whatFailed);
          for (const slot of alone?.slots ?? []) await this.#handOver(slot, alone!.target.host, 0).catch(whatFailed);
        }
        await this.#pass(LOOK_MS);
      }
    });
  }

  #run(work: () => Promise<void>): void {
    this.die();
    this.#clock = this.host.boot();
    this.isBusy = true;
    void work()
      .catch(whatFailed)
      .then(() => this.die());
  }

  async #handOver(slot: number, target: string, maxPauseMs: number): Promise<void> {
    const seen = await this.#look();
    const [from, to] = [ownerOf(slot, seen), seen.find(({ host }) => host === target)];
    if (from === undefined || to?.isMaster !== true || from === to) throw new Failed('nobody has it, or nobody is to have it');
    await this.#ask(to, 'CLUSTER', 'SETSLOT', String(slot), 'IMPORTING', from.id);
    await this.#ask(from, 'CLUSTER', 'SETSLOT', String(slot), 'MIGRATING', to.id);
    await this.#complete(slot, from, to, seen, { over: 'spares', maxPauseMs });
  }

  async #complete(
    slot: number,
    from: Seen,
    to: Seen,
    seen: readonly Seen[],
    { over, maxPauseMs }: { readonly over: Over; readonly maxPauseMs: number },
  ): Promise<void> {
    for (const key of await this.#keysIn(slot, from)) {
      await this.#pass(this.#random.below(maxPauseMs + 1));
      await this.#move(key, from, to, over);
    }
    await this.#pass(this.#random.below(4 * maxPauseMs + 1));
    // What was written meanwhile.
    for (const key of await this.#keysIn(slot, from)) await this.#move(key, from, to, over);
    // First whom it belongs to: were it last, nobody would have the slot for a while.
    const others = seen.filter((node) => node.isMaster && node !== from && node !== to);
    for (const node of [to, from]) await this.#ask(node, 'CLUSTER', 'SETSLOT', String(slot), 'NODE', to.id);
    for (const node of others) await this.#ask(node, 'CLUSTER', 'SETSLOT', String(slot), 'NODE', to.id).catch(whatFailed);
  }

  async #close(slot: number, seen: readonly Seen[]): Promise<void> {
    const owner = ownerOf(slot, seen);
    if (owner === undefined) throw new Failed('nobody has it');
    const going = owner.open.get(slot);
    const target = going?.way === 'to' ? seen.find(({ id, isMaster }) => id === going.other && isMaster) : undefined;
    if (target?.open.get(slot)?.way === 'from') return this.#complete(slot, owner, target, seen, { over: 'replaces', maxPauseMs: 0 });
    // Whoever was to have it, or had it, is that no more: all keys go to the owner, whose own are the ones that count.
    await this.#ask(owner, 'CLUSTER', 'SETSLOT', String(slot), 'STABLE');
    for (const node of seen) {
      if (node === owner || !node.isMaster) continue;
      const keys = await this.#keysIn(slot, node);
      if (keys.length > 0) await this.#ask(node, 'CLUSTER', 'SETSLOT', String(slot), 'IMPORTING', owner.id);
      for (const key of keys) await this.#move(key, node, owner, 'spares').catch(() => this.#remove(key, node));
      await this.#ask(node, 'CLUSTER', 'SETSLOT', String(slot), 'STABLE');
    }
  }

  async #keysIn(slot: number, node: Seen): Promise<readonly string[]> {
    return (await this.#ask(node, 'CLUSTER', 'GETKEYSINSLOT', String(slot), '1000')) as readonly string[];
  }

  async #move(key: string, from: Seen, to: Seen, over: Over): Promise<void> {
    await this.#ask(from, 'MIGRATE', to.host, '6379', key, '0', MIGRATE_MS, ...(over === 'replaces' ? ['REPLACE'] : []));
  }

  async #remove(key: string, node: Seen): Promise<void> {
    await this.#send(node.host, [['ASKING'], ['DEL', key]]);
  }

  /** Of every node that answers and has not failed for the others, what it says of itself. */
  async #look(): Promise<Seen[]> {
    const answers = await Promise.all(
      this.#nodes.map(async (host) => {
        const reply = await this.#send(host, [['CLUSTER', 'NODES']]).catch(whatFailed);
        return typeof reply === 'string' ? [readSelf(host, reply)] : [];
      }),
    );
    const seen = answers.flat();
    return seen.filter(({ host }) => !seen.some(({ failed }) => failed.has(host)));
  }

  /** @throws {Failed} also when the node refuses. */
  async #ask({ host }: Seen, ...args: string[]): Promise<Reply> {
    const reply = await this.#send(host, [args]);
    if (reply instanceof ErrorReply) throw new Failed(reply.message);
    return reply;
  }

  /** Sends commands over a connection of their own; gives the reply to the last one. @throws {Failed} without one. */
  #send(host: string, commands: readonly (readonly string[])[]): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const fail = () => reject(new Failed(`${host} does not answer`));
      const timer = this.#clock!.setTimer(ANSWER_MS, fail);
      this.#network.dial(this.host, host).then((wire) => {
        const replies: Reply[] = [];
        wire.open({
          message: (message) => {
            replies.push(...((message as Together).messages as readonly Reply[]));
            if (replies.length < commands.length) return;
            timer.cancel();
            wire.close();
            resolve(replies.at(-1)!);
          },
          closed: fail,
        });
        wire.send(new Together(commands), 64);
      }, fail);
    });
  }

  #pass(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#clock!.setTimer(ms, resolve));
  }
}

/**
 * The slots of a master that kept a few of them when its replica took over the others, and has no replica any more: given to
 * another one, it follows that.
 */
function leftAlone(seen: readonly Seen[]): { readonly slots: readonly number[]; readonly target: Seen } | undefined {
  const isFollowed = (node: Seen) => seen.some(({ masterId }) => masterId === node.id);
  const slotsOf = ({ ranges }: Seen) => ranges.flatMap(([first, last]) => (last - first < FEW ? range(first, last) : []));
  const target = seen.find((node) => node.isMaster && isFollowed(node));
  const alone = seen.find(
    (node) => node.isMaster && !isFollowed(node) && node.ranges.length > 0 && node.ranges.every(([a, b]) => b - a < FEW),
  );
  return alone === undefined || target === undefined ? undefined : { slots: slotsOf(alone), target };
}

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

function ownerOf(slot: number, seen: readonly Seen[]): Seen | undefined {
  return seen.filter((node) => node.isMaster && node.has(slot)).toSorted((a, b) => b.epoch - a.epoch)[0];
}

function readSelf(host: string, nodes: string): Seen {
  const lines = nodes.trimEnd().split('\n');
  const has = (line: string, flag: string) => line.split(' ')[2]!.split(',').includes(flag);
  const line = lines.find((each) => has(each, 'myself'))!;
  const [id, , , master, , , epoch, , ...slots] = line.split(' ');
  const ranges = slots.flatMap((text): [number, number][] => {
    if (!/^\d/.test(text)) return [];
    const [first = 0, last = first] = text.split('-').map(Number);
    return [[first, last]];
  });
  const open = slots.flatMap((text) => {
    const [, slot, way, other] = /^\[(\d+)-([<>])-(\w+)\]$/.exec(text) ?? [];
    return slot === undefined ? [] : [[Number(slot), { way: way === '>' ? ('to' as const) : ('from' as const), other: other! }] as const];
  });
  return {
    host,
    id: id!,
    isMaster: has(line, 'master'),
    epoch: Number(epoch),
    masterId: master === '-' ? undefined : master,
    ranges,
    has: (slot) => ranges.some(([first, last]) => slot >= first && slot <= last),
    failed: new Set(lines.filter((each) => has(each, 'fail')).map((each) => each.split(' ')[1]!.split(':')[0]!)),
    open: new Map(open),
  };
}

function whatFailed(error: unknown): undefined {
  if (!(error instanceof Failed)) throw error;
  return undefined;
}
