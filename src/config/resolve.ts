import { createHash } from 'node:crypto';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { messageOf } from '../core/errors.ts';
import { adminDoor, bindFault, producerDoor } from '../core/bind.ts';
import type { Config, QueueConfig, SinkConfig, TableConfig, TlsConfig } from './config.ts';
import { readText } from './file.ts';
import { mappingDigest } from './mapping.ts';
import type { Options } from './options.ts';
import type { Problem } from './problem.ts';
import { checkQueueUrl, checkSinkUrl } from './urls.ts';

/** Where options were written, for paths and messages. */
export interface Origin {
  readonly file: string | undefined;
  /** The folder that a path in this place is relative to. */
  resolvePath(place: readonly PropertyKey[], path: string): string;
}

/** The place that is wrong, and why. */
type Report = (place: readonly PropertyKey[], message: string) => void;

/**
 * Fills in the defaults that depend on other options, reads the files that options name, and checks what a schema
 * cannot say. Where there are problems, the configuration is not to be used.
 */
export function resolveConfig(options: Options, origin: Origin): { config: Config; problems: readonly Problem[] } {
  const problems: Problem[] = [];
  const report: Report = (place, message) => problems.push({ place, message });

  const token = readSecret(['token'], options.token, options.tokenFile, origin, report);
  if (token !== undefined && /\s/.test(token)) report(['token'], 'must not contain blanks');
  checkProducers(options, token, report);
  const open = token === undefined && options.producers.length === 0;
  const tables = resolveTables(options);
  checkSizes(options, report);
  const queue = resolveQueue(options, origin, report);
  const sinks = resolveSinks(options, origin, report);
  checkCluster(options, queue, sinks[0], report);
  if (queue.url !== 'sqlite:' && queue.url === sinks[0].url) report(['sinks', 0, 'url'], 'must be another file than queue.url');

  const config: Config = {
    file: origin.file,
    node: options.node ?? hostname(),
    data: origin.resolvePath(['data'], options.data),
    token,
    producers: [...(token === undefined ? [] : [{ name: DEFAULT_PRODUCER, tokens: [tokenDigest(token)] }]), ...options.producers],
    queue,
    sinks,
    tables,
    mapping: mappingDigest(tables),
    listen: resolveListen(options, open, origin, report),
    ingest: options.ingest,
    apply: options.apply,
    cluster: options.cluster,
    retention: options.retention,
    audit: resolveAudit(options, origin),
    log: options.log,
    warnings: warningsOf(options),
  };
  return { config, problems };
}

function readSecret(
  place: readonly PropertyKey[],
  direct: string | undefined,
  file: string | undefined,
  origin: Origin,
  report: Report,
): string | undefined {
  if (file === undefined) return direct;
  const name = String(place.at(-1));
  const filePlace = [...place.slice(0, -1), `${name}File`];
  if (direct !== undefined) report(filePlace, `is set beside ${name}; keep one of them`);
  const text = readFile(filePlace, file, origin, report)?.trim();
  if (text === '') report(filePlace, 'names an empty file');
  return text;
}

function readFile(place: readonly PropertyKey[], path: string, origin: Origin, report: Report): string | undefined {
  try {
    return readText(origin.resolvePath(place, path));
  } catch (error) {
    report(place, messageOf(error));
    return undefined;
  }
}

/** The name that a single token stands for. */
const DEFAULT_PRODUCER = 'default';

function checkProducers({ producers }: Options, token: string | undefined, report: Report): void {
  const names = new Set(token === undefined ? [] : [DEFAULT_PRODUCER]);
  const owners = new Map(token === undefined ? [] : [[tokenDigest(token), DEFAULT_PRODUCER]]);
  producers.forEach(({ name, tokens }, i) => {
    if (names.has(name))
      report(
        ['producers', i, 'name'],
        token !== undefined && name === DEFAULT_PRODUCER
          ? `${name} is the name of whoever uses token; choose another`
          : `${name} is listed twice; put its tokens in one entry`,
      );
    names.add(name);
    tokens.forEach((digest, j) => {
      const owner = owners.get(digest);
      if (owner !== undefined)
        report(['producers', i, 'tokens', j], `is a token of ${owner} already; make one with: syncline token create ${name}`);
      owners.set(digest, name);
    });
  });
}

