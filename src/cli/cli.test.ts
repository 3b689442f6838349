import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Status } from '../admin/status.ts';
import { tokenDigest } from '../config/resolve.ts';
import { COMMANDS, runCli } from './cli.ts';
import { version } from './version.ts';

let cwd: string;
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'syncline-cli-'));
});
afterEach(() => rmSync(cwd, { recursive: true, force: true }));

/** Runs a command in the test's folder. */
async function run(args: readonly string[], env: Record<string, string> = {}, input = '') {
  let [out, err] = ['', ''];
  const stdin = async function* () {
    yield await Promise.resolve(Buffer.from(input));
  };
  const code = await runCli(args, {
    out: (text) => (out += text),
    err: (text) => (err += text),
    errColumns: undefined,
    stdin: stdin(),
    env,
    cwd,
    stop: new AbortController().signal,
    onHangUp: () => {},
  });
  return { code, out, err: err.replaceAll(cwd, '<cwd>') };
}

describe('help', () => {
  test('of syncline', async () => {
    const { code, out } = await run(['--help']);
    expect(code).toBe(0);
    expect(out.replace(version(), '<version>')).toMatchSnapshot();
  });

  for (const { name } of COMMANDS) {
    test(`of ${name}`, async () => {
      const { code, out } = await run([name, '--help']);
      expect(code).toBe(0);
      expect(out).toMatchSnapshot();
      for (const line of out.split('\n')) expect(line.length, line).toBeLessThanOrEqual(125);
      expect((await run(['help', name])).out).toBe(out);
    });
  }
});

describe('syncline', () => {
  test('without a command shows what there is, and fails', async () => {
    const { code, err } = await run([]);
    expect(code).toBe(2);
    expect(err).toContain('Commands:');
  });

  test('says its version', async () => {
    expect((await run(['--version'])).out).toBe(`${version()}\n`);
    expect(version()).toMatch(/^\d+\.\d+\.\d+/);
  });

  test.each([
    [['sned'], 'unknown command sned; did you mean send? See: '],
    [['start', '--xyzzy'], 'unknown option --xyzzy. See: '],
    [['start', '--confg', 'x'], 'unknown option --confg; did you mean --config?'],
    [['start', 'now'], 'start takes no now.'],
    [['send'], 'send takes one file, or - for standard input.'],
    [['send', 'nowhere.csv', '-t', 't'], 'nowhere.csv does not exist.'],
    [['send', '.', '-t', 't'], 'is a folder.'],
    [['send', '-', '--op', 'delet'], '--op is upsert, insert, update, delete, not delet; did you mean delete? See: '],
    [['send', '-', '--format', 'xml'], '--format is ndjson, json or csv, not xml.'],
    [['send', '-', '--format', 'csv'], 'CSV needs --table.'],
    [['send', '-', '--types', 'a:int'], '--types and --delimiter are for CSV.'],
    [['send', '-', '-f', 'csv', '-t', 't', '--types', 'a:number'], 'a:number is none of it'],
    [['send', '-', '--token', 'default.secret'], 'unknown option --token. See: '],
    [['send', '-', '--batch', 'big'], '--batch is a size such as 64KiB'],
    [['send', '-', '--url', 'http://x'], 'is not of the form tcp://host:port'],
    [['dead-letters'], 'say what to do with dead letters: list, show, retry or drop.'],
    [['dead-letters', 'show', 'x'], 'x is no id of a dead letter'],
    [['dead-letters', 'drop'], 'drop takes ids, or --all.'],
    [['token', 'create', 'a b'], 'a name has letters'],
    [['token'], 'say what to do with tokens: create NAME, list or revoke ID.'],
    [['token', 'create', 'a', 'b'], 'give a name'],
    [['token', 'revoke'], 'give the id of a token'],
    [['token', 'create', 'a', '--file', 'f', '--expires', '10'], '--expires is a time such as'],
    [['status', '--timeout', '0'], '--timeout must be a whole number from 1 to 600, not 0'],
    [['chaos', 'now'], 'chaos takes no now.'],
    [['chaos', '--duration', '5'], '--duration is a time such as 90s, 10m or 2h, from 1.0 s to 24 h, not 5'],
    [['chaos', '--rate', '5000', '--duration', '1h'], 'use --rate 833 or a shorter --duration'],
    [['chaos', '--fault', 'kil-client'], 'did you mean kill-client?'],
    [['chaos', '--fault', 'kill-redis'], "--fault kill-redis needs to know how: give it --kill-redis 'COMMAND'"],
    [['chaos', '--inject', 'x'], '--inject is NAME=COMMAND'],
    [['chaos', '--kill-redis', 'true'], '--kill-redis is about a server of yours; name it with --url.'],
    [['chaos', '--sink', 'sqlite:x'], '--sink needs --url, the server to disturb.'],
    [['chaos', '--report', 'x.pdf'], '--report names a file that ends in .json or .txt, not x.pdf'],
    [['chaos', '--report', 'nowhere/x.json'], '--report cannot be written'],
    [['chaos', '--url', 'staging:9501', '--sink', 'sqlite:x'], '--url is of the form tcp://host:9501'],
    [['chaos', '--url', 'tcp://u:p@h', '--sink', 'sqlite:x'], '--url must not carry a password'],
    [['chaos', '--url', 'tcp://127.0.0.1'], 'name the database that the server applies to, with --sink or SYNCLINE_SINK'],
    [['chaos', '--url', 'tcp://127.0.0.1', '--sink', 'sqlite:nowhere.db'], 'nowhere.db, and there is no such file'],
    [['chaos', '--url', 'tcp://127.0.0.1', '--sink', 'mysql://db'], '--sink must end in the name of the database'],
    [['chaos', '--url', 'tcp://127.0.0.1', '--sink', 'mysql://db/x', '--inject', 'reset=true'], 'has the name of a fault that is built in'],
    [['chaos', '--url', 'tcp://127.0.0.1', '--sink', 'mysql://u:hush@db/x'], 'This disturbs tcp://127.0.0.1'],
    [['chaos', '--url', 'tcp://db', '--sink', 'mysql://u:hush@127.0.0.1/x'], 'If that is what you want, add --yes.'],
  ])('%j is a wrong use', async (args, message) => {
    const { code, err, out } = await run(args);
    expect(err).toMatch(/^syncline: /);
    expect(err).toContain(message);
    expect(err).not.toContain('hush');
    expect(err).toContain(`See: syncline ${args.length === 1 && args[0] === 'sned' ? '' : args[0]}`);
    expect([code, out]).toEqual([2, '']);
  });
});

