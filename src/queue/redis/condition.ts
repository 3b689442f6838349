import type { Clock, Timer } from '../../core/clock.ts';
import { messageOf, SyncError } from '../../core/errors.ts';
import type { QueueSettings } from '../queue.ts';
import { recordOfSettings, settingsMismatch } from '../settings.ts';
import type { NodeWatch, RedisNode } from './node.ts';
import { replicationWarnings } from './replication-warnings.ts';
import type { Scripts } from './scripts.ts';

export interface RedisConditionOptions {
  /** Share of maxmemory, in percent, at which producers are held back. */
  readonly pressurePercent: number;
  /** How often the state of Redis is looked at. */
  readonly pollMs: number;
  /** Whether a replica may take this server's place. */
  readonly isReplaceable: boolean;
  /** Receives what is not wrong but unwise about this Redis, each message once. */
  readonly warn: (message: string) => void;
}

/** What is made of it. */
export interface ConditionEvents {
  /** Why this server is not fit for appends; undefined when it is. */
  admit(reason: string | undefined): void;
  /** It is connected, and was looked at. */
  connected(): void;
}

/** Why nothing is admitted before the first connection. */
export const NOT_CONNECTED = 'queue_unavailable: not connected to redis yet';

/** Producers come back when usage is this many points below the limit, so that admission does not flutter. */
const PRESSURE_HYSTERESIS = 5;
const OLDEST_MAJOR_VERSION = 7;

/**
 * Watches whether a Redis can be a queue, and decides about admission. It is looked at after every connection and then
 * every `pollMs`: settings of the installation, eviction policy, memory, whether writes are taken, and whether enough
 * replicas follow.
 */
export class RedisCondition implements NodeWatch {
  readonly #node: RedisNode;
  readonly #scripts: Scripts;
  /** A hash on this server that holds the settings. */
  readonly #settingsKey: () => string;
  readonly #settings: QueueSettings;
  readonly #options: RedisConditionOptions;
  readonly #clock: Clock;
  readonly #events: ConditionEvents;
  readonly #warned = new Set<string>();

  /** What speaks against this Redis, the gravest first; admission is open when all are undefined. */
  #away: string | undefined = NOT_CONNECTED;
  #unfit: SyncError | undefined;
  #evicting: string | undefined;
  #refusing: string | undefined;
  #unreplicated: string | undefined;
  #pressed: string | undefined;

  /** Counts connections, so that what was learnt over an older one is not believed. */
  #epoch = 0;
  #timer: Timer | undefined;
  #infoDenied = false;
  readonly #firstContact = Promise.withResolvers<void>();

  constructor(
    node: RedisNode,
    scripts: Scripts,
    settingsKey: () => string,
    settings: QueueSettings,
    options: RedisConditionOptions,
    clock: Clock,
    events: ConditionEvents,
  ) {
    this.#node = node;
    this.#scripts = scripts;
    this.#settingsKey = settingsKey;
    this.#settings = settings;
    this.#options = options;
    this.#clock = clock;
    this.#events = events;
  }

