import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SyncError } from '../core/errors.ts';
import { loadConfig } from './load.ts';
import { tokenDigest } from './resolve.ts';

let cwd: string;
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'syncline-config-'));
});
afterEach(() => rmSync(cwd, { recursive: true, force: true }));

function write(name: string, text: string): string {
  const path = join(cwd, name);
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, text);
  return path;
}

const load = (env: Record<string, string> = {}, file?: string) => loadConfig({ env, cwd, file });

/** The message of the error that loading this file gives, without the folder. */
function faultOf(yaml: string, env: Record<string, string> = {}): string {
  write('syncline.yaml', yaml);
  return messageOf(() => load(env));
}

function messageOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(SyncError);
    expect((error as SyncError).code).toBe('bad_config');
    return (error as SyncError).message.replaceAll(`${cwd}/`, '');
  }
  throw new Error('the configuration was accepted');
}

describe('without anything', () => {
  test('it runs embedded on loopback with an evolving sink', () => {
    const config = load();
    expect(config).toMatchObject({
      file: undefined,
      node: hostname(),
      data: join(cwd, 'syncline-data'),
      producers: [],
      queue: { url: 'sqlite:', partitions: 16, prefix: 'syncline:' },
      sinks: [{ name: 'main', url: 'sqlite:', schema: 'evolve' }],
      mapping: '',
      listen: {
        tcp: { host: '127.0.0.1', port: 9501, proxyFrom: [] },
        web: { enabled: true, host: '127.0.0.1', port: 9502, engine: 'auto', proxyFrom: [], origins: [], hosts: [] },
        admin: { host: '127.0.0.1', port: 9500, token: undefined },
        health: undefined,
      },
      ingest: { maxFrameBytes: 4 * 1024 * 1024, creditBytes: 8 * 1024 * 1024 },
    });
  });

  test('four variables are enough for the real thing', () => {
    const config = load({
      SYNCLINE_QUEUE: 'redis://r:6379',
      SYNCLINE_SINK: 'mysql://u:p@db/shop',
      SYNCLINE_DATA: 'd',
      SYNCLINE_TOKEN: 'default.s3cret',
    });
    expect(config.queue.url).toBe('redis://r:6379');
    expect(config.sinks).toEqual([{ name: 'main', url: 'mysql://u:p@db/shop', schema: 'strict' }]);
    expect(config.data).toBe(join(cwd, 'd'));
    expect(config).toMatchObject({ token: 'default.s3cret', producers: [{ name: 'default', tokens: [tokenDigest('default.s3cret')] }] });
    expect(config.listen.tcp.host).toBe('0.0.0.0');
    expect(config.warnings).toEqual([expect.stringContaining('without TLS')]);
  });
});

describe('the file', () => {
  test('is syncline.yaml of the folder, or the one that is named', () => {
    write('syncline.yaml', 'node: here');
    const other = write('etc/other.yaml', 'node: there\ndata: store');
    expect(load().node).toBe('here');
    expect(load({}, 'etc/other.yaml')).toMatchObject({ node: 'there', file: other, data: join(cwd, 'etc/store') });
    expect(load({ SYNCLINE_CONFIG: other }).node).toBe('there');
  });

  test('that is named must exist', () => {
    expect(messageOf(() => load({}, 'nowhere.yaml'))).toBe('file nowhere.yaml does not exist');
  });

  test('may have sections and options without a value', () => {
    write('syncline.yaml', 'queue:\nlisten:\n  tcp:\n    port:\ntoken:\n');
    expect(load().listen.tcp.port).toBe(9501);
  });

  test('may be empty', () => {
    write('syncline.yaml', '# nothing yet\n');
    expect(load().node).toBe(hostname());
  });

  test('that is no YAML is refused with line and column', () => {
    expect(faultOf('node: a\nqueue: {partitions: 3\n')).toMatch(/^syncline\.yaml line \d, column \d+: not valid YAML: /);
  });

  test('with a value that ends in a colon is refused with what to do', () => {
    expect(faultOf('queue:\n  url: sqlite:\n')).toMatch(/^syncline\.yaml line 2, .*; put a value that ends in a colon in quotes$/);
  });

  test('that repeats an option is refused', () => {
    expect(faultOf('node: a\nnode: b\n')).toMatch(/^syncline\.yaml line 2, column 1: not valid YAML: .*unique/);
  });

  test('that is a list is refused', () => {
    expect(faultOf('- a\n')).toBe('syncline.yaml line 1: must hold options, as in `token: …`');
  });

  test('takes sizes in words', () => {
    write('syncline.yaml', 'ingest:\n  creditBytes: 16 MiB\n  maxFrameBytes: 512kB\n');
    expect(load().ingest).toMatchObject({ creditBytes: 16 * 1024 * 1024, maxFrameBytes: 512_000 });
  });

  test('is overridden by the environment, option by option', () => {
    write('syncline.yaml', 'queue:\n  url: redis://one\n  partitions: 4\nsinks:\n  - url: mysql://one/db\n    schema: evolve\n');
    const config = load({ SYNCLINE_QUEUE: 'redis://two', SYNCLINE_SINK: 'mysql://two/db' });
    expect(config.queue).toMatchObject({ url: 'redis://two', partitions: 4 });
    expect(config.sinks[0]).toMatchObject({ url: 'mysql://two/db', schema: 'evolve' });
  });
});

