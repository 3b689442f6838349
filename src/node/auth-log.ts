import type { Logger } from '../admin/log.ts';
import type { Clock, Timer } from '../core/clock.ts';
import type { Refusal } from '../ingest/failed-attempts.ts';

/** So often it is said that the same goes on. */
const GATHER_MS = 30_000;
/** Different lines in that time; what is beyond them is counted together. */
const MAX_LINES = 32;

const REASONS: Readonly<Record<Refusal['reason'], string>> = {
  no_token: 'no token was shown',
  unknown_token: 'the token is unknown, expired or revoked',
  unlisted_producer: 'the token is that of a producer that is not among producers',
  address: 'it may not come from this address',
  certificate: 'the certificate is that of another producer than the token, or of several',
};

/**
 * Writes to the log who was not let in and why: the first from an address for a reason at once, those after it together in
 * one line. Peers are not told why, so that this is the place to look.
 */
export class AuthLog {
  readonly #clock: Clock;
  readonly #logger: Logger;
  /** By what is the same about them: how many were not written yet. */
  readonly #gathered = new Map<string, { readonly refusal: Refusal; count: number }>();
  #others = 0;
  #timer: Timer | undefined;

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock;
    this.#logger = logger;
  }

  refused(refusal: Refusal): void {
    const { address, reason, producer } = refusal;
    const key = `${reason} ${producer} ${address}`;
    const gathered = this.#gathered.get(key);
    if (gathered !== undefined) gathered.count++;
    else if (this.#gathered.size >= MAX_LINES) this.#others++;
    else {
      this.#gathered.set(key, { refusal, count: 0 });
      this.#write(refusal, 1);
    }
    this.#timer ??= this.#clock.setTimer(GATHER_MS, () => this.flush());
  }

  /** Writes what has been gathered. */
  flush(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    for (const { refusal, count } of this.#gathered.values()) if (count > 0) this.#write(refusal, count);
    if (this.#others > 0)
      this.#logger.warn({ code: 'auth_failed', count: this.#others }, 'not let in: more, from many addresses or for many reasons');
    this.#gathered.clear();
    this.#others = 0;
  }

  #write({ address, reason, producer }: Refusal, count: number): void {
    this.#logger.warn({ address, producer, code: 'auth_failed', reason, count }, `not let in: ${REASONS[reason]}`);
  }
}
