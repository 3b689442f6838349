/** Why `url` names no queue; undefined when it does. Messages never repeat the URL, which may hold a password. */
export function checkQueueUrl(url: string): string | undefined {
  if (url.startsWith('sqlite:')) return undefined;
  const parsed = parse(url, ['redis:', 'rediss:'], 'sqlite:, redis://host:6379 or rediss://host:6379');
  if (typeof parsed === 'string') return parsed;
  if (!/^\/?\d*$/.test(parsed.pathname)) return 'must end in the number of a Redis database, as in redis://host:6379/0';
  return undefined;
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
  const written = /^[a-z][a-z0-9+.-]*:/i.exec(url)?.[0].toLowerCase();
  if (written === undefined || !protocols.includes(written))
    return `must be ${forms}${written === undefined ? '' : `; ${written} is not known`}`;
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    return 'is not a valid URL; write special characters of a password as %40 (@), %2F (/), %23 (#), %3A (:)';
  }
  return parsed.hostname === '' ? `must name a host, as in ${written}//host` : parsed;
}
