import type { Logger } from '../admin/log.ts';
import type { ListenTlsConfig } from '../config/config.ts';
import type { Clock } from '../core/clock.ts';
import { messageOf, SyncError } from '../core/errors.ts';
import type { TlsDoorOptions } from '../ingest/introductions.ts';
import { TlsTerminator } from '../ingest/tls-terminator.ts';
import { CertificateWatch } from './certificate-watch.ts';
import { RefusalLog } from './refusal-log.ts';

export interface DoorTlsOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Counts a connection that was refused, by error code. */
  readonly count: (code: string) => void;
}

/** TLS of the doors: one certificate for all of them, which can be exchanged while they are open. */
export class DoorTls {
  /** What a door is given that speaks TLS. */
  readonly door: TlsDoorOptions;
  readonly #terminator: TlsTerminator;
  readonly #log: RefusalLog;
  readonly #watch: CertificateWatch;
  readonly #clock: Clock;
  #config: ListenTlsConfig;

  constructor(config: ListenTlsConfig, { clock, logger, count }: DoorTlsOptions) {
    this.#config = config;
    this.#clock = clock;
    this.#terminator = new TlsTerminator(config, clock);
    this.#log = new RefusalLog(clock, logger, ({ message }) => `connections are refused before they are those of a client: ${message}`);
    this.#watch = new CertificateWatch(clock, logger);
    this.#watch.watch(config);
    this.door = {
      terminator: this.#terminator,
      clock,
      refused: (address, error) => {
        count(error.code);
        this.#log.refused(address, error);
      },
    };
  }

  /**
   * Makes ready to go on with `next`, and returns what makes it count for new connections.
   * @throws {SyncError} `bad_config` when it cannot be used, or is another certificate that has expired already.
   */
  prepare(next: ListenTlsConfig): () => void {
    const { cert } = this.#config;
    if (next.cert !== cert && next.expiresAtMs <= this.#clock.wallMs())
      throw unusable(`expired on ${new Date(next.expiresAtMs).toISOString()}, so the one before it stays`);
    let take: () => void;
    try {
      take = this.#terminator.prepare(next);
    } catch (error) {
      throw unusable(`cannot be used (${messageOf(error)})`);
    }
    return () => {
      take();
      this.#config = next;
      this.#watch.watch(next);
    };
  }

  close(): void {
    this.#watch.close();
    this.#log.flush();
  }
}

function unusable(reason: string): SyncError {
  return new SyncError('bad_config', `listen.tls.cert: the certificate ${reason}`);
}
