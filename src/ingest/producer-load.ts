import type { Clock } from '../core/clock.ts';
import { SyncError } from '../core/errors.ts';
import type { IngestSettings } from './context.ts';
import { TokenBucket } from './token-bucket.ts';

/** What one producer may do, with all of its connections together. */
export interface ProducerLimits {
  readonly maxConnections: number;
  /** Changes in one batch; a batch with more is refused, and becomes dead letters. */
  readonly maxBatchChanges: number;
  /** In frames, as sent; without it there is no limit. */
  readonly bytesPerSecond?: number | undefined;
  readonly changesPerSecond?: number | undefined;
}

/** What differs for one producer. */
export type ProducerOverrides = { readonly [Limit in keyof ProducerLimits]?: ProducerLimits[Limit] | undefined };

/** A rate that a producer can exceed. */
export type Rate = 'bytes' | 'changes';

/** What one producer does at the moment, over all of its connections. */
export class ProducerLoad {
  readonly producer: string;
  readonly #clock: Clock;
  readonly #buckets = new Map<Rate, TokenBucket>();
  #limits!: ProducerLimits;
  #connections = 0;

  constructor(producer: string, limits: ProducerLimits, clock: Clock) {
    this.producer = producer;
    this.#clock = clock;
    this.limits = limits;
  }

  get limits(): ProducerLimits {
    return this.#limits;
  }

  set limits(limits: ProducerLimits) {
    this.#limits = limits;
    this.#hold('bytes', limits.bytesPerSecond);
    this.#hold('changes', limits.changesPerSecond);
  }

  get connections(): number {
    return this.#connections;
  }

  /** Another connection; `replaced` ones are about to close for it. @throws {SyncError} `too_many_connections`. */
  connect(replaced: number): void {
    const { maxConnections } = this.#limits;
    if (this.#connections - replaced >= maxConnections) {
      throw new SyncError(
        'too_many_connections',
        `producer ${this.producer} has ${this.#connections} connections; its limit is ${maxConnections} (ingest.maxConnectionsPerProducer)`,
      );
    }
    this.#connections++;
  }

  disconnect(): void {
    this.#connections--;
  }

  /** Counts what came. */
  spend(bytes: number, changes: number): void {
    if (this.#buckets.size === 0) return;
    const nowMs = this.#clock.monotonicMs();
    this.#buckets.get('bytes')?.spend(bytes, nowMs);
    this.#buckets.get('changes')?.spend(changes, nowMs);
  }

  /** The rate that was exceeded most, and how long nothing may be read for that; undefined when none is. */
  owed(): { readonly rate: Rate; readonly ms: number } | undefined {
    if (this.#buckets.size === 0) return undefined;
    const nowMs = this.#clock.monotonicMs();
    let most: { readonly rate: Rate; readonly ms: number } | undefined;
    for (const [rate, bucket] of this.#buckets) {
      const ms = bucket.owedMs(nowMs);
      if (ms > (most?.ms ?? 0)) most = { rate, ms };
    }
    return most;
  }

  #hold(rate: Rate, perSecond: number | undefined): void {
    const bucket = this.#buckets.get(rate);
    if (perSecond === undefined) this.#buckets.delete(rate);
    else if (bucket !== undefined) bucket.perSecond = perSecond;
    else this.#buckets.set(rate, new TokenBucket(perSecond, this.#clock.monotonicMs()));
  }
}

/** All producers that were here since the start: their number is that of those who have a token. */
export class ProducerLoads {
  readonly #clock: Clock;
  readonly #loads = new Map<string, ProducerLoad>();
  #settings: IngestSettings;

  constructor(settings: IngestSettings, clock: Clock) {
    this.#settings = settings;
    this.#clock = clock;
  }

  of(producer: string): ProducerLoad {
    let load = this.#loads.get(producer);
    if (load === undefined) {
      load = new ProducerLoad(producer, limitsOf(this.#settings, producer), this.#clock);
      this.#loads.set(producer, load);
    }
    return load;
  }

  /** From now on all are held to `settings`. */
  configure(settings: IngestSettings): void {
    this.#settings = settings;
    for (const [producer, load] of this.#loads) load.limits = limitsOf(settings, producer);
  }
}

/** Those of all producers, but for what was configured for this one. */
function limitsOf({ limits, producerLimits }: IngestSettings, producer: string): ProducerLimits {
  const own = producerLimits.get(producer);
  return {
    maxConnections: own?.maxConnections ?? limits.maxConnections,
    maxBatchChanges: own?.maxBatchChanges ?? limits.maxBatchChanges,
    bytesPerSecond: own?.bytesPerSecond ?? limits.bytesPerSecond,
    changesPerSecond: own?.changesPerSecond ?? limits.changesPerSecond,
  };
}