describe('init', () => {
  test('writes a file that nobody else may read and that check-config takes', async () => {
    expect((await run(['init'])).code).toBe(0);
    expect(statSync(join(cwd, 'syncline.yaml')).mode & 0o077).toBe(0);
    expect((await run(['check-config'])).code).toBe(0);
  });

  test('leaves a file alone that exists', async () => {
    writeFileSync(join(cwd, 'syncline.yaml'), 'node: mine\n');
    const { code, err } = await run(['init']);
    expect([code, err]).toEqual([1, 'syncline: <cwd>/syncline.yaml exists and is left as it is; name another file or remove it\n']);
    expect(readFileSync(join(cwd, 'syncline.yaml'), 'utf8')).toBe('node: mine\n');
  });
});

describe('check-config', () => {
  test('shows what comes out, without secrets', async () => {
    const { code, out } = await run(['check-config'], {
      SYNCLINE_QUEUE: 'redis://q:hush@r:6379/1',
      SYNCLINE_SINK: 'mysql://u:hush/@@db:3306/shop',
      SYNCLINE_TOKEN: 'default.hush',
      SYNCLINE_NODE: 'n',
    });
    expect(code).toBe(1);
    expect(out).not.toContain('hush');
    const good = await run(['check-config'], {
      SYNCLINE_QUEUE: 'redis://q:hush@r:6379/1',
      SYNCLINE_SINK: 'mysql://u:hush@db:3306/shop',
      SYNCLINE_TOKEN: 'default.hush',
      SYNCLINE_NODE: 'n',
    });
    expect(good.out.replaceAll(cwd, '<cwd>')).toMatchInlineSnapshot(`
      "configuration is valid (no syncline.yaml; defaults and environment)
        node       n
        cluster    standalone
        data       <cwd>/syncline-data
        queue      redis://q:***@r:6379/1, 16 partitions, keys syncline:…
        sink       main: mysql://u:***@db:3306/shop, schema strict
        producers  default
        tables     partitioned by their keys
        tcp        0.0.0.0:9501
        web        0.0.0.0:9502, engine auto
        admin      127.0.0.1:9500
        limits     1000 connections, frames 4 MiB, credit 8 MiB, in flight 64 MiB
        apply      1 × 3 slices of at most 256 batches or 1 MiB
      "
    `);
  });

  test('says what is wrong, in one line, and fails', async () => {
    writeFileSync(join(cwd, 'syncline.yaml'), 'queue:\n  partitons: 8\n');
    const { code, err } = await run(['check-config']);
    expect([code, err]).toEqual([
      1,
      'syncline: <cwd>/syncline.yaml line 2: queue.partitons: unknown option; did you mean queue.partitions? [bad_config: see the message; docs/configuration.md lists every option]\n',
    ]);
  });
});

