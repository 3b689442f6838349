import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import type { ConnectionOptions } from 'mysql2';
import { messageOf, SyncError } from '../../core/errors.ts';

/** TLS for the connection; each of the first three is PEM text or the path of a PEM file, read at every connect. */
export interface MysqlTls {
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  /** Whether the certificate must be valid and issued for the host; true unless it is false. */
  readonly rejectUnauthorized?: boolean | undefined;
}

/** Where a database is and who asks. */
export interface Address {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  /** Path of a Unix socket, which then counts instead of host and port. */
  readonly socket: string | undefined;
}

const CONNECT_TIMEOUT_MS = 5_000;
const TCP_KEEPALIVE_MS = 5_000;

/**
 * Reads `mysql://user:password@host:3306/database`, optionally with `?socket=/path`.
 * @throws {SyncError} `sink_unsuitable`; the message never repeats the URL, which may hold a password.
 */
export function parseAddress(url: string): Address {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    throw new SyncError(
      'sink_unsuitable',
      'the sink URL is not valid; write special characters of a password as %40 (@), %2F (/), %23 (#), %3A (:)',
    );
  }
  const database = decode(parsed.pathname.slice(1));
  if (!['mysql:', 'mariadb:'].includes(parsed.protocol) || database === '' || database.includes('/')) {
    throw new SyncError('sink_unsuitable', 'the sink URL must be mysql://user:password@host:3306/database');
  }
  const host = decode(parsed.hostname.replace(/^\[|\]$/g, ''));
  return {
    host: host === '' ? 'localhost' : host,
    port: parsed.port === '' ? 3306 : Number(parsed.port),
    user: decode(parsed.username),
    password: decode(parsed.password),
    database,
    socket: parsed.searchParams.get('socket') ?? undefined,
  };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new SyncError('sink_unsuitable', 'the sink URL has a % that is not followed by two hex digits; write % as %25');
  }
}

/** The driver's options: nothing that evaluates code, reads local files or guesses about numbers, dates and zones. */
export async function driverOptions(address: Address, tls: MysqlTls | undefined): Promise<ConnectionOptions> {
  return {
    host: address.host,
    port: address.port,
    user: address.user,
    password: address.password,
    database: address.database,
    ...(address.socket === undefined ? { stream: () => openSocket(address) } : { socketPath: address.socket }),
    ...(tls === undefined ? {} : { ssl: await tlsOptions(tls) }),
    charset: 'UTF8MB4_BIN',
    timezone: 'Z',
    supportBigNumbers: true,
    bigNumberStrings: true,
    dateStrings: true,
    jsonStrings: true,
    rowsAsArray: true,
    disableEval: true,
    compress: false,
    multipleStatements: false,
    flags: ['-LOCAL_FILES', '-ODBC', '-IGNORE_SPACE'],
    connectTimeout: CONNECT_TIMEOUT_MS,
    maxPreparedStatements: 1,
    connectAttributes: { program_name: 'syncline' },
  };
}

/**
 * The socket as the driver would open it, with one addition: the driver cannot tell TLS which name to check when the
 * host is an IP address, and without `_host` Node would hold the certificate against `localhost`.
 */
function openSocket({ host, port }: Address) {
  const socket = connect({ host, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: TCP_KEEPALIVE_MS });
  return Object.assign(socket, { _host: host });
}

async function tlsOptions(tls: MysqlTls) {
  const [ca, cert, key] = await Promise.all([pem(tls.ca), pem(tls.cert), pem(tls.key)]);
  const verify = tls.rejectUnauthorized !== false;
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    minVersion: 'TLSv1.2' as const,
    rejectUnauthorized: verify,
    verifyIdentity: verify,
  };
}

async function pem(textOrPath: string | undefined): Promise<string | undefined> {
  if (textOrPath === undefined || textOrPath.includes('-----BEGIN ')) return textOrPath;
  try {
    return await readFile(textOrPath, 'utf8');
  } catch (error) {
    throw new SyncError('sink_unavailable', `a PEM file for the sink cannot be read: ${messageOf(error)}`);
  }
}
