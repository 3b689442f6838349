import { SyncError } from '../../core/errors.ts';
import { ClusterRouter } from './cluster-router.ts';
import type { Argument, LinkTarget, RedisAccess } from './link.ts';
import { RedisNode, type NodeWatch, type RedisNodeOptions } from './node.ts';
import type { ReplicatedCall } from './replicated.ts';
import type { Script } from './scripts.ts';
import { Sentinels, type SentinelsOptions } from './sentinels.ts';
import { readRedisUrl } from './server-options.ts';

/**
 * Leads to the server that holds a key, whatever stands behind the URL: one Redis, the master that Sentinels name, or
 * the masters of a cluster. A call is made once; where it was not carried out because the key lies elsewhere, there.
 */
export interface RedisRouter {
  /** Where a further connection leads, for what is bound to no key. */
  readonly target: LinkTarget;
  /** @throws {SyncError} */
  command(name: string, key: string, ...args: Argument[]): Promise<unknown>;
  /** Sorts keys into groups that one script may have all of, by their indexes. */
  together(keys: readonly string[]): readonly (readonly number[])[];
  /** Runs a script whose keys lie together. @throws {SyncError} */
  run(script: Script, keys: readonly string[], args: readonly Argument[]): Promise<unknown>;
  /** As {@link run}; resolves when as many replicas as are wanted have what it wrote, or found written. @throws {SyncError} */
  runReplicated(call: ReplicatedCall): Promise<unknown>;
  /** Names the connection over which a key was reached last: what a cursor means holds only as long as it is the same. */
  connectionTo(key: string): string;
  /** Resolves when it is known where keys lie, or nobody could be asked. */
  located(): Promise<void>;
  /** Logs in with these from the next connections on, to Sentinels too. @throws {SyncError} `bad_config` */
  useAccess(access: RouterAccess): void;
  close(): void;
}

/** Whoever looks after the nodes that a router leads to. */
export interface RouterWatch {
  /** Looks after one; `homeKey` gives a key that lies on it. */
  watch(node: RedisNode, homeKey: () => string): NodeWatch;
  /** No home lies on it any more. */
  forget(node: RedisNode): void;
  /** Why a home lies nowhere; undefined when all lie somewhere. */
  lost(reason: string | undefined): void;
}

export interface RedisRouterOptions extends RedisNodeOptions {
  readonly sentinel?: SentinelsOptions['credentials'];
}

/** What one logs in with. */
export type RouterAccess = Pick<RedisRouterOptions, keyof RedisAccess | 'sentinel'>;

/** Starts to connect to where the `homes` lie: keys that must be reachable. @throws {SyncError} `bad_config` */
export function createRouter(options: RedisRouterOptions, homes: readonly [string, ...string[]], watch: RouterWatch): RedisRouter {
  const url = readRedisUrl(options.url);
  const node = (target: LinkTarget) => new RedisNode(options, target, (made) => watch.watch(made, () => homes[0]));
  switch (url.kind) {
    case 'single':
      return new SingleRouter(node(undefined));
    case 'cluster':
      return new ClusterRouter(url, options, homes, watch);
    case 'sentinel': {
      const { sentinel: credentials, tls, clock, random, createDriver } = options;
      const parts = { ...(clock && { clock }), ...(random && { random }), ...(createDriver && { createDriver }) };
      const sentinels = new Sentinels(url, { credentials, tls, ...parts });
      return new SingleRouter(node({ finder: sentinels }), sentinels);
    }
  }
}

/** Everything lies on one node. */
class SingleRouter implements RedisRouter {
  readonly target: LinkTarget;
  readonly #node: RedisNode;
  readonly #sentinels: Sentinels | undefined;

  constructor(node: RedisNode, sentinels?: Sentinels) {
    this.#node = node;
    this.#sentinels = sentinels;
    this.target = sentinels && { finder: sentinels };
  }

  command(name: string, key: string, ...args: Argument[]): Promise<unknown> {
    return this.#node.command(name, [key, ...args]);
  }

  together(keys: readonly string[]): readonly (readonly number[])[] {
    return keys.length === 0 ? [] : [[...keys.keys()]];
  }

  run(script: Script, keys: readonly string[], args: readonly Argument[]): Promise<unknown> {
    return this.#noting(this.#node.run(script, keys, args));
  }

  runReplicated(call: ReplicatedCall): Promise<unknown> {
    return this.#noting(this.#node.runReplicated(call));
  }

  connectionTo(): string {
    return String(this.#node.connection);
  }

  async located(): Promise<void> {}

  useAccess({ sentinel: credentials, ...access }: RouterAccess): void {
    this.#node.useAccess(access);
    this.#sentinels?.useAccess({ credentials, tls: access.tls });
  }

  close(): void {
    this.#node.close();
    this.#sentinels?.close();
  }

  async #noting(call: Promise<unknown>): Promise<unknown> {
    try {
      return await call;
    } catch (error) {
      if (error instanceof SyncError) this.#node.note(error);
      throw error;
    }
  }
}
