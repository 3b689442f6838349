/** Where one server listens. */
export interface RedisAddress {
  readonly host: string;
  readonly port: number;
}

/** What the URL of a queue in Redis says. */
export interface RedisUrl {
  /** `single`: one server. `sentinel`: the addresses are Sentinels. `cluster`: the addresses are some of its nodes. */
  readonly kind: 'single' | 'sentinel' | 'cluster';
  /** Over TLS, to the Sentinels too. */
  readonly secure: boolean;
  readonly addresses: readonly [RedisAddress, ...RedisAddress[]];
  readonly username?: string;
  readonly password?: string;
  /** The name under which the Sentinels know the master; empty without Sentinels. */
  readonly master: string;
  readonly db: number;
}

const KINDS: Readonly<Record<string, Pick<RedisUrl, 'kind' | 'secure'>>> = {
  'redis:': { kind: 'single', secure: false },
  'rediss:': { kind: 'single', secure: true },
  'redis+sentinel:': { kind: 'sentinel', secure: false },
  'rediss+sentinel:': { kind: 'sentinel', secure: true },
  'redis+cluster:': { kind: 'cluster', secure: false },
  'rediss+cluster:': { kind: 'cluster', secure: true },
};

export const REDIS_SCHEMES: readonly string[] = Object.keys(KINDS);

const DEFAULT_PORT = { single: 6379, sentinel: 26_379, cluster: 6379 } as const;
const INVALID = 'is not a valid URL; write special characters of a password as %40 (@), %2F (/), %23 (#), %3A (:)';

/** Reads the URL of a queue in Redis; a text is why it is none. Texts never repeat the URL, which may hold a password. */
export function parseRedisUrl(url: string): RedisUrl | string {
  const parts = /^([a-z][a-z0-9+.-]*:)\/\/(?:([^/?#]*)@)?([^/?#@]*)([^?#]*)(\?[^#]*)?$/i.exec(url);
  const kind = KINDS[parts?.[1]?.toLowerCase() ?? ''];
  if (parts === null || kind === undefined) return INVALID;
  const [, scheme, userinfo = '', hosts = '', path = '', query = ''] = parts;
  if (hosts === '') return `must name a host, as in ${scheme}//host`;
  const addresses = hosts.split(',').map((host) => parseAddress(host, DEFAULT_PORT[kind.kind]));
  const [first, ...others] = addresses.filter((address) => address !== undefined);
  if (first === undefined || others.length + 1 < addresses.length) return INVALID;
  const place = PLACES[kind.kind](path, query, addresses.length);
  if (typeof place === 'string') return place;
  const colon = userinfo.indexOf(':');
  const username = decode(colon < 0 ? userinfo : userinfo.slice(0, colon));
  const password = decode(colon < 0 ? '' : userinfo.slice(colon + 1));
  if (username === undefined || password === undefined) return 'has a % that begins no escape in its user or password';
  return {
    ...kind,
    addresses: [first, ...others],
    ...(username === '' ? {} : { username }),
    ...(password === '' ? {} : { password }),
    ...place,
  };
}

/** What stands behind the addresses, by kind. */
const PLACES: Readonly<Record<RedisUrl['kind'], (path: string, query: string, count: number) => Pick<RedisUrl, 'master' | 'db'> | string>> =
  {
    single: (path, query, count) => {
      if (count > 1) return 'names several servers; write redis+sentinel:// with Sentinels, or redis+cluster:// with nodes of a cluster';
      const db = /^\/?(\d*)$/.exec(path)?.[1];
      if (db === undefined || query !== '') return 'must end in the number of a Redis database, as in redis://host:6379/0';
      return { master: '', db: Number(db) };
    },
    sentinel: (path, query) => {
      const master = /^\/([\w.-]+)$/.exec(path)?.[1];
      if (master === undefined) return 'must end in the name of the master, as in redis+sentinel://host1,host2,host3/mymaster';
      const db = /^(?:\?db=(\d+))?$/.exec(query);
      if (db === null)
        return 'may have db and the number of a Redis database behind the name of the master, as in /mymaster?db=1, and nothing else';
      return { master, db: Number(db[1] ?? 0) };
    },
    cluster: (path, query) =>
      /^(\/0?)?$/.test(path) && query === '' ? { master: '', db: 0 } : 'must end after its addresses: a cluster has database 0 only',
  };

function parseAddress(text: string, defaultPort: number): RedisAddress | undefined {
  const match = /^(?:\[([\da-f:.]+)\]|([^\s:[\]%]+))(?::(\d{1,5}))?$/i.exec(text);
  const port = Number(match?.[3] ?? defaultPort);
  if (match === null || port < 1 || port > 65_535) return undefined;
  return { host: (match[1] ?? match[2]) as string, port };
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
