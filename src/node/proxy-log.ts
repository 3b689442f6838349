import type { Logger } from '../admin/log.ts';
import type { Clock, Timer } from '../core/clock.ts';
import type { SyncError } from '../core/errors.ts';

/** Every client tries again and again behind a balancer that is set up wrongly: so often it is said. */
const GATHER_MS = 30_000;

/** Writes to the log that connections of a balancer were refused: the first at once, those after it together in one line. */
export class ProxyLog {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #option: string;
  #count = 0;
  #last: { readonly balancer: string; readonly error: SyncError } | undefined;
  #timer: Timer | undefined;

  /** `option` names the balancers of this door. */
  constructor(clock: Clock, logger: Logger, option: string) {
    this.#clock = clock;
    this.#logger = logger;
    this.#option = option;
  }

  refused(balancer: string, error: SyncError): void {
    this.#count++;
    this.#last = { balancer, error };
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
    const { balancer, error } = this.#last;
    this.#logger.warn(
      { address: balancer, code: error.code, count: this.#count },
      `connections of a balancer are refused: ${error.message}; let it send a PROXY protocol header (HAProxy: send-proxy-v2), or take its address out of ${this.#option}`,
    );
    this.#last = undefined;
    this.#count = 0;
    return true;
  }
}
