import { readFile, stat } from 'node:fs/promises';
import type { Logger } from '../admin/log.ts';
import type { Config } from '../config/config.ts';
import { parseTokens, readTokens, type TokenEntry } from '../config/tokens-file.ts';
import type { Clock, Timer } from '../core/clock.ts';
import { messageOf } from '../core/errors.ts';
import type { Random } from '../core/random.ts';
import type { Authenticator } from '../ingest/context.ts';
import { FailedAttempts } from '../ingest/failed-attempts.ts';
import { createAuthenticator, DEFAULT_PRODUCER, tokenId } from '../ingest/producers.ts';
import { AuthLog } from './auth-log.ts';

export interface GatekeeperOptions {
  readonly tokensFile: string | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** By producer, what names its tokens in records. */
export type IssuedTokens = ReadonlyMap<string, readonly string[]>;

type TokensChanged = (before: IssuedTokens, after: IssuedTokens) => void;

/** Half of the time within which a revoked token must be seen to be one. */
const LOOK_MS = 1_000;

/** Makes authenticators of the configuration and the token file as they are now, and notices when the file changes. */
export class Gatekeeper {
  readonly #options: GatekeeperOptions;
  readonly #log: AuthLog;
  readonly #attempts: FailedAttempts;
  #entries: readonly TokenEntry[] = [];
  /** Those that were valid when {@link watch} told last. */
  #told: IssuedTokens = new Map();
  /** Which of them are not expired, as the last authenticator knows them. */
  #valid = '';
  #seen = '';
  #failure: string | undefined;
  #changed: TokensChanged | undefined;
  #timer: Timer | undefined;
  #closed = false;

  /** @throws {SyncError} `bad_config` when there is a token file that cannot be used. */
  constructor(options: GatekeeperOptions) {
    const { tokensFile, clock, random, logger } = options;
    this.#options = options;
    this.#log = new AuthLog(clock, logger);
    this.#attempts = new FailedAttempts({ clock, random, onRefused: (refusal) => this.#log.refused(refusal) });
    if (tokensFile === undefined) return;
    this.#entries = readTokens(tokensFile);
    this.#told = tokensOf(this.#validEntries());
    if (this.#entries.length === 0) logger.warn({ file: tokensFile }, 'the token file holds no tokens; syncline token create makes one');
  }

  /** Who may come in by `config`, and by the tokens that are valid now. */
  authenticator({ token, producers: all, ingest: { addresses } }: Pick<Config, 'token' | 'producers' | 'ingest'>): Authenticator {
    const { tokensFile } = this.#options;
    const producers = token === undefined ? all : all.filter(({ name }) => name !== DEFAULT_PRODUCER);
    const valid = this.#validEntries();
    this.#valid = digestsOf(valid);
    const issued = valid.map(({ producer, sha256 }) => ({ producer, digest: `sha256:${sha256}` }));
    const settings = { token, producers, addresses, issued: tokensFile === undefined ? undefined : issued };
    return createAuthenticator(settings, (refusal) => this.#attempts.refused(refusal));
  }

  /** Calls `changed` when tokens came or went, within two seconds: it is time for another {@link authenticator}. */
  watch(changed: TokensChanged): void {
    this.#changed = changed;
    if (this.#options.tokensFile !== undefined) this.#lookLater(this.#options.tokensFile);
  }

  /** Answers everybody who waits, and looks no more. */
  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#attempts.close();
    this.#log.flush();
  }

  #lookLater(path: string): void {
    this.#timer = this.#options.clock.setTimer(LOOK_MS, () => {
      void this.#look(path).finally(() => {
        if (!this.#closed) this.#lookLater(path);
      });
    });
  }

  /** What cannot be used changes nothing, as with a configuration: whoever is in stays in, and the log says why. */
  async #look(path: string): Promise<void> {
    const { logger } = this.#options;
    try {
      const { ino, size, mtimeNs } = await stat(path, { bigint: true });
      const seen = `${ino} ${size} ${mtimeNs}`;
      if (seen !== this.#seen) {
        this.#entries = parseTokens(await readFile(path, 'utf8'), path);
        this.#seen = seen;
      }
      if (this.#failure !== undefined) logger.info({ file: path }, 'the token file can be used again');
      this.#failure = undefined;
    } catch (error) {
      if (this.#closed) return;
      if ((error as NodeJS.ErrnoException).code === 'ENOENT' && this.#entries.length === 0) return;
      const failure = messageOf(error);
      if (failure !== this.#failure)
        logger.error({ file: path, reason: failure }, 'the token file cannot be used; tokens are as they were before');
      this.#failure = failure;
    }
    const valid = this.#validEntries();
    if (this.#closed || digestsOf(valid) === this.#valid) return;
    logger.info({ file: path, count: valid.length }, 'tokens changed');
    const before = this.#told;
    this.#told = tokensOf(valid);
    this.#changed?.(before, this.#told);
  }

  #validEntries(): readonly TokenEntry[] {
    const nowMs = this.#options.clock.wallMs();
    return this.#entries.filter(({ expires }) => expires === undefined || Date.parse(expires) > nowMs);
  }
}

function tokensOf(entries: readonly TokenEntry[]): IssuedTokens {
  const tokens = new Map<string, string[]>();
  for (const { producer, sha256 } of entries) tokens.set(producer, [...(tokens.get(producer) ?? []), tokenId(`sha256:${sha256}`)]);
  return tokens;
}

/** Whatever an authenticator knows of tokens. */
function digestsOf(entries: readonly TokenEntry[]): string {
  return entries.map(({ producer, sha256 }) => `${producer} ${sha256}`).join('\n');
}
