import { systemClock, type Clock } from '../../core/clock.ts';
import type { SyncError } from '../../core/errors.ts';
import { systemRandom, type Random } from '../../core/random.ts';
import { RedisLink, type Argument, type LinkTarget, type Passage, type RedisAccess, type RedisLinkOptions } from './link.ts';
import { ReplicatedWrites, type ReplicatedCall } from './replicated.ts';
import type { Script } from './scripts.ts';

export interface RedisNodeOptions extends RedisLinkOptions {
  /** How many replicas must have what {@link RedisNode.runReplicated} writes. */
  readonly replicas?: number;
  /** How long they may take. */
  readonly replicaTimeoutMs?: number;
  readonly clock?: Clock;
  readonly random?: Random;
}

/** Whoever looks after a node. */
export interface NodeWatch {
  /** Every connection to it is up. */
  connected(): void;
  /** One is gone, or an attempt failed; the next is made without asking. */
  disconnected(problem: SyncError): void;
  /** Why a script that it was asked to run failed. */
  note(error: SyncError): void;
}

const DEFAULT_REPLICA_TIMEOUT_MS = 500;

/** One server that takes writes, and the connections to it: one for everything; with replicas, one more for what they must have. */
export class RedisNode {
  readonly replicas: number;
  readonly #link: RedisLink;
  readonly #writesLink: RedisLink | undefined;
  readonly #writes: ReplicatedWrites | undefined;
  readonly #watch: NodeWatch;

  /** Starts to connect. @throws {SyncError} `bad_config` */
  constructor(options: RedisNodeOptions, target: LinkTarget, watch: (node: RedisNode) => NodeWatch) {
    const { replicas = 0, replicaTimeoutMs = DEFAULT_REPLICA_TIMEOUT_MS, clock = systemClock, random = systemRandom } = options;
    this.replicas = replicas;
    const events = {
      up: () => {
        if (this.up) this.#watch.connected();
      },
      down: (problem: SyncError) => this.#watch.disconnected(problem),
    };
    this.#link = new RedisLink(options, events, random, target);
    if (replicas > 0) {
      this.#writesLink = new RedisLink(options, events, random, target);
      this.#writes = new ReplicatedWrites(this.#writesLink, replicas, replicaTimeoutMs, clock);
    }
    this.#watch = watch(this);
  }

  get up(): boolean {
    return this.#link.up && this.#writesLink?.up !== false;
  }

  /** As {@link RedisLink.connection}, of the connection that {@link command} uses. */
  get connection(): number {
    return this.#link.connection;
  }

  settled(): void {
    this.#link.settled();
    this.#writesLink?.settled();
  }

  /** @throws {SyncError} */
  command(name: string, args: readonly Argument[], passage?: Passage): Promise<unknown> {
    return this.#link.command(name, args, passage);
  }

  /** @throws {SyncError} */
  run(script: Script, keys: readonly string[], args: readonly Argument[], passage?: Passage): Promise<unknown> {
    return this.#link.run(script, keys, args, passage);
  }

  /** As {@link run}; with replicas, resolves when they have what it wrote, or found written. @throws {SyncError} */
  runReplicated(call: ReplicatedCall, passage?: Passage): Promise<unknown> {
    return this.#writes?.run(call, passage) ?? this.#link.run(call.script, call.keys, call.args, passage, call.ahead);
  }

  /** Shows whether enough replicas follow now; `mark` is a hash on this node. @throws {SyncError} */
  async probeReplicas(mark: string): Promise<void> {
    await this.#writes?.probe(mark);
  }

  /** Takes note of why a script failed. */
  note(error: SyncError): void {
    this.#watch.note(error);
  }

  /** As {@link RedisLink.useAccess}. */
  useAccess(access: RedisAccess): void {
    this.#link.useAccess(access);
    this.#writesLink?.useAccess(access);
  }

  close(): void {
    this.#link.close();
    this.#writesLink?.close();
  }
}
