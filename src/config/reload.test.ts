import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Authority } from '../../test/support/certificate.ts';
import { optionEntries, placeName, type OptionEntry } from './catalogue.ts';
import type { Config } from './config.ts';
import { loadConfig } from './load.ts';
import { planReload } from './reload.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'syncline-reload-'));
  for (const name of ['a', 'b']) writeFileSync(join(folder, `${name}.pem`), `-----BEGIN ${name}-----\n`);
  const authority = new Authority(folder, 'authority');
  const { cert, key } = authority.issue('door');
  // The same key, so that it fits; the file differs.
  writeFileSync(join(folder, 'door-other-key.pem'), `another\n${readFileSync(key, 'utf8')}`);
  writeFileSync(join(folder, 'door-other.pem'), `another\n${readFileSync(cert, 'utf8')}`);
  copyFileSync(new Authority(folder, 'other-authority').cert, join(folder, 'door-other-ca.pem'));
  for (const [name, secret] of Object.entries(SECRETS)) writeFileSync(join(folder, name), secret);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const SECRETS = {
  'token-file': 'default.other',
  'admin-file': 'other',
  'queue-file': REDIS('other'),
  'sink-file': MYSQL('other'),
  'sentinel-file': 'other',
};

function REDIS(password: string, host = 'redis'): string {
  return `rediss://syncline:${password}@${host}:6380/1`;
}
function SENTINEL(password: string): string {
  return `rediss+sentinel://syncline:${password}@sentinel-1,sentinel-2:26380/mymaster?db=1`;
}
function MYSQL(password: string, host = 'db'): string {
  return `mysql://syncline:${password}@${host}:3306/shop`;
}

const digest = (digit: string) => `sha256:${digit.repeat(64)}`;
const PEM = { ca: 'a.pem', cert: 'a.pem', key: 'a.pem' };

/** A configuration in which every option may be set. */
const BASE = {
  token: 'default.one',
  producers: [{ name: 'shop', tokens: [digest('a')], rules: [{ tables: ['item'] }] }],
  queue: { url: REDIS('one'), tls: { ...PEM } },
  sinks: [{ url: MYSQL('one'), tls: { ...PEM } }],
  tables: { orders: { partitionBy: { group: 'order', columns: ['id'] } } },
  listen: {
    web: { host: '0.0.0.0' },
    udp: { port: 9503 },
    tls: { cert: 'door.pem', key: 'door-key.pem', clientCa: 'authority.pem' },
    admin: { token: 'one', healthHost: '127.0.0.1', healthPort: 9504 },
  },
};

/** Values for options whose type does not tell one that differs from {@link BASE}. */
const OTHER: Readonly<Record<string, unknown>> = {
  node: 'another',
  data: './other-data',
  token: 'default.two',
  tokenFile: 'token-file',
  producers: [{ name: 'erp', tokens: [digest('b')] }],
  'producers[].name': 'erp',
  'producers[].tokens': [digest('b')],
  'producers[].certificates': ['DNS:other.example'],
  'producers[].addresses': ['10.0.0.6'],
  'producers[].rules': [],
  'producers[].rules[].tables': ['other'],
  'producers[].rules[].operations': ['delete'],
  'producers[].rules[].columns': ['other'],
  'ingest.addresses': ['10.0.0.7'],
  tokensFile: 'other-tokens.jsonl',
  'queue.url': REDIS('two'),
  'queue.urlFile': 'queue-file',
  'queue.prefix': 'other:',
  'queue.sentinel.username': 'other',
  'queue.sentinel.password': 'two',
  'queue.sentinel.passwordFile': 'sentinel-file',
  'cluster.mode': 'standby',
  'sinks[].name': 'other',
  'sinks[].url': MYSQL('two'),
  'sinks[].urlFile': 'sink-file',
  'sinks[].schema': 'evolve',
  tables: {},
  'tables.<name>.partitionBy.group': 'other',
  'tables.<name>.partitionBy.columns': [],
  'listen.tls.cert': 'door-other.pem',
  'listen.tls.key': 'door-other-key.pem',
  'listen.tls.clientCa': 'door-other-ca.pem',
  'listen.tls.clientCertificates': 'optional',
  'listen.tls.minVersion': 'TLSv1.3',
  'listen.tcp.tls': false,
  'listen.tcp.host': '127.0.0.9',
  'listen.tcp.proxyFrom': ['10.0.0.5'],
  'listen.web.enabled': false,
  'listen.web.tls': false,
  'listen.web.host': '127.0.0.9',
  'listen.web.engine': 'ws',
  'listen.web.proxyFrom': ['10.0.0.5'],
  'listen.web.origins': ['https://shop.example'],
  'listen.web.hosts': ['sync.shop.example'],
  'listen.web.maxBodyBytes': 8 * 1024 * 1024,
  'listen.udp.host': '127.0.0.9',
  'listen.admin.host': '127.0.0.9',
  'listen.admin.token': 'two',
  'listen.admin.tokenFile': 'admin-file',
  'listen.admin.healthHost': '127.0.0.9',
  'listen.admin.healthPort': 9505,
  'ingest.maxBatchChanges': 1000,
  'ingest.maxFrameBytes': 1024 * 1024,
  'ingest.creditBytes': 16 * 1024 * 1024,
  'audit.file': 'other.log',
  'log.level': 'debug',
  'log.format': 'json',
};