/** How tokens are kept: `sha256:` and the digest of the whole token. */
export function tokenDigest(token: string): string {
  return `sha256:${createHash('sha256').update(token).digest('hex')}`;
}

function resolveTables(options: Options): Map<string, TableConfig> {
  return new Map(Object.entries(options.tables).map(([name, { partitionBy }]) => [name, partitionBy === undefined ? {} : { partitionBy }]));
}

function checkSizes({ ingest }: Options, report: Report): void {
  if (ingest.creditBytes < ingest.maxFrameBytes)
    report(['ingest', 'creditBytes'], 'must be at least ingest.maxFrameBytes, or such a frame could never be sent');
  if (ingest.maxInFlightBytes < ingest.creditBytes) report(['ingest', 'maxInFlightBytes'], 'must be at least ingest.creditBytes');
}

/** What several nodes share must be where all of them reach it. */
function checkCluster({ cluster: { mode } }: Options, queue: QueueConfig, sink: SinkConfig, report: Report): void {
  if (mode === 'standalone') return;
  const needs = (option: string, what: string) =>
    report(['cluster', 'mode'], `is ${mode}, which needs ${what}: set ${option}, or cluster.mode to standalone`);
  if (queue.url.startsWith('sqlite:')) needs('queue.url', 'a queue in Redis, which all nodes use');
  if (sink.url.startsWith('sqlite:')) needs('sinks[0].url', 'a database server as sink, which all nodes write to');
}

function resolveQueue({ queue }: Options, origin: Origin, report: Report): QueueConfig {
  const place = ['queue', 'url'];
  const url = absolute(readSecret(place, queue.url, queue.urlFile, origin, report) ?? 'sqlite:', place, origin);
  const fault = checkQueueUrl(url);
  if (fault !== undefined) report(place, fault);
  if (queue.tls !== undefined && !/^rediss[:+]/.test(url)) report(['queue', 'tls'], 'is for rediss:// only; change queue.url or remove it');
  const { partitions, prefix, maxBytes, pressurePercent, replicas } = queue;
  if (replicas > 0 && url.startsWith('sqlite:')) report(['queue', 'replicas'], 'is for Redis; an embedded queue has no replicas');
  return {
    ...{ url, partitions, prefix, maxBytes, pressurePercent, replicas },
    ...resolveTls(['queue', 'tls'], queue.tls, origin, report),
    ...resolveSentinel(queue.sentinel, url, origin, report),
  };
}

function resolveSentinel(
  sentinel: Options['queue']['sentinel'],
  url: string,
  origin: Origin,
  report: Report,
): Pick<QueueConfig, 'sentinel'> {
  if (sentinel === undefined) return {};
  const place = ['queue', 'sentinel'];
  if (!/^rediss?\+sentinel:/.test(url)) report(place, 'is for redis+sentinel:// only; change queue.url or remove it');
  const password = readSecret([...place, 'password'], sentinel.password, sentinel.passwordFile, origin, report);
  if (password === undefined) {
    report(place, 'must have a password');
    return {};
  }
  return { sentinel: { password, ...(sentinel.username === undefined ? {} : { username: sentinel.username }) } };
}

function resolveSinks({ sinks }: Options, origin: Origin, report: Report): readonly [SinkConfig] {
  if (sinks.length > 1) report(['sinks', 1], `is one too many: this version applies changes to one sink, and ${sinks.length} are listed`);
  const sink = sinks[0] as Options['sinks'][number];
  const place = ['sinks', 0, 'url'];
  const url = absolute(readSecret(place, sink.url, sink.urlFile, origin, report) ?? 'sqlite:', place, origin);
  const fault = checkSinkUrl(url);
  if (fault !== undefined) report(place, fault);
  const embedded = url.startsWith('sqlite:');
  if (sink.tls !== undefined && embedded) report(['sinks', 0, 'tls'], 'is for a database server; a file has no use for it');
  return [
    {
      name: sink.name,
      url,
      schema: sink.schema ?? (embedded ? 'evolve' : 'strict'),
      ...resolveTls(['sinks', 0, 'tls'], sink.tls, origin, report),
    },
  ];
}

/** `sqlite:PATH` with an absolute path; other URLs as they are. */
function absolute(url: string, place: readonly PropertyKey[], origin: Origin): string {
  if (!url.startsWith('sqlite:') || url === 'sqlite:') return url;
  const path = url.slice('sqlite:'.length).replace(/^\/\/(?=\/)/, '');
  return `sqlite:${origin.resolvePath(place, path)}`;
}

