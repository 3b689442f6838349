import type { PartitionBy } from '../core/partition.ts';
import type { Options } from './options.ts';

/**
 * The configuration as the composition roots take it: complete, checked, secrets read, paths absolute.
 * Plain data that can be cloned into worker threads. It holds secrets: never log it whole.
 */
export interface Config {
  /** The file that was read; undefined when there was none. */
  readonly file: string | undefined;
  readonly node: string;
  readonly data: string;
  /** The single token, in the clear, for commands that connect to this very server. */
  readonly token: string | undefined;
  /** Who may send, among them `default` with the digest of `token`. When there are none nobody is asked for a token. */
  readonly producers: readonly Producer[];
  readonly queue: QueueConfig;
  readonly sinks: readonly [SinkConfig];
  readonly tables: ReadonlyMap<string, TableConfig>;
  /** Digest of the tables' `partitionBy`: see `mappingDigest`. */
  readonly mapping: string;
  readonly listen: {
    readonly tcp: Address & {
      /** Addresses and ranges of balancers that send a PROXY protocol header. */
      readonly proxyFrom: readonly string[];
    };
    readonly admin: Address & {
      /** What metrics and status ask for; set wherever it listens beyond loopback. */
      readonly token: string | undefined;
    };
    /** A second listener for health only. */
    readonly health: Address | undefined;
  };
  readonly ingest: Readonly<Options['ingest']>;
  readonly apply: Readonly<Options['apply']>;
  readonly cluster: Readonly<Options['cluster']>;
  readonly retention: Readonly<Options['retention']>;
  readonly audit: Readonly<Options['audit']>;
  readonly log: Readonly<Options['log']>;
  /** What is allowed but worth a line in the log. */
  readonly warnings: readonly string[];
}

export interface Producer {
  readonly name: string;
  /** `sha256:<hex>` of each token. */
  readonly tokens: readonly string[];
}

export interface QueueConfig {
  readonly url: string;
  readonly partitions: number;
  readonly prefix: string;
  readonly tls?: TlsConfig;
  readonly maxBytes: number;
  readonly pressurePercent: number;
  /** How many replicas must have what is `stored`. */
  readonly replicas: number;
  /** At the Sentinels. */
  readonly sentinel?: { readonly username?: string; readonly password: string };
}

export interface SinkConfig {
  readonly name: string;
  readonly url: string;
  readonly schema: 'strict' | 'evolve';
  readonly tls?: TlsConfig;
}

export interface TableConfig {
  readonly partitionBy?: PartitionBy;
}

/** PEM texts, not paths; as `tls.connect` takes them. */
export interface TlsConfig {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly rejectUnauthorized: boolean;
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** A URL without its password, for logs and messages. Rather hides too much: a password may hold any character. */
export function withoutPassword(url: string): string {
  const userinfo = /^([a-z][a-z0-9+.-]*:\/\/)(.*)@/is.exec(url);
  const rest = userinfo === null ? url : url.slice(userinfo[0].length);
  const hidden = rest.replace(/([?&](?:password|passwd|pwd|token)=)[^&#]*/gi, '$1***');
  if (userinfo === null) return hidden;
  const [user, ...password] = (userinfo[2] as string).split(':');
  return `${userinfo[1]}${user}${password.length > 0 ? ':***' : ''}@${hidden}`;
}

/** The configured `partitionBy` of tables, by name. */
export function partitionByOf({ tables }: Pick<Config, 'tables'>): ReadonlyMap<string, PartitionBy> {
  const result = new Map<string, PartitionBy>();
  for (const [name, { partitionBy }] of tables) if (partitionBy !== undefined) result.set(name, partitionBy);
  return result;
}
