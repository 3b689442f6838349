import { spawnSync } from 'node:child_process';
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, expect, test } from 'vitest';
import { verifyAudit } from '../../src/audit/verify.ts';
import { connect } from '../../src/client/client.ts';
import { hashToken, tokenId } from '../../src/ingest/producers.ts';
import { runSyncline } from '../support/cli-process.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { ServerProcess } from '../support/server-process.ts';

const SHOP = 'shop.for-this-test';
const CRM = 'crm.for-this-test';
const ADMIN = 'admin-for-this-test';

const running: ServerProcess[] = [];
afterEach(async () => {
  for (const server of running.splice(0)) await server.close();
});

interface Line {
  readonly event: string;
  readonly [field: string]: unknown;
}

/** A server with two producers, whose audit log is `audit.log` in its folder, or in another. */
async function start(
  folder?: string,
): Promise<{ server: ServerProcess; webPort: number; path: string; configure(tokens: Record<string, string>): void }> {
  const webPort = await freePort();
  const server = await ServerProcess.create({ SYNCLINE_ADMIN_TOKEN: ADMIN, SYNCLINE_WEB_PORT: String(webPort) });
  running.push(server);
  const path = join(folder ?? server.data, 'audit.log');
  const configure = (tokens: Record<string, string>) =>
    writeFileSync(
      join(server.data, 'syncline.yaml'),
      JSON.stringify({
        audit: { file: path },
        producers: Object.entries(tokens).map(([name, token]) => ({ name, tokens: [hashToken(token)] })),
      }),
    );
  configure({ shop: SHOP, crm: CRM });
  await server.start();
  return { server, webPort, path, configure };
}

const linesOf = (path: string) =>
  readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);

/** The events of a kind, without their place in the chain. */
const eventsOf = (path: string, event: string) =>
  linesOf(path)
    .filter((line) => line.event === event)
    .map(({ event: _, seq: __, time: ___, hash: ____, ...fields }) => fields);

