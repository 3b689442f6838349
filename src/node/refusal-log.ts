import type { Logger } from '../admin/log.ts';
import type { Clock, Timer } from '../core/clock.ts';
import type { SyncError } from '../core/errors.ts';

/** Whoever is refused tries again and again, and who scans ports never ends: so often it is said. */
const GATHER_MS = 30_000;

/** Writes to the log that a door refused connections: the first at once, those after it together in one line. */
export class RefusalLog {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #describe: (error: SyncError) => string;
  #count = 0;
  #last: { readonly address: string; readonly error: SyncError } | undefined;
  #timer: Timer | undefined;

  /** `describe` gives the line for the last error of those that are told together. */
  constructor(clock: Clock, logger: Logger, describe: (error: SyncError) => string) {
    this.#clock = clock;
    this.#logger = logger;
    this.#describe = describe;
  }

  refused(address: string, error: SyncError): void {
    this.#count++;
    this.#last = { address, error };
    if (this.#timer === undefined) this.#tell();
  }

  /** Writes what has been gathered. */
  flush(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#write();
  }

  #tell(): void {
    this.#timer = undefined;
    if (this.#write()) this.#timer = this.#clock.setTimer(GATHER_MS, () => this.#tell());
  }

  #write(): boolean {
    if (this.#last === undefined) return false;
    const { address, error } = this.#last;
    this.#logger.warn({ address, code: error.code, count: this.#count }, this.#describe(error));
    this.#last = undefined;
    this.#count = 0;
    return true;
  }
}
