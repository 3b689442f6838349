import type { Rule } from '../core/access.ts';
import type { PartitionBy } from '../core/partition.ts';
import type { TlsMaterial } from '../core/tls-material.ts';
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
  /** Who may send, among them `default` with the digest of `token`. */
  readonly producers: readonly Producer[];
  /** Where more tokens are kept, and change while the server runs. Without it and without producers nobody is asked for one. */
  readonly tokensFile: string | undefined;
  readonly queue: QueueConfig;
  readonly sinks: readonly [SinkConfig];
  readonly tables: ReadonlyMap<string, TableConfig>;
  /** Digest of the tables' `partitionBy`: see `mappingDigest`. */
  readonly mapping: string;
  readonly listen: {
    /** Undefined: no door speaks TLS. */
    readonly tls: ListenTlsConfig | undefined;
    readonly tcp: Address & {
      /** Whether it speaks {@link ListenTlsConfig}. */
      readonly tls: boolean;
      /** Addresses and ranges of balancers that send a PROXY protocol header. */
      readonly proxyFrom: readonly string[];
    };
    readonly web: WebConfig;
    /** Without a port nothing listens for datagrams. */
    readonly udp: Readonly<Options['listen']['udp']> & { readonly host: string };
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
  /** Names in certificates that it may show instead. */
  readonly certificates: readonly string[];
  /** Addresses and ranges that it may come from; empty: any. */
  readonly addresses: readonly string[];
  /** Undefined: it may do everything. */
  readonly rules?: readonly Rule[] | undefined;
  /** What differs from the limits of `ingest` for this one. */
  readonly limits?: Options['producers'][number]['limits'];
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

/** TLS of the doors, and what its certificate says. */
export interface ListenTlsConfig extends TlsMaterial {
  /** Where it was read, as absolute paths, for whoever takes nothing else. */
  readonly files: { readonly cert: string; readonly key: string; readonly clientCa?: string };
  /** For whom the certificate is: `DNS:sync.example`, `IP:10.0.0.3`. */
  readonly names: readonly string[];
  /** When the first of the certificates in `cert` ends, wall clock. */
  readonly expiresAtMs: number;
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface WebConfig extends Address {
  readonly enabled: boolean;
  /** Whether it speaks {@link ListenTlsConfig}. */
  readonly tls: boolean;
  readonly engine: Options['listen']['web']['engine'];
  readonly proxyFrom: readonly string[];
  /** As browsers write them: scheme, host, and port where it is not the scheme's own. */
  readonly origins: readonly string[];
  /** In lower case, without port. */
  readonly hosts: readonly string[];
  /** Of an HTTP request. */
  readonly maxBodyBytes: number;
  /** Of all HTTP requests together. */
  readonly bufferBytes: number;
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