test('who came in, what was refused and what operators did is written down, chained over a kill, and a change shows', async () => {
  const { server, webPort, path, configure } = await start();
  const shop = await connect({ url: server.url, token: SHOP });
  await Promise.all(Array.from({ length: 50 }, () => connect({ url: server.url, token: 'shop.wrong' }).catch(() => {})));
  await connect({ url: server.url }).catch(() => {});
  const headers = { 'content-type': 'application/json' };
  const post = (authorization: string) =>
    fetch(`http://127.0.0.1:${webPort}/api/v1/changes`, { method: 'POST', body: '[]', headers: { ...headers, authorization } });
  await post('Bearer shop.wrong');
  for (let i = 0; i < 3; i++) expect((await post(`Bearer ${CRM}`)).status).toBe(202);
  await shop.table('item', { key: ['id'] }).upsert({ id: 1 });
  await shop.table('item', { key: ['id'] }).update({ id: 2, name: 'x' });
  await shop.flush();
  await shop.close();

  const admin = (method: string, token: string) =>
    fetch(`${server.adminUrl}/api/v1/drain`, { method, headers: { authorization: `Bearer ${token}` } });
  await admin('POST', 'wrong');
  await admin('POST', ADMIN);
  await admin('DELETE', ADMIN);
  configure({ shop: `${SHOP}-2` });
  server.signal('SIGHUP');
  await eventually(() => expect(eventsOf(path, 'tokens_changed').length).toBe(2));
  writeFileSync(join(server.data, 'syncline.yaml'), 'audit: { file: 3 }');
  server.signal('SIGHUP');
  await eventually(() => expect(eventsOf(path, 'reload_failed')).toEqual([{ code: 'bad_config' }]));
  configure({ shop: SHOP });

  // Those that are the same share a line a second later.
  const refused = () => eventsOf(path, 'refused') as { code: string; count?: number }[];
  await eventually(() => expect(refused().reduce((sum, { count = 1 }) => sum + count, 0)).toBe(52));
  const status = (await (await fetch(`${server.adminUrl}/api/v1/status`, { headers: { authorization: `Bearer ${ADMIN}` } })).json()) as {
    audit: { last: { hash: string } };
  };
  await server.stop('SIGKILL');
  await server.start();

  expect(eventsOf(path, 'started')).toEqual([expect.objectContaining({ version: expect.any(String) }), expect.anything()]);
  expect(eventsOf(path, 'admitted')).toEqual([
    { address: '127.0.0.1', producer: 'shop', token: tokenId(hashToken(SHOP)), stream: expect.stringMatching(/^[0-9a-f]{32}$/) },
    { address: '127.0.0.1', producer: 'crm', token: tokenId(hashToken(CRM)) },
  ]);
  expect(refused().every(({ code }) => code === 'auth_failed')).toBe(true);
  expect(refused().length).toBeLessThan(10);
  expect(eventsOf(path, 'dead_letters')).toEqual([{ producer: 'shop', code: 'row_missing' }]);
  expect(eventsOf(path, 'admin_refused')).toEqual([{ address: '127.0.0.1', path: '/api/v1/drain' }]);
  expect(eventsOf(path, 'drain')).toEqual([{ address: '127.0.0.1' }]);
  expect(eventsOf(path, 'resume')).toEqual([{ address: '127.0.0.1' }]);
  expect(eventsOf(path, 'reloaded')).toEqual([{ changed: ['producers'], waiting: [] }]);
  expect(eventsOf(path, 'tokens_changed')).toEqual([
    { producer: 'shop', added: [tokenId(hashToken(`${SHOP}-2`))], removed: [tokenId(hashToken(SHOP))] },
    { producer: 'crm', added: [], removed: [tokenId(hashToken(CRM))] },
  ]);
  expect(readFileSync(path, 'utf8')).not.toMatch(/for-this-test|shop\.wrong/);

  // The dead letters' commands open the sink themselves, and write a log of their own beside the server's.
  const env = { SYNCLINE_DATA: server.data };
  const cli = (...args: string[]) => runSyncline(args, { env, cwd: server.data });
  expect((await cli('dead-letters', 'retry', '--all')).code).toBe(1);
  expect((await cli('dead-letters', 'drop', '1')).code).toBe(0);
  expect(eventsOf(`${path}.commands`, 'dead_letters_retried')).toEqual([{ user: expect.any(String), ids: ['1'], count: 1, applied: 0 }]);
  expect(eventsOf(`${path}.commands`, 'dead_letters_dropped')).toEqual([{ user: expect.any(String), ids: ['1'], count: 1, dropped: 1 }]);

  expect(await server.stop()).toBe(0);
  expect(linesOf(path).at(-1)?.event).toBe('stopped');
  const verified = await cli('audit', 'verify', '--includes', status.audit.last.hash);
  expect(verified).toMatchObject({ code: 0, err: '' });
  expect(verified.out.split('\n').length).toBe(3);
  expect(server.output).toContain(`"hash":"${linesOf(path).at(-1)?.['hash'] as string}"`);

  const before = readFileSync(path, 'utf8');
  writeFileSync(path, before.replace('"code":"row_missing"', '"code":"wrong_type"'));
  const changed = linesOf(path).findIndex(({ event }) => event === 'dead_letters') + 1;
  expect(await cli('audit', 'verify', path)).toMatchObject({
    code: 1,
    err: expect.stringContaining(`audit.log, line ${changed}: line ${changed} does not follow`),
  });
  writeFileSync(
    path,
    before
      .split('\n')
      .toSpliced(changed - 1, 1)
      .join('\n'),
  );
  expect(await cli('audit', 'verify', path)).toMatchObject({ code: 1, err: expect.stringContaining(`audit.log, line ${changed}:`) });
  writeFileSync(path, `${before.split('\n').slice(0, 2).join('\n')}\n`);
  expect(await cli('audit', 'verify', path)).toMatchObject({ code: 0 });
  expect(await cli('audit', 'verify', path, '--includes', status.audit.last.hash)).toMatchObject({
    code: 1,
    err: expect.stringContaining('the end was cut off'),
  });
});

