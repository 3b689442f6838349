import type { Logger } from '../admin/log.ts';
import type { Clock } from '../core/clock.ts';
import type { SyncError } from '../core/errors.ts';
import { RefusalLog } from './refusal-log.ts';

/** Writes to the log that connections of a balancer were refused: see {@link RefusalLog}. */
export class ProxyLog {
  readonly #log: RefusalLog;

  /** `option` names the balancers of this door. */
  constructor(clock: Clock, logger: Logger, option: string) {
    this.#log = new RefusalLog(
      clock,
      logger,
      ({ message }) =>
        `connections of a balancer are refused: ${message}; let it send a PROXY protocol header (HAProxy: send-proxy-v2), or take its address out of ${option}`,
    );
  }

  refused(balancer: string, error: SyncError): void {
    this.#log.refused(balancer, error);
  }

  /** Writes what has been gathered. */
  flush(): void {
    this.#log.flush();
  }
}
