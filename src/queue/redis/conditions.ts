import type { Clock } from '../../core/clock.ts';
import type { SyncError } from '../../core/errors.ts';
import type { QueueEvents } from '../queue-events.ts';
import type { QueueSettings } from '../queue.ts';
import { RedisCondition, type RedisConditionOptions } from './condition.ts';
import type { NodeWatch, RedisNode } from './node.ts';
import type { Scripts } from './scripts.ts';

/** Of all nodes of a queue together: admission is open when every one of them is fit, and held with the first reason otherwise. */
export class RedisConditions {
  readonly #scripts: Scripts;
  readonly #settings: QueueSettings;
  readonly #options: RedisConditionOptions;
  readonly #clock: Clock;
  readonly #events: QueueEvents;
  readonly #conditions = new Map<RedisNode, RedisCondition>();
  readonly #reasons = new Map<RedisNode, string | undefined>();

  constructor(scripts: Scripts, settings: QueueSettings, options: RedisConditionOptions, clock: Clock, events: QueueEvents) {
    this.#scripts = scripts;
    this.#settings = settings;
    this.#options = options;
    this.#clock = clock;
    this.#events = events;
  }

  /** Looks after a node from now on; `settingsKey` gives a hash on it that holds the settings. */
  watch(node: RedisNode, settingsKey: () => string): NodeWatch {
    const events = {
      admit: (reason: string | undefined) => {
        this.#reasons.set(node, reason);
        this.#events.admit([...this.#reasons.values()].find((one) => one !== undefined));
      },
      connected: () => this.#events.connected(),
    };
    const condition = new RedisCondition(node, this.#scripts, settingsKey, this.#settings, this.#options, this.#clock, events);
    this.#conditions.set(node, condition);
    return condition;
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
}