function resolveTls(place: readonly PropertyKey[], tls: Options['queue']['tls'], origin: Origin, report: Report): { tls?: TlsConfig } {
  if (tls === undefined) return {};
  if ((tls.cert === undefined) !== (tls.key === undefined)) report(place, 'must name both cert and key, or neither');
  const read = (name: 'ca' | 'cert' | 'key') => {
    const path = tls[name];
    const pem = path === undefined ? undefined : readFile([...place, name], path, origin, report);
    if (pem !== undefined && !pem.includes('-----BEGIN '))
      report([...place, name], 'must name a PEM file, which has lines such as -----BEGIN CERTIFICATE-----');
    return pem === undefined ? {} : { [name]: pem };
  };
  return { tls: { ...read('ca'), ...read('cert'), ...read('key'), rejectUnauthorized: tls.rejectUnauthorized } };
}

function resolveAudit({ audit: { file, ...rest } }: Options, origin: Origin): Config['audit'] {
  return file === undefined ? rest : { ...rest, file: origin.resolvePath(['audit', 'file'], file) };
}

function resolveListen({ listen }: Options, open: boolean, origin: Origin, report: Report): Config['listen'] {
  const { proxyFrom } = listen.tcp;
  const tcp = { host: listen.tcp.host ?? (open ? '127.0.0.1' : '0.0.0.0'), port: listen.tcp.port, proxyFrom };
  proxyFrom.forEach((range, i) => {
    if (!isAddressRange(range))
      report(
        ['listen', 'tcp', 'proxyFrom', i],
        `is ${range}, which is neither an address nor a range such as 10.0.0.0/24 or 2001:db8::/32`,
      );
  });
  const { host, port, healthHost, healthPort } = listen.admin;
  const token = resolveAdminToken(listen.admin, origin, report);
  const doors = [
    producerDoor('listen.tcp.host', tcp.host, open ? 'nothing' : 'token'),
    // Of a file that cannot be read, that is what is reported.
    adminDoor(host, token ?? listen.admin.tokenFile),
  ];
  for (const door of doors) {
    const fault = bindFault(door);
    if (fault !== undefined) report(door.option.split('.'), fault);
  }
  if (healthHost !== undefined && healthPort === undefined) report(['listen', 'admin', 'healthHost'], 'needs healthPort beside it');
  const health = healthPort === undefined ? undefined : { host: healthHost ?? '0.0.0.0', port: healthPort };

  const taken = new Map<number, string>();
  for (const [name, at] of [
    ['tcp.port', tcp.port],
    ['admin.port', port],
    ['admin.healthPort', healthPort ?? 0],
  ] as const) {
    const other = taken.get(at);
    if (other !== undefined && at !== 0) report(['listen', ...name.split('.')], `is ${at}, which listen.${other} uses; choose another`);
    taken.set(at, name);
  }
  return { tcp, admin: { host, port, token }, health };
}

function isAddressRange(written: string): boolean {
  const [address = '', prefix, ...more] = written.split('/');
  const family = isIP(address);
  if (family === 0 || address.includes('%') || more.length > 0) return false;
  return prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= (family === 4 ? 32 : 128));
}

function resolveAdminToken({ token, tokenFile }: Options['listen']['admin'], origin: Origin, report: Report): string | undefined {
  const place = ['listen', 'admin', 'token'];
  const secret = readSecret(place, token, tokenFile, origin, report);
  if (secret !== undefined && !/^[!-~]*$/.test(secret)) report(place, 'must be ASCII without blanks, because it travels in an HTTP header');
  return secret;
}

function warningsOf({ queue, sinks, listen }: Options): string[] {
  const warnings: string[] = [];
  if (listen.tcp.proxyFrom.some((range) => range.endsWith('/0')))
    warnings.push('listen.tcp.proxyFrom includes everybody: whoever connects can say that it is somebody else; name the balancers alone');
  if (queue.tls?.rejectUnauthorized === false)
    warnings.push('queue.tls.rejectUnauthorized is off: whoever is in between can read and change everything');
  if (sinks[0]?.tls?.rejectUnauthorized === false)
    warnings.push('sinks[0].tls.rejectUnauthorized is off: whoever is in between can read and change everything');
  return warnings;
}