test('a server whose audit log cannot be opened does not start, and says why', async () => {
  const { server, path } = await start();
  const second = await ServerProcess.create({ SYNCLINE_AUDIT_FILE: path });
  running.push(second);
  second.launch();
  await eventually(() => expect(second.running).toBe(false));
  expect(second.output).toContain('[audit_unavailable');
  expect(second.output).toContain('is written by another process');
  await server.stop();
  appendFileSync(path, 'no line of an audit log\n');
  server.launch();
  await eventually(() => expect(server.running).toBe(false));
  expect(server.output).toContain('does not end in a line of an audit log');
});

const disk = mkdtempSync(join(tmpdir(), 'syncline-audit-disk-'));
const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=128k', 'none', disk]).status === 0;
afterAll(() => {
  if (mounted) spawnSync('umount', ['--lazy', disk]);
  rmSync(disk, { recursive: true, force: true });
});

test.skipIf(!mounted)(
  'with a full disk the server goes on, says so in log, metrics and status, and writes what waited (needs a tmpfs)',
  async () => {
    const { server, path } = await start(disk);
    const ballast = join(disk, 'ballast');
    spawnSync('dd', ['if=/dev/zero', `of=${ballast}`, 'bs=1k', 'count=1024']);
    const cli = (...args: string[]) =>
      runSyncline(args, { env: { SYNCLINE_ADMIN_PORT: String(server.adminPort), SYNCLINE_ADMIN_TOKEN: ADMIN }, cwd: server.data });
    const metric = async (name: string) => {
      const text = await (await fetch(`${server.adminUrl}/metrics`, { headers: { authorization: `Bearer ${ADMIN}` } })).text();
      return Number(new RegExp(`^${name} (.*)$`, 'm').exec(text)?.[1]);
    };
    expect(await metric('syncline_audit_failing')).toBe(0);
    // More than the rest of the page that the file has.
    const clients = await Promise.all(Array.from({ length: 40 }, () => connect({ url: server.url, token: SHOP })));
    await eventually(async () => expect(await metric('syncline_audit_failing')).toBe(1));
    expect(server.output).toContain('the audit log cannot be written; the server goes on');
    expect((await cli('status')).out).toMatch(/^audit log +line .*cannot be written \(ENOSPC/m);
    await clients[0]?.table('item', { key: ['id'] }).upsert({ id: 1 });
    await clients[0]?.flush();
    rmSync(ballast);
    await eventually(async () => expect(await metric('syncline_audit_failing')).toBe(0));
    for (const client of clients) await client.close();
    await server.stop();
    expect(eventsOf(path, 'admitted').length).toBe(40);
    expect((await cli('audit', 'verify', path)).code).toBe(0);
  },
);

test('a file that is cut while the server runs is set aside, and shows that it was cut', async () => {
  const { server, path } = await start();
  const shop = await connect({ url: server.url, token: SHOP });
  await eventually(() => expect(eventsOf(path, 'admitted')).toHaveLength(1));
  truncateSync(path, statSync(path).size - 10);
  const before = readFileSync(path, 'utf8');
  await connect({ url: server.url, token: 'shop.wrong' }).catch(() => {});
  await eventually(() => expect(eventsOf(path, 'refused')).toHaveLength(1));
  await shop.close();
  const [aside] = readdirSync(server.data).filter((name) => name.startsWith('audit.log.0'));
  expect(readFileSync(join(server.data, aside!), 'utf8')).toBe(before);
  expect(await verifyAudit(path)).toMatchObject({ file: aside, reason: expect.stringContaining('not all of one') });
});