  /** Resolves when Redis was looked at for the first time or could not be reached. @throws {SyncError} when it holds other settings or is unsuitable. */
  async firstContact(): Promise<void> {
    await this.#firstContact.promise;
    if (this.#unfit) throw this.#unfit;
  }

  /** Why nothing may be appended here, whatever the memory: other settings, or an unsuitable server. */
  get unfit(): SyncError | undefined {
    return this.#unfit;
  }

  connected(): void {
    this.#epoch++;
    void this.#welcome(this.#epoch);
  }

  disconnected(problem: SyncError): void {
    this.#epoch++;
    this.#timer?.cancel();
    this.#away = describe(problem);
    this.#decide();
    this.#firstContact.resolve();
  }

  /** Takes note of why an append failed, so that producers are held back at once. */
  note(error: SyncError): void {
    if (error.code === 'queue_unreplicated') this.#unreplicated = describe(error);
    else if (error.code === 'queue_full' || error.code === 'queue_readonly') this.#refusing = describe(error);
    else return;
    this.#decide();
  }

  /** Looks no more. */
  end(): void {
    this.#epoch++;
    this.#timer?.cancel();
    this.#firstContact.resolve();
  }

  async #welcome(epoch: number): Promise<void> {
    try {
      await Promise.all([this.#loadScripts(), this.#judgeServer()]);
      await this.#look(epoch);
    } catch (error) {
      // The connection ended, and the next one begins anew; or Redis does not answer on it, and the next look may succeed.
      if (epoch !== this.#epoch) return;
      this.#away = describe(error);
      this.#decide();
    }
    this.#firstContact.resolve();
    if (epoch === this.#epoch) this.#schedule(epoch);
  }

  #schedule(epoch: number): void {
    this.#timer = this.#clock.setTimer(this.#options.pollMs, () => {
      if (epoch === this.#epoch) void (this.#away === undefined ? this.#lookAgain(epoch) : this.#welcome(epoch));
    });
  }

  async #lookAgain(epoch: number): Promise<void> {
    try {
      await this.#look(epoch);
    } catch (error) {
      if (epoch !== this.#epoch) return;
      this.#refusing = describe(error);
      this.#decide();
    }
    if (epoch === this.#epoch) this.#schedule(epoch);
  }

  async #look(epoch: number): Promise<void> {
    const key = this.#settingsKey();
    const [memory, probed, unreplicated] = await Promise.all([this.#info('memory'), this.#probe(key), this.#probeReplicas(key)]);
    if (epoch !== this.#epoch) return;
    const refusal = probed instanceof SyncError ? probed : undefined;
    // The link leaves a server that is no master; others may not be let in, or not understood.
    if (refusal && (!this.#node.up || refusal.code === 'queue_unavailable')) throw refusal;
    // What is recorded can still be read where nothing can be written.
    const recorded = refusal ? await this.#node.command('HGET', [key, 'settings']) : probed;
    if (epoch !== this.#epoch) return;
    this.#refusing = refusal && describe(refusal);
    this.#unreplicated = unreplicated;
    this.#judgeSettings(recorded);
    if (memory) this.#judgeMemory(memory);
    const isNews = this.#away !== undefined;
    this.#away = undefined;
    if (isNews) {
      this.#node.settled();
      this.#events.connected();
    }
    this.#decide();
  }

  #decide(): void {
    this.#events.admit(
      this.#away ?? (this.#unfit && describe(this.#unfit)) ?? this.#evicting ?? this.#refusing ?? this.#unreplicated ?? this.#pressed,
    );
  }

  /** Tries a write: gives the settings that are recorded, or why Redis refuses writes now. */
  #probe(key: string): Promise<unknown> {
    return this.#node.run(this.#scripts.probe, [key], [recordOfSettings(this.#settings)]).catch((error: unknown) => error);
  }

  /** Gives why too few replicas have what is written. That Redis refuses the write itself is seen by {@link #probe}. */
  async #probeReplicas(key: string): Promise<string | undefined> {
    try {
      await this.#node.probeReplicas(key);
    } catch (error) {
      if (error instanceof SyncError && error.code === 'queue_unreplicated') return describe(error);
      if (!(error instanceof SyncError) || error.cause === undefined) throw error;
    }
    return undefined;
  }

  /** `found`: null when none are recorded. */
  #judgeSettings(found: unknown): void {
    if (this.#unfit?.code === 'queue_unsuitable' || found === null) return;
    const recorded = String(found);
    this.#unfit = recorded === recordOfSettings(this.#settings) ? undefined : settingsMismatch(recorded, this.#settings);
  }

  #judgeMemory(info: ReadonlyMap<string, string>): void {
    const policy = info.get('maxmemory_policy');
    const limit = Number(info.get('maxmemory') ?? 0);
    const evicts = policy !== undefined && policy !== 'noeviction';
    this.#evicting = evicts
      ? `queue_evicting: redis has maxmemory-policy ${policy} and may evict queued changes; set it to noeviction`
      : undefined;
    if (limit === 0) {
      this.#pressed = undefined;
      this.#warn('redis has no maxmemory: a backlog may take all memory of its machine; set maxmemory');
      return;
    }
    const percent = (100 * Number(info.get('used_memory') ?? 0)) / limit;
    const threshold = this.#options.pressurePercent - (this.#pressed === undefined ? 0 : PRESSURE_HYSTERESIS);
    this.#pressed =
      percent >= threshold
        ? `queue_full: redis uses more than ${this.#options.pressurePercent} % of its maxmemory; producers wait until the backlog shrinks`
        : undefined;
  }

  async #judgeServer(): Promise<void> {
    const info = await this.#info('default');
    if (!info) return;
    const { replicas } = this.#node;
    if (this.#options.isReplaceable || replicas > 0) for (const message of replicationWarnings(info, replicas)) this.#warn(message);
    const version = info.get('redis_version') ?? '';
    const tooOld = Number.parseInt(version, 10) < OLDEST_MAJOR_VERSION;
    this.#unfit = tooOld
      ? new SyncError('queue_unsuitable', `redis has version ${version}; ${OLDEST_MAJOR_VERSION}.0 or newer is needed`)
      : undefined;
    if (info.get('aof_enabled') === '0') {
      this.#warn('redis has appendonly no: a restart loses what is stored and not applied, and clients send it again; set appendonly yes');
    }
  }

  async #info(section: string): Promise<ReadonlyMap<string, string> | undefined> {
    if (this.#infoDenied) return undefined;
    try {
      return parseInfo(String(await this.#node.command('INFO', [section])));
    } catch (error) {
      const reply = error instanceof SyncError ? error.cause : undefined;
      if (reply !== 'NOPERM' && reply !== 'ERR') throw error;
      this.#infoDenied = true;
      this.#warn(
        `redis does not let this user run INFO, so eviction policy and memory cannot be checked; grant +info (${messageOf(error)})`,
      );
      return undefined;
    }
  }

  /** Ahead of use, so that frames do not travel twice. Not permitted is no harm: then the first use loads a script. */
  async #loadScripts(): Promise<void> {
    await Promise.allSettled(Object.values(this.#scripts).map((script) => this.#node.command('SCRIPT', ['LOAD', script.source])));
  }

  #warn(message: string): void {
    if (this.#warned.has(message)) return;
    this.#warned.add(message);
    this.#options.warn(message);
  }
}

function describe(error: unknown): string {
  return error instanceof SyncError ? `${error.code}: ${error.message}` : messageOf(error);
}

function parseInfo(text: string): Map<string, string> {
  const fields = new Map<string, string>();
  for (const line of text.split('\r\n')) {
    const colon = line.indexOf(':');
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1));
  }
  return fields;
}
