import type { Logger } from '../admin/log.ts';
import type { Clock, Timer } from '../core/clock.ts';

/** A certificate as this watch sees it. */
export interface WatchedCertificate {
  readonly names: readonly string[];
  /** Wall clock. */
  readonly expiresAtMs: number;
}

const DAY_MS = 24 * 60 * 60 * 1000;
/** What renews certificates does so 30 days before their end; less than this, it has failed for some time. */
const WARN_MS = 21 * DAY_MS;

/** Says in the log, at once and then every day, when the certificate of the doors will soon have ended, or has. */
export class CertificateWatch {
  readonly #clock: Clock;
  readonly #logger: Logger;
  #timer: Timer | undefined;

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock;
    this.#logger = logger;
  }

  /** From now on it is this one. */
  watch(certificate: WatchedCertificate): void {
    this.close();
    this.#look(certificate);
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #look(certificate: WatchedCertificate): void {
    const { names, expiresAtMs } = certificate;
    const leftMs = expiresAtMs - this.#clock.wallMs();
    const fields = { names, expires: new Date(expiresAtMs).toISOString() };
    if (leftMs <= 0) this.#logger.error(fields, `the TLS certificate has expired: clients refuse it; ${REMEDY}`);
    else if (leftMs < WARN_MS) this.#logger.warn(fields, `the TLS certificate expires in ${daysOf(leftMs)}; ${REMEDY}`);
    this.#timer = this.#clock.setTimer(DAY_MS, () => this.#look(certificate));
  }
}

const REMEDY = 'put a new one into the files of listen.tls and send SIGHUP';

function daysOf(ms: number): string {
  const days = Math.floor(ms / DAY_MS);
  return days === 0 ? 'less than a day' : `${days} day${days === 1 ? '' : 's'}`;
}
