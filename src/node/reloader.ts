import type { ConfigState } from '../admin/state.ts';
import type { Logger } from '../admin/log.ts';
import type { Config } from '../config/config.ts';
import { planReload, type Reload } from '../config/reload.ts';
import type { Clock } from '../core/clock.ts';
import { SyncError } from '../core/errors.ts';

export interface ReloaderOptions {
  /** What the server was started with. */
  readonly config: Config;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Makes a running server go by `next`. @throws {SyncError} when it cannot; then nothing has changed. */
  readonly apply: (next: Config, before: Config) => Promise<void>;
  /** Told of every reload. */
  readonly observer: ReloadObserver;
}

export interface ReloadObserver {
  reloaded(reload: Reload, before: Config): void;
  reloadFailed(error: SyncError): void;
}

/** Keeps the configuration that a server runs with, and changes it while it runs: all of what can change, or nothing. */
export class Reloader {
  readonly #options: ReloaderOptions;
  #config: Config;
  #loadedAtMs: number;
  #waiting: readonly string[] = [];
  #failure: string | undefined;
  /** The reload under way, and with it those that were asked for since it began. */
  #turn: Promise<void> = Promise.resolve();

  constructor(options: ReloaderOptions) {
    this.#options = options;
    this.#config = options.config;
    this.#loadedAtMs = options.clock.wallMs();
  }

  get config(): Config {
    return this.#config;
  }

  get state(): ConfigState {
    return { loadedAtMs: this.#loadedAtMs, waiting: this.#waiting, failure: this.#failure };
  }

  /** Loads and applies, after those that were asked for before. Never rejects for what the world does: see {@link state}. */
  reload(load: () => Config): Promise<void> {
    this.#turn = this.#turn.then(() => this.#reload(load));
    return this.#turn;
  }

  async #reload(load: () => Config): Promise<void> {
    const { clock, logger, apply, observer } = this.#options;
    try {
      const before = this.#config;
      const reload = planReload(before, load());
      const { config, changed, waiting } = reload;
      await apply(config, before);
      this.#config = config;
      observer.reloaded(reload, before);
      this.#loadedAtMs = clock.wallMs();
      this.#waiting = waiting;
      this.#failure = undefined;
      for (const warning of config.warnings) logger.warn({}, warning);
      logger.info({ changed }, 'configuration loaded again');
      if (waiting.length > 0)
        logger.warn({ options: waiting }, 'options have changed that wait for a restart; until then they are as they were');
    } catch (error) {
      if (!(error instanceof SyncError)) throw error;
      observer.reloadFailed(error);
      this.#failure = `${error.code}: ${error.message}`;
      logger.error({ code: error.code, reason: error.message }, 'the configuration was not loaded again, and everything is as it was');
    }
  }
}