test('token create prints a token and the digest that the server keeps', async () => {
  const { out } = await run(['token', 'create', 'shop']);
  const secret = /shop\.[\w-]{43}/.exec(out)?.[0] as string;
  expect(out).toContain(`tokens: ["${tokenDigest(secret)}"]`);
  expect((await run(['token', 'create', 'shop'])).out).not.toContain(secret);
});

describe('token with a token file', () => {
  const FILE = { SYNCLINE_TOKENS_FILE: 'tokens.jsonl' };
  const tokenIn = (out: string) => /^ {2}(\S+)$/m.exec(out)?.[1] as string;
  const kept = () => readFileSync(join(cwd, 'tokens.jsonl'), 'utf8');

  test('create keeps the digest, list shows it without, and revoke takes it back', async () => {
    const first = await run(['token', 'create', 'shop', '--note', 'till \u001b[31m1'], FILE);
    const second = await run(['token', 'create', '--producer', 'shop', '--expires', '90d'], FILE);
    const [one, two] = [tokenIn(first.out), tokenIn(second.out)];
    expect(one).toMatch(/^shop-[0-9a-f]{8}\.[\w-]{43}$/);
    for (const whole of [one, two]) {
      const [id, secret] = whole.split('.') as [string, string];
      expect(kept()).toContain(`"id":"${id}"`);
      expect(kept()).toContain(tokenDigest(whole).slice('sha256:'.length));
      expect(kept()).not.toContain(secret);
    }
    const { out } = await run(['token', 'list'], FILE);
    expect(out.split('\n')).toHaveLength(4);
    expect(out).toContain('till \\u001b[31m1');
    expect(out).toMatch(/never.*\n.*20\d\d-\d\d-\d\d \d\d:\d\dZ {2}20\d\d/);
    const json = await run(['token', 'list', '--json', '--producer', 'shop'], FILE);
    for (const text of [out, json.out]) {
      expect(text).not.toContain(one.split('.')[1]);
      expect(text).not.toContain(tokenDigest(one).slice('sha256:'.length));
    }
    expect((await run(['token', 'revoke', 'shop-1'], FILE)).err).toContain('has no token shop-1');
    expect((await run(['token', 'revoke', one.split('.')[0] as string], FILE)).code).toBe(0);
    expect(kept()).not.toContain(one.split('.')[0]);
    expect(kept()).toContain(two.split('.')[0]);
  });

  test('create refuses a producer that the configuration does not list, and what needs a file without one', async () => {
    writeFileSync(join(cwd, 'syncline.yaml'), 'tokensFile: tokens.jsonl\nproducers: [{ name: erp }]\n');
    expect(await run(['token', 'create', 'shop'])).toMatchObject({ code: 2, err: expect.stringContaining('shop is not among producers') });
    expect((await run(['token', 'create', 'erp'])).code).toBe(0);
    writeFileSync(join(cwd, 'syncline.yaml'), '');
    expect((await run(['token', 'create', 'shop', '--expires', '1d'])).err).toContain('set tokensFile, or name one with --file');
    expect((await run(['token', 'list'])).err).toContain('there is no token file');
    expect((await run(['token', 'list', '--file', 'tokens.jsonl'])).out).toContain('erp-');
  });

  test('where the configuration cannot be used, create says so and prints the entry', async () => {
    writeFileSync(join(cwd, 'syncline.yaml'), 'producers: [{ name: shop }]\n');
    const { code, out, err } = await run(['token', 'create', 'shop']);
    expect(code).toBe(0);
    expect(err).toContain('the token is kept nowhere');
    expect(out).toContain('tokens: ["sha256:');
  });
});

