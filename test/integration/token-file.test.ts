import { afterEach, expect, test } from 'vitest';
import { connect, type Client } from '../../src/client/client.ts';
import { hashToken, tokenId } from '../../src/ingest/producers.ts';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runSyncline } from '../support/cli-process.ts';
import { eventually } from '../support/eventually.ts';
import { RowLoad } from '../support/row-load.ts';
import { ServerProcess } from '../support/server-process.ts';

const running: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const one of running.splice(0).toReversed()) await one.close();
});

async function startServer(options: object): Promise<ServerProcess> {
  const server = await ServerProcess.create();
  running.push(server);
  writeFileSync(join(server.data, 'syncline.yaml'), JSON.stringify(options));
  await server.start();
  return server;
}

/** Runs `syncline token …` beside the server and returns what it printed. */
async function token(server: ServerProcess, ...args: string[]): Promise<string> {
  const { code, out, err } = await runSyncline(['token', ...args], { cwd: server.data });
  expect({ code, err }).toEqual({ code: 0, err: '' });
  return out;
}

const secretIn = (out: string) => /^ {2}(\S+\.\S+)$/m.exec(out)![1]!;

async function connectWith(server: ServerProcess, secret: string): Promise<Client> {
  const client = await connect({ url: server.url, token: secret });
  running.push({ close: () => client.close({ flush: false }) });
  return client;
}

test('a token is replaced in three commands, without a restart, a reload or a gap', async () => {
  const server = await startServer({ tokensFile: 'tokens.jsonl', log: { level: 'info' }, audit: { file: 'audit.log' } });
  const old = secretIn(await token(server, 'create', 'shop'));
  const shop = await eventually(() => connectWith(server, old));
  const failures: string[] = [];
  shop.on('error', ({ code }) => failures.push(code));
  await shop.table('item', { key: ['id'] }).upsert({ id: 1 });
  await shop.flush();

  const fresh = secretIn(await token(server, 'create', 'shop', '--expires', '90d'));
  const replaced = await eventually(() => connectWith(server, fresh));
  const load = new RowLoad(replaced);
  load.start();
  await load.more(50);
  expect(failures).toEqual([]);

  await token(server, 'revoke', old.split('.')[0]!);
  // No reload was asked for: it ends by itself.
  await eventually(() => expect(failures).toEqual(['auth_failed']));
  await expect(connect({ url: server.url, token: old })).rejects.toMatchObject({ code: 'auth_failed' });
  const changes = readFileSync(join(server.data, 'audit.log'), 'utf8')
    .split('\n')
    .filter((line) => line.includes('"tokens_changed"'));
  const [first, second] = [old, fresh].map((secret) => tokenId(hashToken(secret)));
  expect(changes.map((line) => JSON.parse(line) as unknown)).toMatchObject([
    { producer: 'shop', added: [first], removed: [] },
    { producer: 'shop', added: [second], removed: [] },
    { producer: 'shop', added: [], removed: [first] },
  ]);
  await load.more(50);
  await load.stop();
  expect(load.history().complaints).toEqual([]);
  expect(server.output).not.toContain('configuration loaded again');
  expect(await token(server, 'list')).toMatch(/^ {2}shop-[0-9a-f]{8} +shop .* 20\d\d-/m);
  for (const secret of [old, fresh]) expect(server.output).not.toContain(secret.split('.')[1]!);
});

test('a token that expires ends its connection, and one of another producer goes on', async () => {
  const server = await startServer({ tokensFile: 'tokens.jsonl', producers: [{ name: 'shop' }, { name: 'erp' }] });
  const ofErp = secretIn(await token(server, 'create', 'erp'));
  const ofShop = secretIn(await token(server, 'create', 'shop'));
  const erp = await eventually(() => connectWith(server, ofErp));
  const shop = await eventually(() => connectWith(server, ofShop));
  const failures: string[] = [];
  shop.on('error', ({ code }) => failures.push(`shop ${code}`));
  erp.on('error', ({ code }) => failures.push(`erp ${code}`));
  const lines = [ofErp, ofShop].map((secret, i) => ({
    ...{ id: secret.split('.')[0], producer: ['erp', 'shop'][i], sha256: hashToken(secret).slice('sha256:'.length) },
    created: '2026-01-01T00:00:00Z',
    ...(i === 1 && { expires: new Date(Date.now() + 1_000).toISOString() }),
  }));
  writeFileSync(join(server.data, 'tokens.jsonl'), lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  await eventually(() => expect(failures).toEqual(['shop auth_failed']));
  await erp.table('item', { key: ['id'] }).upsert({ id: 1 });
  await erp.flush();
  expect(failures).toEqual(['shop auth_failed']);
});

test('a producer is let in from its own addresses only, and told the same as whoever guesses', async () => {
  const server = await startServer({
    producers: [
      { name: 'shop', tokens: [hashToken('shop.one')], addresses: ['10.0.0.0/8'] },
      { name: 'erp', tokens: [hashToken('erp.one')], addresses: ['127.0.0.0/8'] },
    ],
  });
  await connectWith(server, 'erp.one');
  const refusalOf = (secret: string) =>
    connect({ url: server.url, token: secret }).catch(({ code, message }: Error & { code: string }) => ({ code, message }));
  const guessed = await refusalOf('shop.guess');
  expect(guessed).toMatchObject({ code: 'auth_failed' });
  expect(await refusalOf('shop.one')).toEqual(guessed);
  expect(server.output).toContain('"producer":"shop","code":"auth_failed","reason":"address"');
  expect(server.output).toContain('"code":"auth_failed","reason":"unknown_token"');
  expect(server.output).not.toContain('guess');
});