function load(options: object): Config {
  writeFileSync(join(folder, 'syncline.yaml'), JSON.stringify(options));
  return loadConfig({ env: {}, cwd: folder });
}

function otherValue(entry: OptionEntry): unknown {
  const name = placeName(entry.path);
  if (name in OTHER) return OTHER[name];
  if (entry.path.includes('tls')) return entry.kind === 'flag' ? false : 'b.pem';
  return entry.maximum;
}

/** The same with Sentinels, which other queues have no options for. */
const WATCHED = { ...BASE, queue: { url: SENTINEL('one'), sentinel: { username: 'one', password: 'one' }, tls: { ...PEM } } };

function baseOf({ path }: OptionEntry): object {
  return path.includes('sentinel') ? WATCHED : BASE;
}

/** The base with one option set to something else. */
function withOther(entry: OptionEntry): object {
  const options = structuredClone(baseOf(entry)) as Record<string, unknown>;
  let node = options;
  const path = entry.path.map((part) => (part === '[]' ? '0' : part === '<name>' ? 'orders' : part));
  for (const part of path.slice(0, -1)) node = (node[part] ??= {}) as Record<string, unknown>;
  const last = path.at(-1) as string;
  if (isInstead(entry)) delete node[last.slice(0, -'File'.length)];
  node[last] = otherValue(entry);
  return options;
}

/** Whether it names the file that holds another option. */
function isInstead({ path }: OptionEntry): boolean {
  const name = path.at(-1) as string;
  return name.endsWith('File') && name !== 'tokensFile';
}

/** Under which name a difference is reported: lists and maps as a whole, the file of a secret as the secret. */
function reportedAs(entry: OptionEntry): string {
  const { path } = entry;
  if (path[0] === 'producers' || path[0] === 'tables') return path[0];
  const name = placeName(entry.path).replace('sinks[]', 'sinks[0]');
  return isInstead(entry) ? name.replace(/File$/, '') : name;
}

describe('every option changes when the schema says that it does:', () => {
  for (const entry of optionEntries()) {
    const name = placeName(entry.path);
    if (entry.kind === 'section' || name === 'sinks' || name === 'tables.<name>.partitionBy') continue;
    test(name, () => {
      expect(entry.takesEffect).toBeDefined();
      const running = load(baseOf(entry));
      const loaded = load(withOther(entry));
      const { config, changed, waiting } = planReload(running, loaded);
      if (entry.takesEffect === 'restart') {
        expect({ changed, waiting }).toEqual({ changed: [], waiting: [reportedAs(entry)] });
        expect(config).toEqual({ ...running, warnings: loaded.warnings });
      } else {
        expect({ changed, waiting }).toEqual({ changed: [reportedAs(entry)], waiting: [] });
        expect(config).toEqual(loaded);
      }
    });
  }
});

test('sections, and what is inside a list of many, are not options of their own', () => {
  const without = optionEntries().filter(({ takesEffect }) => takesEffect === undefined);
  expect(without.map(({ kind, path }) => [kind, placeName(path)]).filter(([kind]) => kind !== 'section')).toEqual([['list', 'sinks']]);
});