describe('status', () => {
  const answer: Status = {
    node: 'n1',
    version: '1.2.3',
    uptimeMs: 3_700_000,
    duty: 'serving',
    ready: false,
    obstacles: ['partition 3 stalls'],
    queue: { kind: 'redis', admission: 'held', detail: 'queue_full: 71 % of maxmemory', batches: 1234, bytes: 5_000_000 },
    lag: { batches: 1234, ms: 4200 },
    partitions: [
      { partition: 0, state: 'applying', detail: '', batches: 0, bytes: 0, oldestAgeMs: 0, stalledMs: 0 },
      {
        partition: 3,
        state: 'retrying',
        detail: 'sink_busy: \u001b[31mdeadlock',
        batches: 1234,
        bytes: 5_000_000,
        oldestAgeMs: 4200,
        stalledMs: 4000,
      },
    ],
    sessions: { open: 3, producers: { shop: 2, erp: 1 }, addresses: { '10.0.0.7': 1, '10.0.0.8': 2 } },
    sinks: [{ name: 'main', kind: 'mariadb', guarantee: 'exactly once', failure: 'sink_busy: deadlock' }],
    deadLetters: { open: 2 },
    config: { loadedAtMs: 0, waiting: ['queue.prefix'], failure: 'bad_config: wrong' },
  };

  test('shows what the server answers', async () => {
    const server = createServer((request, response) => response.end(request.url === '/api/v1/status' ? JSON.stringify(answer) : ''));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      const { code, out } = await run(['status', '--url', url]);
      expect(code).toBe(0);
      expect(out).toMatchInlineSnapshot(`
        "node          n1, version 1.2.3, up 62 min
        ready         no: partition 3 stalls
        queue         redis, producers held back (queue_full: 71 % of maxmemory), 1,234 batches, 4.8 MiB
        lag           1,234 batches, the oldest 4.2 s old
        sessions      3: shop 2, erp 1, from 10.0.0.8 2, 10.0.0.7 1
        sink          main: mariadb, exactly once, failing (sink_busy: deadlock)
        dead letters  2 open; see: syncline dead-letters list
        configuration loaded 1970-01-01 00:00:00Z; a restart is needed for queue.prefix; the last reload failed and changed nothing: bad_config: wrong

          partition  batches  bytes    oldest  state
                  3    1,234  4.8 MiB   4.2 s  retrying  sink_busy: \\u001b[31mdeadlock
        "
      `);
      expect(JSON.parse((await run(['status', '--json', '--url', url])).out)).toEqual(answer);
      expect(JSON.parse((await run(['status', '--json'], { SYNCLINE_ADMIN_PORT: url.split(':')[2] as string })).out)).toEqual(answer);
    } finally {
      server.close();
      server.closeAllConnections();
    }
  });

  test('shows the place of a node among others, and not the partitions that another applies', async () => {
    const clustered: Status = {
      ...answer,
      partitions: [{ ...answer.partitions[0]!, state: 'elsewhere', detail: 'held by n2' }],
      cluster: {
        mode: 'standby',
        primary: false,
        leader: 'n2',
        members: [
          { name: 'n1', state: 'ready', version: '1.2.3', admin: '' },
          { name: 'n2', state: 'ready', version: '1.2.4', admin: '10.0.0.2:9500' },
        ],
        held: [],
        clockDifferenceMs: -90_000,
        takeovers: 0,
        handovers: 0,
      },
    };
    let shown = clustered;
    const server = createServer((_, response) => response.end(JSON.stringify(shown)));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const args = ['status', '--url', `http://127.0.0.1:${(server.address() as AddressInfo).port}`];
      const { out } = await run(args);
      expect(out.split('\n').filter((line) => /^(cluster|member)/.test(line))).toEqual([
        "cluster       standby, n2 leads, applies 0 partitions here, clock 90.0 s off the queue's",
        'member        n1: ready, version 1.2.3',
        'member        n2: ready, version 1.2.4, admin 10.0.0.2:9500',
      ]);
      expect(out).not.toContain('held by n2');
      // It asks for no lease while it is out of service.
      const { cluster } = clustered;
      shown = { ...clustered, cluster: { ...cluster!, leader: undefined, members: [{ ...cluster!.members[0]!, state: 'leaving' }] } };
      expect((await run(args)).out).toContain('standby, who leads is not known here, applies 0');
      shown = { ...clustered, cluster: { ...cluster!, leader: undefined } };
      expect((await run(args)).out).toContain('standby, nobody leads, applies 0');
    } finally {
      server.close();
      server.closeAllConnections();
    }
  });

  test('sends the token of the configuration, and to a URL that was given only that of the environment', async () => {
    const server = createServer((request, response) => {
      const known = request.headers.authorization === 'Bearer hush';
      response.writeHead(known ? 200 : 401).end(known ? JSON.stringify(answer) : '');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const { port } = server.address() as AddressInfo;
      const url = `http://127.0.0.1:${port}`;
      writeFileSync(join(cwd, 'syncline.yaml'), `listen:\n  admin: { port: ${port}, token: hush }\n`);
      expect((await run(['status'])).code).toBe(0);
      expect((await run(['status', '--url', url], { SYNCLINE_ADMIN_TOKEN: 'hush' })).code).toBe(0);
      const without = await run(['status', '--url', url]);
      expect([without.code, without.err]).toEqual([3, `syncline: no status from ${url}: it asks for a token; set SYNCLINE_ADMIN_TOKEN\n`]);
      expect((await run(['status'], { SYNCLINE_ADMIN_TOKEN: 'other' })).err).toContain('it knows another token');
    } finally {
      server.close();
      server.closeAllConnections();
    }
  });

  test('without a server says where it looked', async () => {
    const { code, err } = await run(['status'], { SYNCLINE_ADMIN_PORT: '1' });
    expect(code).toBe(3);
    expect(err).toContain('no status from http://127.0.0.1:1: ');
    expect(err).toContain('is the server running');
  });
});
