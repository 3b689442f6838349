import { parseRedisUrl, REDIS_SCHEMES } from '../core/redis-url.ts';

/** Why `url` names no queue; undefined when it does. Messages never repeat the URL, which may hold a password. */
export function checkQueueUrl(url: string): string | undefined {
  if (url.startsWith('sqlite:')) return undefined;
  const forms = 'sqlite:, redis://host:6379, redis+sentinel://host,host,host/mymaster, redis+cluster://host,host,host, or rediss for TLS';
  const foreign = foreignScheme(url, REDIS_SCHEMES, forms);
  if (foreign !== undefined) return foreign;
  const parsed = parseRedisUrl(url);
  return typeof parsed === 'string' ? parsed : undefined;
}

/** Why `url` names no sink; undefined when it does. */
export function checkSinkUrl(url: string): string | undefined {
  if (url.startsWith('sqlite:')) return undefined;
  const parsed = parse(url, ['mysql:', 'mariadb:'], 'sqlite: or mysql://user:password@host:3306/database');
  if (typeof parsed === 'string') return parsed;
  if (!/^\/[^/]+$/.test(parsed.pathname)) return 'must end in the name of the database, as in mysql://user:password@host:3306/database';
  return undefined;
}

function parse(url: string, protocols: readonly string[], forms: string): URL | string {
  const foreign = foreignScheme(url, protocols, forms);
  if (foreign !== undefined) return foreign;
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    return 'is not a valid URL; write special characters of a password as %40 (@), %2F (/), %23 (#), %3A (:)';
  }
  return parsed.hostname === '' ? `must name a host, as in ${parsed.protocol}//host` : parsed;
}

function foreignScheme(url: string, known: readonly string[], forms: string): string | undefined {
  const written = /^[a-z][a-z0-9+.-]*:/i.exec(url)?.[0].toLowerCase();
  if (written !== undefined && known.includes(written)) return undefined;
  return `must be ${forms}${written === undefined ? '' : `; ${written} is not known`}`;
}
