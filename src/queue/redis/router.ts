import { SyncError } from '../../core/errors.ts';
import type { Argument, LinkTarget } from './link.ts';
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
  /** Runs a script whose keys lie together. @throws {SyncError} */
  run(script: Script, keys: readonly string[], args: readonly Argument[]): Promise<unknown>;
  /** As {@link run}; resolves when as many replicas as are wanted have what it wrote, or found written. @throws {SyncError} */
  runReplicated(call: ReplicatedCall): Promise<unknown>;
  /** Of the connection to where `key` lies: what a cursor means holds only as long as it is the same. */
  connectionTo(key: string): string;
  close(): void;
}

export interface RedisRouterOptions extends RedisNodeOptions {
  readonly sentinel?: SentinelsOptions['credentials'];
}

/** Starts to connect; `watch` is asked once for each node. @throws {SyncError} `bad_config` */
export function createRouter(options: RedisRouterOptions, watch: (node: RedisNode) => NodeWatch): RedisRouter {
  const url = readRedisUrl(options.url);
  if (url.kind !== 'sentinel') return new SingleRouter(new RedisNode(options, undefined, watch));
  const { sentinel: credentials, tls, clock, random } = options;
  const sentinels = new Sentinels(url, { credentials, tls, ...(clock && { clock }), ...(random && { random }) });
  return new SingleRouter(new RedisNode(options, { finder: sentinels }, watch), sentinels);
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
    return this.#node.command(name, key, ...args);
  }

  run(script: Script, keys: readonly string[], args: readonly Argument[]): Promise<unknown> {
    return noting(this.#node, this.#node.run(script, keys, args));
  }

  runReplicated(call: ReplicatedCall): Promise<unknown> {
    return noting(this.#node, this.#node.runReplicated(call));
  }

  connectionTo(): string {
    return String(this.#node.connection);
  }

  close(): void {
    this.#node.close();
    this.#sentinels?.close();
  }
}

/** Tells a node why a call that it was given failed. */
async function noting(node: RedisNode, call: Promise<unknown>): Promise<unknown> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof SyncError) node.note(error);
    throw error;
  }
}
