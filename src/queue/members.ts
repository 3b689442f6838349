import type { Clock } from '../core/clock.ts';
import type { Member, MemberList } from './queue.ts';

interface Listed {
  readonly member: Member;
  readonly joinedMs: number;
  readonly expiresAtMs: number;
}

/** The nodes of a queue that one process has to itself: as a rule, itself. */
export class MemberTable {
  readonly #clock: Clock;
  readonly #listed = new Map<string, Listed>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** As {@link Queue.keepMember}. */
  keep(member: Member, ttlMs: number): MemberList {
    const nowMs = this.#clock.monotonicMs();
    for (const [name, { expiresAtMs }] of this.#listed) if (expiresAtMs <= nowMs) this.#listed.delete(name);
    const before = this.#listed.get(member.name);
    const wasListed = before?.member.incarnation === member.incarnation;
    if (ttlMs === 0 && wasListed) this.#listed.delete(member.name);
    if (ttlMs > 0 && (before === undefined || wasListed))
      this.#listed.set(member.name, { member, joinedMs: before?.joinedMs ?? nowMs, expiresAtMs: nowMs + ttlMs });
    return {
      nowMs: this.#clock.wallMs(),
      wasListed,
      members: [...this.#listed.values()].map((one) => ({
        ...one.member,
        ageMs: nowMs - one.joinedMs,
        leftMs: one.expiresAtMs - nowMs,
      })),
    };
  }
}
