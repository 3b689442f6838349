import { systemClock, type Clock, type Timer } from '../../core/clock.ts';
import { SyncError } from '../../core/errors.ts';
import type { Random } from '../../core/random.ts';
import type { RedisAddress, RedisUrl } from '../../core/redis-url.ts';
import { RedisLink, type CreateDriver, type RedisAccess } from './link.ts';
import type { MasterFinder } from './master-connector.ts';
import type { RedisTlsOptions } from './server-options.ts';

/** What one logs in with at the Sentinels; what the URL holds is for the servers. */
export interface SentinelAccess {
  readonly credentials?: { readonly username?: string; readonly password: string } | undefined;
  readonly tls?: RedisTlsOptions | undefined;
}

export interface SentinelsOptions extends SentinelAccess {
  readonly clock?: Clock;
  readonly random?: Random;
  readonly createDriver?: CreateDriver;
}

/** What a Sentinel says. The newer configuration has the higher epoch. */
export interface Answer {
  readonly master: RedisAddress;
  readonly epoch: number;
}

/** A connection to one Sentinel. */
interface Sentinel {
  readonly address: RedisAddress;
  readonly link: RedisLink;
  /** Resolves when it was reached for the first time, or could not be. */
  readonly attempted: Promise<void>;
}

const ASK_TIMEOUT_MS = 1000;
/** How often Sentinels are asked while nothing happens: how soon a split is noticed in which the old master still answers. */
const POLL_MS = 1000;

/**
 * The Sentinels that the URL names: asks all of them for the master and believes the newest configuration, so that one
 * that was cut off, and still names the old master, misleads nobody while another one answers.
 *
 * What a majority says holds. Without one, what is older than what was heard before is not believed; and when none
 * answers, the last master that was heard of is still named: the Sentinels may be gone while it is there.
 */
export class Sentinels implements MasterFinder {
  readonly #name: string;
  readonly #secure: boolean;
  readonly #sentinels: readonly Sentinel[];
  readonly #clock: Clock;
  readonly #listeners = new Set<(master: RedisAddress) => void>();
  #known: Answer | undefined;
  #problem: SyncError | undefined;
  #timer: Timer | undefined;
  #closed = false;

  /** Starts to connect to every one of them. @throws {SyncError} `bad_config` when the certificates cannot be read. */
  constructor(url: RedisUrl, options: SentinelsOptions) {
    const { clock = systemClock, random } = options;
    this.#name = url.master;
    this.#secure = url.secure;
    this.#clock = clock;
    this.#sentinels = url.addresses.map((address) => this.#connect(address, options, random));
    this.#schedule();
  }

  async find(): Promise<RedisAddress> {
    const patience = Promise.withResolvers<void>();
    const timer = this.#clock.setTimer(ASK_TIMEOUT_MS, patience.resolve);
    await Promise.race([Promise.all(this.#sentinels.map(({ attempted }) => attempted)), patience.promise]);
    timer.cancel();
    await this.#ask();
    if (this.#known === undefined) throw this.#problem ?? unknown('no sentinel has answered yet');
    return this.#known.master;
  }

  watch(listener: (master: RedisAddress) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Logs in with these from the next connections on. @throws {SyncError} `bad_config` when the certificates cannot be read. */
  useAccess(access: SentinelAccess): void {
    for (const { address, link } of this.#sentinels) link.useAccess(this.#accessTo(address, access));
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#timer?.cancel();
    for (const { link } of this.#sentinels) link.close();
  }

  #connect(address: RedisAddress, options: SentinelsOptions, random: Random | undefined): Sentinel {
    const { promise: attempted, resolve } = Promise.withResolvers<void>();
    const link: RedisLink = new RedisLink(
      {
        ...this.#accessTo(address, options),
        commandTimeoutMs: ASK_TIMEOUT_MS,
        connectTimeoutMs: ASK_TIMEOUT_MS,
        ...(options.createDriver && { createDriver: options.createDriver }),
      },
      {
        up: () => {
          link.settled();
          resolve();
        },
        down: () => resolve(),
      },
      random,
    );
    return { address, link, attempted };
  }

  /** What a link knows: the URL of one server, with who one is there. */
  #accessTo(address: RedisAddress, { credentials, tls }: SentinelAccess): RedisAccess {
    const { username = '', password = '' } = credentials ?? {};
    const user = credentials ? `${encodeURIComponent(username)}:${encodeURIComponent(password)}@` : '';
    const host = address.host.includes(':') ? `[${address.host}]` : address.host;
    return { url: `${this.#secure ? 'rediss' : 'redis'}://${user}${host}:${address.port}`, tls };
  }

  #schedule(): void {
    this.#timer = this.#clock.setTimer(POLL_MS, () => {
      void this.#ask().then(() => {
        if (!this.#closed) this.#schedule();
      });
    });
  }

  async #ask(): Promise<void> {
    const results = await Promise.allSettled(this.#sentinels.map(({ link }) => this.#askOne(link)));
    if (this.#closed) return;
    const answers = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    const failure = results.find((result) => result.status === 'rejected');
    if (failure !== undefined) this.#problem = failure.reason as SyncError;
    this.#known = believe(answers, this.#sentinels.length, this.#known);
    if (answers.length === 0 || this.#known === undefined) return;
    for (const listener of [...this.#listeners]) listener(this.#known.master);
  }

  /** Both commands travel together. The address alone has no epoch, and that of the other one lags behind a promotion. */
  async #askOne(link: RedisLink): Promise<Answer> {
    const [state, address] = await Promise.all([
      link.command('SENTINEL', ['MASTER', this.#name]),
      link.command('SENTINEL', ['GET-MASTER-ADDR-BY-NAME', this.#name]),
    ]);
    if (!Array.isArray(state) || !Array.isArray(address)) throw unknown(`a sentinel knows no master named ${this.#name}`);
    const fields = (state as unknown[]).map(String);
    const [host, port] = address as unknown[];
    return {
      master: { host: String(host), port: Number(port) },
      epoch: Number(fields[fields.indexOf('config-epoch') + 1]),
    };
  }
}

/** What is believed after some of `count` Sentinels have answered, when `known` was before. */
export function believe(answers: readonly Answer[], count: number, known: Answer | undefined): Answer | undefined {
  // The newest configuration can be told in two ways, in the middle of a promotion: then what more of them say.
  const support = ({ master }: Answer) =>
    answers.filter(({ master: { host, port } }) => host === master.host && port === master.port).length;
  const newest = answers.toSorted((a, b) => b.epoch - a.epoch || support(b) - support(a))[0];
  if (newest === undefined || known === undefined) return newest ?? known;
  return answers.length > count / 2 || newest.epoch >= known.epoch ? newest : known;
}

function unknown(reason: string): SyncError {
  return new SyncError('queue_unavailable', `the master cannot be found: ${reason}`);
}
