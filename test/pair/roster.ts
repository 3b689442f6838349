import { messageOf } from '../../src/core/errors.ts';
import { isFrozen, thaw } from '../support/freeze.ts';
import { nameOf } from './pair-parts.ts';
import type { PairWorld } from './pair-world.ts';

/** A process of the pair that somebody may kill. */
export interface Member {
  readonly name: string;
  readonly pid: number;
  readonly running: boolean;
  restart(): Promise<void>;
}

export type MemberState = 'running' | 'frozen' | 'starting' | { readonly backInMs: number };

/** How long a process stays away that was killed. */
const AWAY_MS = 5_000;
const LOOK_MS = 100;

/** Everything of a pair that runs, and whoever starts again what was killed: 5 seconds later, as an init system might. */
export class Roster {
  readonly members: readonly Member[];
  readonly #note: (line: string) => void;
  readonly #endedAtMs = new Map<Member, number>();
  readonly #starting = new Set<Member>();
  readonly #timer: NodeJS.Timeout;

  /** `note` is told of every end and every start. */
  constructor(world: PairWorld, note: (line: string) => void) {
    this.members = membersOf(world);
    this.#note = note;
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
  }

  stateOf(member: Member): MemberState {
    if (this.#starting.has(member)) return 'starting';
    if (!member.running) return { backInMs: Math.max(0, (this.#endedAtMs.get(member) ?? performance.now()) + AWAY_MS - performance.now()) };
    return isFrozen(member.pid) ? 'frozen' : 'running';
  }

  /** Lets frozen ones go on; what was killed comes back by itself. */
  thawAll(): void {
    for (const member of this.members) if (member.running && isFrozen(member.pid)) thaw(member.pid);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    for (const member of this.members) {
      if (member.running || this.#starting.has(member)) continue;
      const endedAtMs = this.#endedAtMs.get(member);
      if (endedAtMs === undefined) {
        this.#endedAtMs.set(member, performance.now());
        this.#note(`${member.name} (${member.pid}) has ended, and is started again in ${AWAY_MS / 1000} s`);
      } else if (performance.now() - endedAtMs >= AWAY_MS) {
        void this.#start(member);
      }
    }
  }

  async #start(member: Member): Promise<void> {
    this.#starting.add(member);
    try {
      await member.restart();
      this.#note(`${member.name} is back, as ${member.pid}`);
    } catch (error) {
      this.#note(`${member.name} did not start: ${messageOf(error).slice(0, 200)}`);
    } finally {
      this.#starting.delete(member);
      this.#endedAtMs.delete(member);
    }
  }
}

function membersOf({ nodes, balancer, redis, mariadb }: PairWorld): Member[] {
  return [
    ...nodes.map((node, i) => memberOf(nameOf(i), node, () => node.start())),
    memberOf('haproxy', balancer),
    ...redis.servers.map((server, i) => memberOf(`redis-${i + 1}`, server)),
    ...redis.sentinels.map((sentinel, i) => memberOf(`sentinel-${i + 1}`, sentinel)),
    memberOf('mariadb', mariadb),
  ];
}

/** Reads from `process` whenever it is asked: with each life there is another pid. */
function memberOf(
  name: string,
  process: { readonly pid: number; readonly running: boolean; restart?(): Promise<void> },
  restart = () => process.restart?.() ?? Promise.resolve(),
): Member {
  return {
    name,
    get pid() {
      return process.pid;
    },
    get running() {
      return process.running;
    },
    restart,
  };
}
