import { within } from '../support/within.ts';
import { statesOf } from './balancer.ts';
import type { PairMoment, ProcessRow } from './pair-view.ts';
import { nameOf } from './pair-parts.ts';
import type { PairWorld } from './pair-world.ts';
import type { Member, Roster } from './roster.ts';

const ANSWER_MS = 500;
const MAX_NOTES = 6;

/** Reads, once for every moment that is shown, what the parts of a pair say of themselves. */
export class PairObserver {
  readonly #world: PairWorld;
  readonly #roster: Roster;
  readonly #startedMs = performance.now();
  readonly #notes: string[] = [];
  #last = { atMs: performance.now(), sentRows: 0, appliedRows: 0 };
  phase: string | undefined;

  constructor(world: PairWorld, roster: (note: (line: string) => void) => Roster) {
    this.#world = world;
    this.#roster = roster((line) => this.#note(line));
  }

  get roster(): Roster {
    return this.#roster;
  }

  async moment(): Promise<PairMoment> {
    const { prober } = this.#world;
    const [processes, appliedRows] = await Promise.all([this.#processes(), this.#appliedRows()]);
    const sentRows = this.#sentRows();
    const atMs = performance.now();
    const perSecond = (now: number, before: number) => Math.max(0, ((now - before) * 1000) / (atMs - this.#last.atMs));
    const moment: PairMoment = {
      mode: this.#world.mode,
      elapsedMs: atMs - this.#startedMs,
      processes,
      sentRows,
      appliedRows,
      sentPerSecond: perSecond(sentRows, this.#last.sentRows),
      appliedPerSecond: perSecond(appliedRows, this.#last.appliedRows),
      waitingMs: prober.waitingMs,
      longestWaitMs: prober.window.longestWaitMs,
      notes: this.#notes,
      phase: this.phase,
    };
    this.#last = { atMs, sentRows, appliedRows };
    return moment;
  }

  #note(line: string): void {
    this.#notes.push(`${new Date().toTimeString().slice(0, 8)}  ${line}`);
    if (this.#notes.length > MAX_NOTES) this.#notes.shift();
  }

  async #processes(): Promise<ProcessRow[]> {
    const balancer = await answerOf(statesOf(this.#world.balancer));
    return Promise.all(
      this.#roster.members.map(async (member) => ({
        name: member.name,
        pid: member.pid,
        state: await this.#stateOf(member),
        balancer: balancer?.[this.#world.nodes.findIndex((_, i) => nameOf(i) === member.name)],
        isUp: member.running,
      })),
    );
  }

  async #stateOf(member: Member): Promise<string> {
    const state = this.#roster.stateOf(member);
    if (state === 'running') return (await answerOf(this.#roleOf(member.name))) ?? 'does not answer';
    return typeof state === 'string' ? state : `back in ${Math.ceil(state.backInMs / 1000)} s`;
  }

  async #roleOf(name: string): Promise<string> {
    const { nodes, redis, mode } = this.#world;
    const node = nodes.find((_, i) => nameOf(i) === name);
    if (node !== undefined) {
      if (await node.primary()) return mode === 'standby' ? 'leads' : 'active';
      return (await node.ready()) ? 'waits' : 'not ready';
    }
    const server = redis.servers.find((_, i) => `redis-${i + 1}` === name);
    if (server === undefined) return 'running';
    return (await server.command('INFO', 'replication')).includes('role:master') ? 'primary' : 'replica';
  }

  #sentRows(): number {
    const { producers, prober } = this.#world;
    const spooled = producers.flatMap((producer) => [...producer.history().spooled.values()]);
    return spooled.reduce((sum, n) => sum + n, 0) + prober.writtenCount;
  }

  async #appliedRows(): Promise<number> {
    const { mariadb, prober } = this.#world;
    const rows = await answerOf(mariadb.query('SELECT COUNT(*) AS n FROM shop.audit'));
    const applied = rows?.[0]?.['n'];
    return applied === undefined ? this.#last.appliedRows : Number(applied) + prober.appliedCount;
  }
}

/** What was answered in time. */
async function answerOf<T>(promise: Promise<T>): Promise<T | undefined> {
  return within(ANSWER_MS, promise, 'no answer').catch(() => undefined);
}