describe('a mistake', () => {
  test('in a name is answered with the nearest right one, its path and its line', () => {
    expect(faultOf('node: a\nqueue:\n  partitons: 8\n')).toBe(
      'syncline.yaml line 3: queue.partitons: unknown option; did you mean queue.partitions?',
    );
    expect(faultOf('queue:\n  max-bytes: 8\n')).toContain('did you mean queue.maxBytes?');
    expect(faultOf('listne: {}\n')).toContain('line 1: listne: unknown option; did you mean listen?');
  });

  test('in the place of an option is answered with the right one', () => {
    expect(faultOf('partitions: 8\n')).toContain('did you mean queue.partitions?');
  });

  test('in a name that is like no other is answered with those that are known there', () => {
    expect(faultOf('retention:\n  xyzzyabc: 8\n')).toContain(
      'line 2: retention.xyzzyabc: unknown option; known here are streamDays, requestHours',
    );
  });

  test('in a list is named with its index', () => {
    expect(faultOf('sinks:\n  - name: main\n    shcema: strict\n')).toBe(
      'syncline.yaml line 3: sinks[0].shcema: unknown option; did you mean sinks[0].schema?',
    );
  });

  test('in a variable is answered with the nearest right one', () => {
    expect(messageOf(() => load({ SYNCLINE_QUEU: 'redis://x' }))).toBe(
      'SYNCLINE_QUEU: unknown variable; did you mean SYNCLINE_QUEUE (queue.url)?',
    );
  });

  test('in a type says what is expected and what was seen', () => {
    expect(faultOf('queue:\n  partitions: many\n')).toContain('line 2: queue.partitions: must be a whole number, not "many"');
    expect(faultOf('queue:\n  partitions: 1.5\n')).toContain('must be a whole number, not 1.5');
    expect(faultOf('node: 17\n')).toContain('line 1: node: must be text, not 17; put it in quotes');
    expect(faultOf('queue: redis\n')).toContain('queue: must be a section with options of its own, not "redis"');
    expect(faultOf('sinks:\n  url: x\n')).toContain('sinks: must be a list, not a section');
    expect(faultOf('queue:\n  tls:\n    rejectUnauthorized: "no"\n')).toContain('must be true or false, not "no"');
    expect(faultOf('log:\n  level: inof\n')).toContain(
      'log.level: must be debug, info, warn, error or silent, not "inof"; did you mean info?',
    );
    expect(faultOf('ingest:\n  creditBytes: 8 parsecs\n')).toContain('must be a size such as 8 MiB, not "8 parsecs"');
  });

  test('in a range says the range', () => {
    expect(faultOf('queue:\n  partitions: 257\n')).toContain('queue.partitions: must be from 1 to 256, not 257');
    expect(faultOf('ingest:\n  maxFrameBytes: 1 GiB\n')).toContain('must be from 64 KiB to 64 MiB, not "1 GiB"');
    expect(messageOf(() => load({ SYNCLINE_QUEUE_PARTITIONS: '0' }))).toContain(
      'SYNCLINE_QUEUE_PARTITIONS (queue.partitions): must be from 1 to 256, not 0',
    );
    expect(messageOf(() => load({ SYNCLINE_TCP_PORT: 'http' }))).toContain(
      'SYNCLINE_TCP_PORT (listen.tcp.port): must be a whole number, not "http"',
    );
  });

  test('of several is reported with the others', () => {
    const message = faultOf('nod: a\nqueue:\n  partitions: 0\n', { SYNCLINE_LOG_LEVEL: 'loud' });
    expect(message).toMatch(/^the configuration has 3 problems:\n/);
    for (const part of ['line 1: nod:', 'line 3: queue.partitions:', 'SYNCLINE_LOG_LEVEL (log.level):']) expect(message).toContain(part);
  });

  test('in a secret does not show it', () => {
    for (const yaml of [
      'token: 123456789\n',
      'queue:\n  url: "http://u:123456789@x"\n',
      'sinks:\n  - url: "mysql://u:1234#56789@x/y"\n',
      'producers:\n  - name: a\n    tokens: ["123456789"]\n',
    ]) {
      expect(faultOf(yaml)).not.toMatch(/1234|56789/);
    }
  });
});

