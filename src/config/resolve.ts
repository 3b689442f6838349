import { createHash } from 'node:crypto';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { messageOf } from '../core/errors.ts';
import { adminDoor, bindFault, producerDoor } from '../core/bind.ts';
import { isLoopback } from '../core/network.ts';
import type { Config, Producer, QueueConfig, SinkConfig, TableConfig, TlsConfig, WebConfig } from './config.ts';
import { readText } from './file.ts';
import { readListenTls } from './listen-tls.ts';
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
  const tokensFile = options.tokensFile === undefined ? undefined : origin.resolvePath(['tokensFile'], options.tokensFile);
  const open = token === undefined && options.producers.length === 0 && tokensFile === undefined;
  checkAddresses(['ingest', 'addresses'], options.ingest.addresses, report);
  const tables = resolveTables(options);
  checkSizes(options, report);
  const queue = resolveQueue(options, origin, report);
  const sinks = resolveSinks(options, origin, report);
  checkCluster(options, queue, sinks[0], report);
  if (queue.url !== 'sqlite:' && queue.url === sinks[0].url) report(['sinks', 0, 'url'], 'must be another file than queue.url');

  const listen = resolveListen(options, open, origin, report);
  const config: Config = {
    file: origin.file,
    node: options.node ?? hostname(),
    data: origin.resolvePath(['data'], options.data),
    token,
    producers: [...(token === undefined ? [] : [defaultProducer(token)]), ...options.producers],
    tokensFile,
    queue,
    sinks,
    tables,
    mapping: mappingDigest(tables),
    listen,
    ingest: options.ingest,
    apply: options.apply,
    cluster: options.cluster,
    retention: options.retention,
    audit: resolveAudit(options, origin),
    log: options.log,
    warnings: [...warningsOf(options), ...plainDoorWarnings(listen)],
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

function defaultProducer(token: string): Producer {
  return { name: DEFAULT_PRODUCER, tokens: [tokenDigest(token)], certificates: [], addresses: [] };
}

function checkProducers({ producers, tokensFile }: Options, token: string | undefined, report: Report): void {
  const names = new Set(token === undefined ? [] : [DEFAULT_PRODUCER]);
  const owners = new Map(token === undefined ? [] : [[tokenDigest(token), DEFAULT_PRODUCER]]);
  const certified = new Map<string, string>();
  producers.forEach(({ name, tokens, certificates, addresses }, i) => {
    if (tokens.length === 0 && certificates.length === 0 && tokensFile === undefined)
      report(
        ['producers', i],
        `${name} has no way to come in; give it tokens (syncline token create ${name}) or certificates, or set tokensFile`,
      );
    checkAddresses(['producers', i, 'addresses'], addresses, report);
    certificates.forEach((certificate, j) => {
      const owner = certified.get(certificate.toLowerCase());
      if (owner !== undefined) report(['producers', i, 'certificates', j], `is a certificate of ${owner} already`);
      certified.set(certificate.toLowerCase(), name);
    });
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
  const tls = resolveListenTls(listen.tls, origin, report);
  const tcp = { ...listen.tcp, tls: usesTls('tcp', listen, report), host: listen.tcp.host ?? (open ? '127.0.0.1' : '0.0.0.0') };
  const web = { ...resolveWeb(listen, tcp.host, report), tls: usesTls('web', listen, report) };
  const udp = resolveUdp(listen.udp, open, report);
  if (web.tls && web.engine === 'uws')
    report(
      ['listen', 'web', 'engine'],
      'is uws, which cannot exchange a certificate while it runs; set it to auto or ws, or listen.web.tls to false',
    );
  checkAddresses(['listen', 'tcp', 'proxyFrom'], tcp.proxyFrom, report);
  checkAddresses(['listen', 'web', 'proxyFrom'], web.proxyFrom, report);
  const { host, port, healthHost, healthPort } = listen.admin;
  const token = resolveAdminToken(listen.admin, origin, report);
  const asks = open ? 'nothing' : 'token';
  const doors = [
    producerDoor('listen.tcp.host', tcp.host, asks),
    // One address is reported once: the others follow that of TCP.
    ...(web.enabled && web.host !== tcp.host ? [producerDoor('listen.web.host', web.host, asks)] : []),
    ...(udp.port !== undefined && udp.host !== tcp.host ? [producerDoor('listen.udp.host', udp.host, asks)] : []),
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
    ['web.port', web.enabled ? web.port : 0],
    ['admin.port', port],
    ['admin.healthPort', healthPort ?? 0],
  ] as const) {
    const other = taken.get(at);
    if (other !== undefined && at !== 0) report(['listen', ...name.split('.')], `is ${at}, which listen.${other} uses; choose another`);
    taken.set(at, name);
  }
  return { tls, tcp, web, udp, admin: { host, port, token }, health };
}

function resolveListenTls(tls: Options['listen']['tls'], origin: Origin, report: Report): Config['listen']['tls'] {
  const place = ['listen', 'tls'];
  return readListenTls(tls, {
    path: (name, written) => origin.resolvePath([...place, name], written),
    read: (name, written) => readFile([...place, name], written, origin, report),
    report: (name, message) => report([...place, name], message),
  });
}

/** Every door does where there is a certificate, unless it is told otherwise. */
function usesTls(door: 'tcp' | 'web', listen: Options['listen'], report: Report): boolean {
  const isPossible = listen.tls.cert !== undefined;
  if (listen[door].tls === true && !isPossible)
    report(['listen', door, 'tls'], 'is true, but there is no certificate; set listen.tls.cert and listen.tls.key');
  return listen[door].tls ?? isPossible;
}

function resolveWeb({ web }: Options['listen'], tcpHost: string, report: Report): Omit<WebConfig, 'tls'> {
  if (web.bufferBytes < 2 * web.maxBodyBytes) report(['listen', 'web', 'bufferBytes'], 'must be at least twice listen.web.maxBodyBytes');
  web.origins.forEach((origin, i) => {
    // Opaque origins, of files and the like, are written "null" and could be anybody's.
    if (URL.parse(origin)?.origin !== origin || origin === 'null')
      report(
        ['listen', 'web', 'origins', i],
        `is ${origin}, which is no origin such as https://shop.example, in lower case and without path`,
      );
  });
  web.hosts.forEach((host, i) => {
    if (!/^([^/\s:]+|\[[0-9a-f:.]+\])$/i.test(host))
      report(['listen', 'web', 'hosts', i], `is ${host}, which is no host such as sync.shop.example, without scheme and port`);
  });
  return { ...web, host: web.host ?? tcpHost, hosts: web.hosts.map((host) => host.toLowerCase()) };
}

function checkAddresses(place: readonly PropertyKey[], written: readonly string[], report: Report): void {
  written.forEach((range, i) => {
    if (!isAddressRange(range))
      report([...place, i], `is ${range}, which is neither an address nor a range such as 10.0.0.0/24 or 2001:db8::/32`);
  });
}

function resolveUdp({ host: written, ...rest }: Options['listen']['udp'], open: boolean, report: Report): Config['listen']['udp'] {
  const host = written ?? (open || rest.port === undefined ? '127.0.0.1' : '0.0.0.0');
  if (isIP(host) === 0) report(['listen', 'udp', 'host'], `is ${host}, which is no address of IPv4 or IPv6`);
  return { ...rest, host };
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
  for (const door of ['tcp', 'web'] as const) {
    if (listen[door].proxyFrom.some((range) => range.endsWith('/0')))
      warnings.push(
        `listen.${door}.proxyFrom includes everybody: whoever connects can say that it is somebody else; name the balancers alone`,
      );
  }
  if (queue.tls?.rejectUnauthorized === false)
    warnings.push('queue.tls.rejectUnauthorized is off: whoever is in between can read and change everything');
  if (sinks[0]?.tls?.rejectUnauthorized === false)
    warnings.push('sinks[0].tls.rejectUnauthorized is off: whoever is in between can read and change everything');
  return warnings;
}

/** Doors that others reach without TLS: one line for all of them. A balancer in front of one may end TLS there. */
function plainDoorWarnings({ tcp, web }: Config['listen']): string[] {
  const doors = [{ name: 'listen.tcp', ...tcp }, ...(web.enabled ? [{ name: 'listen.web', ...web }] : [])];
  const plain = doors.filter(({ host, tls, proxyFrom }) => !isLoopback(host) && !tls && proxyFrom.length === 0);
  if (plain.length === 0) return [];
  const where = plain.map(({ name, host, port }) => `${name} (${host}:${port})`).join(' and ');
  return [
    `others can reach ${where} without TLS: whoever is in between reads tokens and rows, and can change them; set listen.tls.cert and listen.tls.key, or let a balancer end TLS and name it in proxyFrom (docs/tls.md)`,
  ];
}
