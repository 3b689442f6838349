import type { Clock } from '../../core/clock.ts';
import type { SyncError } from '../../core/errors.ts';
import type { QueueEvents } from '../queue-events.ts';
import type { QueueSettings } from '../queue.ts';
import { NOT_CONNECTED, RedisCondition, type RedisConditionOptions } from './condition.ts';
import type { NodeWatch, RedisNode } from './node.ts';
import type { RouterWatch } from './router.ts';
import type { Scripts } from './scripts.ts';

/** Of all nodes of a queue together: admission is open when every one of them is fit, and held with the first reason otherwise. */
export class RedisConditions implements RouterWatch {
  readonly #scripts: Scripts;
  readonly #settings: QueueSettings;
  readonly #options: RedisConditionOptions;
  readonly #clock: Clock;
  readonly #events: QueueEvents;
  readonly #conditions = new Map<RedisNode, RedisCondition>();
  readonly #reasons = new Map<RedisNode, string | undefined>();
  readonly #warned = new Set<string>();
  #lost: string | undefined;

  constructor(scripts: Scripts, settings: QueueSettings, options: RedisConditionOptions, clock: Clock, events: QueueEvents) {
    this.#scripts = scripts;
    this.#settings = settings;
    this.#options = { ...options, warn: (message) => this.#warn(message, options.warn) };
    this.#clock = clock;
    this.#events = events;
  }

  /** Looks after a node; `settingsKey` gives a hash on it that holds the settings. */
  watch(node: RedisNode, settingsKey: () => string): NodeWatch {
    const events = {
      admit: (reason: string | undefined) => {
        if (!this.#conditions.has(node)) return;
        this.#reasons.set(node, reason);
        this.#decide();
      },
      connected: () => this.#events.connected(),
    };
    const condition = new RedisCondition(node, this.#scripts, settingsKey, this.#settings, this.#options, this.#clock, events);
    this.#conditions.set(node, condition);
    this.#reasons.set(node, NOT_CONNECTED);
    this.#decide();
    return condition;
  }

  forget(node: RedisNode): void {
    this.#conditions.get(node)?.end();
    this.#conditions.delete(node);
    this.#reasons.delete(node);
    this.#decide();
  }

  lost(reason: string | undefined): void {
    this.#lost = reason;
    this.#decide();
  }

  /** As {@link RedisCondition.firstContact}, of every node. @throws {SyncError} */
  async firstContact(): Promise<void> {
    await Promise.all([...this.#conditions.values()].map((condition) => condition.firstContact()));
  }

  /** As {@link RedisCondition.unfit}, of the first node that is. */
  get unfit(): SyncError | undefined {
    for (const { unfit } of this.#conditions.values()) if (unfit !== undefined) return unfit;
    return undefined;
  }

  #decide(): void {
    this.#events.admit(this.#lost ?? [...this.#reasons.values()].find((reason) => reason !== undefined));
  }

  /** The same is true of several nodes. */
  #warn(message: string, warn: (message: string) => void): void {
    if (this.#warned.has(message)) return;
    this.#warned.add(message);
    warn(message);
  }
}
