import { ErrorReply, StatusReply, type Reply } from '../replies.ts';
import type { SentinelLink } from './link.ts';

/** When a server that is asked once a second counts as silent for so long that another connection may be better, ms. */
const STUCK_MS = 5_000;

/** A server as one Sentinel sees it: what it answered last, and when. */
export class Instance {
  readonly host: string;
  readonly link: SentinelLink;
  /** When it last answered a PING. */
  #answeredMs: number;
  /** When it last told about itself. */
  infoMs = -Infinity;
  role: 'master' | 'slave' | undefined;
  /** Since when it says so, or whom it follows. */
  sinceMs = 0;
  /** Whom it follows. */
  primary: string | undefined;
  isLinkUp = false;
  offset = 0;
  /** The replicas that it has, when it is a primary. */
  replicas: readonly string[] = [];
  isDown = false;
  #pingedMs = -Infinity;
  /** Since when an answer is awaited. */
  #awaitedMs: number | undefined;
  #askedMs = -Infinity;

  constructor(host: string, link: SentinelLink, nowMs: number) {
    this.host = host;
    this.link = link;
    this.#answeredMs = nowMs;
  }

  /** For how long it has not answered, ms. */
  silentMs(nowMs: number): number {
    if (this.#awaitedMs !== undefined) return nowMs - this.#awaitedMs;
    return this.link.isUp ? 0 : nowMs - this.#answeredMs;
  }

  /** Forgets what it told: it counts as there, and as what the configuration says that it is. */
  begin(role: 'master' | 'slave', nowMs: number): void {
    this.#answeredMs = nowMs;
    this.#awaitedMs = undefined;
    this.infoMs = -Infinity;
    this.role = role;
    this.sinceMs = nowMs;
    this.replicas = [];
    this.isDown = false;
  }

  /** Asks whether it is there, at most every `periodMs`. */
  ping(nowMs: () => number, periodMs: number): void {
    // At once when there is a connection again.
    if (!this.link.isUp) this.#pingedMs = -Infinity;
    if (!this.link.isUp || nowMs() - this.#pingedMs < periodMs) return;
    this.#pingedMs = nowMs();
    if (this.link.waitingCount > 0 && nowMs() - this.#answeredMs > STUCK_MS) return this.link.renew();
    this.#awaitedMs ??= nowMs();
    this.link.ask([['PING']], (reply) => {
      if (!isAlive(reply)) return;
      this.#answeredMs = nowMs();
      this.#awaitedMs = undefined;
    });
  }

  /** Asks what it is, at most every `periodMs`. */
  inquire(nowMs: () => number, periodMs: number): void {
    if (nowMs() - this.#askedMs < periodMs) return;
    this.#askedMs = nowMs();
    this.link.ask([['INFO', 'replication']], (reply) => {
      if (typeof reply === 'string') this.#told(reply, nowMs());
    });
  }

  #told(info: string, nowMs: number): void {
    const lines = info.split('\r\n');
    const field = (name: string) => lines.find((line) => line.startsWith(`${name}:`))?.slice(name.length + 1);
    const role = field('role') === 'master' ? 'master' : 'slave';
    const primary = role === 'slave' ? field('master_host') : undefined;
    if (role !== this.role || primary !== this.primary) this.sinceMs = nowMs;
    this.role = role;
    this.primary = primary;
    this.isLinkUp = field('master_link_status') === 'up';
    this.offset = Number(field('slave_repl_offset') ?? 0);
    this.replicas = lines.flatMap((line) => /^slave\d+:ip=([^,]+),/.exec(line)?.[1] ?? []);
    this.infoMs = nowMs;
  }
}

function isAlive(reply: Reply): boolean {
  if (reply instanceof StatusReply) return reply.text === 'PONG';
  return reply instanceof ErrorReply && /^(LOADING|MASTERDOWN) /.test(reply.message);
}