test('the password of Redis behind Sentinels changes at a reload', () => {
  const { config, changed, waiting } = planReload(load(WATCHED), load({ ...WATCHED, queue: { ...WATCHED.queue, url: SENTINEL('two') } }));
  expect([config.queue.url, changed, waiting]).toEqual([SENTINEL('two'), ['queue.url'], []]);
});

describe('another place of queue or sink waits for a restart, together with what one logs in there with:', () => {
  test.each(['redis://syncline:two@redis:6380/1', REDIS('two', 'other'), 'rediss://syncline:two@redis:6380/2', 'sqlite:'])(
    'queue %s',
    (url) => {
      const running = load(BASE);
      const tls = url.startsWith('rediss:') ? { tls: { ...PEM, ca: 'b.pem' } } : {};
      const { config, waiting } = planReload(running, load({ ...BASE, queue: { url, ...tls } }));
      expect(config.queue).toEqual(running.queue);
      expect(waiting).toContain('queue.url');
    },
  );

  test.each([MYSQL('two', 'other'), 'mysql://syncline:two@db:3306/other', 'sqlite:'])('sink %s', (url) => {
    const running = load(BASE);
    const { config, waiting } = planReload(running, load({ ...BASE, sinks: [{ url }] }));
    expect(config.sinks).toEqual(running.sinks);
    expect(waiting).toContain('sinks[0].url');
  });
});

describe('a door that speaks TLS', () => {
  const tls = { cert: 'door.pem', key: 'door-key.pem' };

  test.each<[string, object, object]>([
    ['begins', {}, { tls }],
    ['ceases', { tls }, {}],
  ])('%s to do so at a restart', (_, before, after) => {
    const running = load({ listen: before });
    const { config, changed, waiting } = planReload(running, load({ listen: after }));
    expect(config.listen).toEqual(running.listen);
    expect({ changed, waiting }).toMatchObject({
      changed: [],
      waiting: [
        'listen.tls.cert',
        'listen.tls.key',
        'listen.tls.clientCertificates',
        'listen.tls.minVersion',
        'listen.tcp.tls',
        'listen.web.tls',
      ],
    });
  });
});

describe('no reload opens a door', () => {
  test('that others can reach, by taking away all tokens', () => {
    const running = load({ token: 'default.one', listen: { tcp: { host: '0.0.0.0' } } });
    const { config, changed, waiting } = planReload(running, load({}));
    expect(config.producers).toEqual(running.producers);
    expect({ changed, waiting }).toEqual({ changed: [], waiting: ['token', 'listen.tcp.host', 'listen.web.host'] });
  });

  test('of the web alone that others can reach', () => {
    const running = load({ token: 'default.one', listen: { tcp: { host: '127.0.0.1' }, web: { host: '0.0.0.0' } } });
    expect(planReload(running, load({})).config.producers).toEqual(running.producers);
    const off = load({ token: 'default.one', listen: { tcp: { host: '127.0.0.1' }, web: { host: '0.0.0.0', enabled: false } } });
    expect(planReload(off, load({})).config.producers).toEqual([]);
  });

  test('of the admin server that others can reach, by taking away its token', () => {
    const running = load({ listen: { admin: { host: '0.0.0.0', token: 'one' } } });
    const { config, waiting } = planReload(running, load({}));
    expect(config.listen.admin.token).toBe('one');
    expect(waiting).toEqual(['listen.admin.host', 'listen.admin.token']);
  });

  test('but one on loopback may be opened, and shut', () => {
    const open = load({ listen: { tcp: { host: '127.0.0.1' } } });
    const shut = load({ token: 'default.one', listen: { tcp: { host: '127.0.0.1' } } });
    expect(planReload(open, shut)).toMatchObject({ config: { producers: [{ name: 'default' }] }, changed: ['token'], waiting: [] });
    expect(planReload(shut, open)).toMatchObject({ config: { producers: [] }, changed: ['token'], waiting: [] });
  });

  test('but not on the way to a file of tokens, which counts from the restart on', () => {
    const running = load({ token: 'default.one', listen: { tcp: { host: '127.0.0.1' } } });
    const { config, waiting } = planReload(running, load({ tokensFile: '/etc/syncline/tokens', listen: { tcp: { host: '127.0.0.1' } } }));
    expect(config).toMatchObject({ token: 'default.one', producers: [{ name: 'default' }], tokensFile: undefined });
    expect(waiting).toEqual(expect.arrayContaining(['token', 'tokensFile']));
  });
});