describe('secrets', () => {
  test('may lie in files, beside the configuration file or, from a variable, in the current folder', () => {
    write('etc/secret/token', 'a.b\n');
    write('sink-url', 'mysql://u:p@db/shop\n');
    write('etc/syncline.yaml', 'tokenFile: secret/token\n');
    const config = load({ SYNCLINE_SINK_FILE: 'sink-url' }, 'etc/syncline.yaml');
    expect(config.token).toBe('a.b');
    expect(config.sinks[0].url).toBe('mysql://u:p@db/shop');
  });

  test('from a variable replace a file that the configuration names', () => {
    write('syncline.yaml', 'tokenFile: nowhere\n');
    expect(load({ SYNCLINE_TOKEN: 'x.y' }).token).toBe('x.y');
  });

  test('in a file that is missing are an error with its line', () => {
    expect(faultOf('node: a\ntokenFile: nowhere\n')).toBe('syncline.yaml line 2: tokenFile: file nowhere does not exist');
  });

  test('are not given twice', () => {
    write('token', 'x');
    expect(faultOf('token: y\ntokenFile: token\n')).toContain('line 2: tokenFile: is set beside token; keep one of them');
  });
});

describe('what no single option tells', () => {
  const open = 'token: a.b\n';

  test('status and metrics are not for others without a token of their own', () => {
    const problem = 'line 2: listen.admin.host: is 0.0.0.0, which others can reach, but metrics and status ask nobody for a token';
    expect(faultOf('listen:\n  admin: { host: 0.0.0.0 }\n')).toContain(problem);
    expect(faultOf('listen:\n  admin: { host: 0.0.0.0 }\n', { SYNCLINE_TOKEN: 'default.x' })).toContain(problem);
    write('syncline.yaml', 'listen:\n  admin: { host: 0.0.0.0 }\n');
    expect(load({ SYNCLINE_ADMIN_TOKEN: 'hush' })).toMatchObject({ listen: { admin: { host: '0.0.0.0', token: 'hush' } }, warnings: [] });
  });

  test('the admin token may lie in a file, and must fit in a header', () => {
    write('admin-token', 'hush\n');
    const config = 'listen:\n  admin:\n    tokenFile: admin-token\n';
    write('syncline.yaml', config);
    expect(load().listen.admin.token).toBe('hush');
    expect(load({ SYNCLINE_ADMIN_TOKEN: 'other' }).listen.admin.token).toBe('other');
    expect(faultOf(`${config}    token: hush\n`)).toBe(
      'syncline.yaml line 3: listen.admin.tokenFile: is set beside token; keep one of them',
    );
    const fault = faultOf('', { SYNCLINE_ADMIN_TOKEN: 'señor hush' });
    expect(fault).toContain('SYNCLINE_ADMIN_TOKEN (listen.admin.token): must be ASCII without blanks');
    expect(fault).not.toContain('hush');
    write('admin-token', '\n');
    expect(faultOf(config.replace('admin:', 'admin:\n    host: 0.0.0.0'))).toContain('names an empty file');
  });

  test('nobody may listen beyond loopback without asking for a token', () => {
    expect(faultOf('listen:\n  tcp:\n    host: 0.0.0.0\n')).toContain(
      'line 3: listen.tcp.host: is 0.0.0.0, which others can reach, but nobody is asked for a token',
    );
    write('syncline.yaml', 'listen:\n  tcp:\n    host: "::1"\n');
    expect(load().listen.tcp.host).toBe('::1');
  });

  test('the web listens where TCP does, unless it is told otherwise or turned off', () => {
    expect(load({ SYNCLINE_TOKEN: 'default.s', SYNCLINE_TCP_HOST: '127.0.0.5' }).listen.web.host).toBe('127.0.0.5');
    expect(load({ SYNCLINE_TOKEN: 'default.s', SYNCLINE_WEB_HOST: '10.0.0.1' }).listen).toMatchObject({
      tcp: { host: '0.0.0.0' },
      web: { host: '10.0.0.1' },
    });
    expect(faultOf('', { SYNCLINE_WEB_HOST: '0.0.0.0' })).toContain('(listen.web.host): is 0.0.0.0, which others can reach');
    expect(load({ SYNCLINE_WEB_HOST: '0.0.0.0', SYNCLINE_WEB_ENABLED: 'false' }).listen.web.enabled).toBe(false);
    expect(faultOf('', { SYNCLINE_WEB_PORT: '9501' })).toContain('is 9501, which listen.tcp.port uses');
    expect(load({ SYNCLINE_WEB_PORT: '9501', SYNCLINE_WEB_ENABLED: 'false' }).listen.web.port).toBe(9501);
  });

  test('origins are those that browsers send, and hosts are names', () => {
    const { web } = load({
      SYNCLINE_WEB_ORIGINS: 'https://shop.example,http://localhost:8080',
      SYNCLINE_WEB_HOSTS: 'Sync.Example [::1]',
    }).listen;
    expect(web).toMatchObject({ origins: ['https://shop.example', 'http://localhost:8080'], hosts: ['sync.example', '[::1]'] });
    for (const wrong of ['shop.example', 'https://shop.example/', 'https://Shop.example', 'https://shop.example:443', '*', 'null'])
      expect(faultOf('', { SYNCLINE_WEB_ORIGINS: wrong })).toContain(`is ${wrong}, which is no origin`);
    for (const wrong of ['https://sync.example', 'sync.example:9502', '::1', 'a/b'])
      expect(faultOf('', { SYNCLINE_WEB_HOSTS: wrong })).toContain(`is ${wrong}, which is no host`);
  });

  test('balancers are addresses and ranges, in the file a list and in the environment a line', () => {
    write('syncline.yaml', 'listen:\n  tcp:\n    proxyFrom: [ 10.0.0.5, "2001:db8::/32" ]\n');
    expect(load()).toMatchObject({ listen: { tcp: { proxyFrom: ['10.0.0.5', '2001:db8::/32'] } }, warnings: [] });
    expect(load({ SYNCLINE_TCP_PROXY_FROM: '10.0.0.0/24, ::1 127.0.0.1' }).listen.tcp.proxyFrom).toEqual([
      '10.0.0.0/24',
      '::1',
      '127.0.0.1',
    ]);
    for (const wrong of ['10.0.0.0/33', '10.0.0', 'balancer.internal', '::/129', '10.0.0.0/', '10.0.0.0/8/8', 'fe80::1%eth0']) {
      expect(faultOf('', { SYNCLINE_TCP_PROXY_FROM: `10.0.0.5,${wrong}` })).toContain(
        `listen.tcp.proxyFrom[1]: is ${wrong}, which is neither an address nor a range`,
      );
    }
    write('syncline.yaml', '');
    expect(load({ SYNCLINE_TCP_PROXY_FROM: '0.0.0.0/0' }).warnings).toEqual([expect.stringContaining('proxyFrom includes everybody')]);
  });

  test('exactly one sink is supported', () => {
    expect(faultOf('sinks:\n  - name: a\n  - name: b\n')).toBe(
      'syncline.yaml line 3: sinks[1]: is one too many: this version applies changes to one sink, and 2 are listed',
    );
    expect(faultOf('sinks: []\n')).toContain('sinks: must not be empty');
  });

  test('several nodes need a queue and a sink that all of them reach', () => {
    const rest = 'queue: { url: redis://127.0.0.1 }\nsinks: [{ url: "mysql://u@127.0.0.1/shop" }]\n';
    write('syncline.yaml', `cluster: { mode: active }\n${rest}`);
    expect(load().cluster.mode).toBe('active');
    const found = faultOf('cluster: { mode: standby }\n');
    expect(found).toContain('cluster.mode: is standby, which needs a queue in Redis, which all nodes use: set queue.url');
    expect(found).toContain('a database server as sink, which all nodes write to: set sinks[0].url');
  });

  test('credit covers a frame', () => {
    expect(faultOf('ingest:\n  maxFrameBytes: 16 MiB\n')).toContain('ingest.creditBytes: must be at least ingest.maxFrameBytes');
  });

  test('producers have names and tokens of their own', () => {
    const digest = tokenDigest('x');
    expect(faultOf(`producers:\n  - { name: a, tokens: ["${digest}"] }\n  - { name: a, tokens: ["${tokenDigest('y')}"] }\n`)).toContain(
      'line 3: producers[1].name: a is listed twice',
    );
    expect(faultOf(`producers:\n  - { name: a, tokens: ["${digest}"] }\n  - { name: b, tokens: ["${digest}"] }\n`)).toContain(
      'producers[1].tokens[0]: is a token of a already',
    );
    expect(faultOf(`producers:\n  - { name: "a b", tokens: ["${digest}"] }\n`)).toContain('must be letters, digits');
    expect(faultOf(`${open}producers:\n  - { name: default, tokens: ["${digest}"] }\n`)).toContain(
      'default is the name of whoever uses token',
    );
  });

  test('a producer has some way to come in: tokens, certificates, or the token file', () => {
    expect(faultOf('producers:\n  - { name: a }\n')).toContain('producers[0]: a has no way to come in; give it tokens');
    write('syncline.yaml', 'producers: [{ name: a, certificates: ["DNS:a.example"] }]\n');
    expect(load().producers).toEqual([{ name: 'a', tokens: [], certificates: ['DNS:a.example'], addresses: [] }]);
    write('syncline.yaml', 'tokensFile: etc/tokens.jsonl\nproducers: [{ name: a }]\n');
    expect(load()).toMatchObject({ tokensFile: join(cwd, 'etc/tokens.jsonl'), listen: { tcp: { host: '0.0.0.0' } } });
    expect(load({ SYNCLINE_TOKENS_FILE: 'mine' }).tokensFile).toBe(join(cwd, 'mine'));
  });

  test('certificates belong to one producer each, and addresses are addresses', () => {
    const two = (a: string, b: string) => `producers: [{ name: a, certificates: ["${a}"] }, { name: b, certificates: ["${b}"] }]\n`;
    expect(faultOf(two('DNS:a.example', 'DNS:A.example'))).toContain('producers[1].certificates[0]: is a certificate of a already');
    expect(faultOf(two('DNS:a.example', 'CN=b'))).toContain('must be a subject alternative name such as DNS:shop.example');
    expect(faultOf('producers: [{ name: a, certificates: ["DNS:a"], addresses: [10.0.0.0/33] }]\n')).toContain(
      'producers[0].addresses[0]: is 10.0.0.0/33, which is neither an address nor a range',
    );
    expect(faultOf('ingest: { addresses: [example.org] }\n')).toContain('ingest.addresses[0]: is example.org, which is neither');
  });

  test('rules name tables and operations; without operations they allow all', () => {
    const rules = (written: string) => `producers: [{ name: a, certificates: ["DNS:a"], rules: ${written} }]\n`;
    write('syncline.yaml', rules('[{ tables: [orders, "stock_*"] }, { tables: [a], operations: [update], columns: [x] }]'));
    expect(load().producers[0]?.rules).toEqual([
      { tables: ['orders', 'stock_*'], operations: ['upsert', 'insert', 'update', 'delete'] },
      { tables: ['a'], operations: ['update'], columns: ['x'] },
    ]);
    write('syncline.yaml', rules('[]'));
    expect(load().producers[0]?.rules).toEqual([]);
    expect(faultOf(rules('[{ tables: ["a*b"] }]'))).toContain('must be the name of a table, with a star at its end');
    expect(faultOf(rules('[{ tables: [a], operations: [updat] }]'))).toContain('did you mean update?');
    expect(faultOf(rules('[{ tables: [] }]'))).toContain('producers[0].rules[0].tables: must not be empty');
    expect(faultOf(rules('[{ table: a }]'))).toContain('did you mean');
  });

  test('URLs have a known scheme, a host and a database', () => {
    expect(faultOf('queue:\n  url: kafka://x\n')).toContain(
      'queue.url: must be sqlite:, redis://host:6379, redis+sentinel://host,host,host/mymaster, redis+cluster://host,host,host, or rediss for TLS; kafka: is not known',
    );
    expect(faultOf('queue:\n  url: redis://x/shop\n')).toContain('must end in the number of a Redis database');
    expect(faultOf('sinks:\n  - url: mysql://u@x\n')).toContain('sinks[0].url: must end in the name of the database');
    expect(faultOf('sinks:\n  - url: "mysql://u:p#x@h/d"\n')).toContain(
      'is not a valid URL; write special characters of a password as %40',
    );
  });

  test('replicas and the user of Sentinels belong to a queue in Redis', () => {
    const sentinel = 'queue:\n  url: redis+sentinel://:p@a,b/main\n  replicas: 1\n  sentinel: { username: watcher, password: hidden }\n';
    write('syncline.yaml', sentinel);
    expect(load().queue).toMatchObject({ replicas: 1, sentinel: { username: 'watcher', password: 'hidden' } });
    expect(faultOf('queue:\n  replicas: 1\n')).toContain('queue.replicas: is for Redis');
    expect(faultOf('queue:\n  url: redis://r\n  sentinel: { password: hidden }\n')).toContain('queue.sentinel: is for redis+sentinel://');
    expect(faultOf(sentinel.replace(', password: hidden', ''))).toContain('queue.sentinel: must have a password');
  });

  test('paths of sqlite files are absolute and differ', () => {
    write('syncline.yaml', 'queue:\n  url: sqlite:q.db\nsinks:\n  - url: sqlite:///var/s.db\n');
    expect(load()).toMatchObject({ queue: { url: `sqlite:${cwd}/q.db` }, sinks: [{ url: 'sqlite:/var/s.db' }] });
    expect(faultOf('queue:\n  url: sqlite:a.db\nsinks:\n  - url: sqlite:./a.db\n')).toContain('must be another file than queue.url');
  });

  test('TLS files are read and looked at', () => {
    const pem = '-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n';
    write('ca.pem', pem);
    write('syncline.yaml', 'queue:\n  url: rediss://r\n  tls:\n    ca: ca.pem\n');
    expect(load().queue.tls).toEqual({ ca: pem, rejectUnauthorized: true });
    write('ca.pem', 'hello');
    expect(messageOf(() => load())).toContain('line 4: queue.tls.ca: must name a PEM file');
    expect(faultOf('queue:\n  url: redis://r\n  tls: {}\n')).toContain('queue.tls: is for rediss:// only');
    expect(faultOf('sinks:\n  - url: mysql://h/d\n    tls: { cert: ca.pem }\n')).toContain('must name both cert and key');
  });

  test('ports differ, and the address of a second health listener needs its port', () => {
    expect(faultOf('listen:\n  tcp: { port: 9500 }\n')).toContain('listen.admin.port: is 9500, which listen.tcp.port uses');
    expect(faultOf('listen:\n  admin: { healthHost: 0.0.0.0 }\n')).toContain('healthHost: needs healthPort');
    write('syncline.yaml', 'listen:\n  admin: { healthPort: 9504 }\n');
    expect(load().listen.health).toEqual({ host: '0.0.0.0', port: 9504 });
  });

  test('what Kubernetes sets for a service called syncline is no mistake', () => {
    expect(
      load({ SYNCLINE_SERVICE_HOST: '10.0.0.1', SYNCLINE_PORT_9501_TCP: 'tcp://10.0.0.1:9501', SYNCLINE_PORT: 'tcp://10.0.0.1:9500' }).node,
    ).toBe(hostname());
  });
});

test('tables keep their partitionBy, and the digest of it does not depend on their order', () => {
  write(
    'syncline.yaml',
    'tables:\n  a: { partitionBy: { group: g, columns: [x] } }\n  b: { partitionBy: { group: g, columns: [] } }\n  c: {}\n',
  );
  const first = load();
  write('syncline.yaml', 'tables:\n  b: { partitionBy: { group: g, columns: [] } }\n  a: { partitionBy: { group: g, columns: [x] } }\n');
  expect(first.tables.get('a')).toEqual({ partitionBy: { group: 'g', columns: ['x'] } });
  expect(first.mapping).toMatch(/^[0-9a-f]{32}$/);
  expect(load().mapping).toBe(first.mapping);
  write('syncline.yaml', 'tables:\n  a: { partitionBy: { group: g, columns: [y] } }\n');
  expect(load().mapping).not.toBe(first.mapping);
});
