import type { RedisOptions } from 'ioredis';
import { createSecureContext } from 'node:tls';
import { messageOf, SyncError } from '../../core/errors.ts';
import { parseRedisUrl, type RedisAddress, type RedisUrl } from '../../core/redis-url.ts';

/** Certificates and keys as PEM text. */
export interface RedisTlsOptions {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly rejectUnauthorized?: boolean;
}

/** What the driver needs to know about a server. */
export type ServerOptions = Pick<RedisOptions, 'host' | 'port' | 'db' | 'username' | 'password' | 'tls'>;

/** Reads `queue.url`. @throws {SyncError} `bad_config` */
export function readRedisUrl(url: string): RedisUrl {
  const parsed = parseRedisUrl(url);
  if (typeof parsed === 'string') throw new SyncError('bad_config', `queue.url ${parsed}`);
  return parsed;
}

/** How the driver reaches the server at `address` with what the URL says besides. @throws {SyncError} `bad_config` when the certificates cannot be read. */
export function serverOptions(url: RedisUrl, address: RedisAddress, tls: RedisTlsOptions | undefined): ServerOptions {
  const { username, password, db } = url;
  return {
    ...address,
    db,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(url.secure ? { tls: tlsOptions(tls ?? {}, address.host) } : {}),
  };
}

/** @throws {SyncError} `bad_config` when the certificates cannot be read. */
export function tlsOptions(tls: RedisTlsOptions, host: string): NonNullable<RedisOptions['tls']> {
  const { rejectUnauthorized = true, ...pem } = tls;
  try {
    // The driver would give up for ever on certificates that cannot be read.
    createSecureContext(pem);
  } catch (error) {
    throw new SyncError('bad_config', `queue.tls cannot be used: ${messageOf(error)}`);
  }
  return { ...pem, rejectUnauthorized, minVersion: 'TLSv1.2', ...(/^[\d.]+$|:/.test(host) ? {} : { servername: host }) };
}
