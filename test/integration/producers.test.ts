import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connect, type Client } from '../../src/client/client.ts';
import { tokenDigest } from '../../src/config/resolve.ts';
import { ServerProcess } from '../support/server-process.ts';

const SHOP = 'shop.for-this-test';
const ERP = 'erp.for-this-test';

describe('a server with two producers, one of which sends', () => {
  const folder = mkdtempSync(join(tmpdir(), 'syncline-producers-'));
  let server: ServerProcess;
  let shop: Client;
  const disturbances: string[] = [];

  beforeAll(async () => {
    const file = join(folder, 'syncline.yaml');
    writeFileSync(
      file,
      `producers:
  - { name: shop, tokens: ["${tokenDigest(SHOP)}"] }
  - { name: erp, tokens: ["${tokenDigest(ERP)}"] }
`,
    );
    server = await ServerProcess.create({ SYNCLINE_CONFIG: file });
    await server.start();
    shop = await connect({ url: server.url, token: SHOP, producer: 'shop' });
    for (const event of ['disconnected', 'rejected', 'error', 'held'] as const)
      shop.on(event, (what) => disturbances.push(`${event} ${JSON.stringify(what)}`));
  });

  afterAll(async () => {
    await shop?.close();
    await server?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test.each([
    ['an unknown token', { token: 'shop.mistyped' }, 'auth_failed', /token/],
    ['no token', { token: '' }, 'auth_failed', /token/],
    ['the token of a producer with another secret', { token: `${SHOP}x` }, 'auth_failed', /token/],
    ["another producer's token", { token: ERP, producer: 'shop' }, 'wrong_producer', /belongs to producer "erp".* for "shop"/],
  ])('%s is refused with its reason, and the other client goes on', async (_, options, code, reason) => {
    const items = shop.table('item', { key: ['id'] });
    const wrong = Array.from({ length: 10 }, () => connect({ url: server.url, ...options }).catch((error: unknown) => error));
    for (let id = 0; id < 1_000; id++) await items.upsert({ id, note: code });
    for (const error of await Promise.all(wrong)) {
      expect(error).toMatchObject({ code, message: expect.stringMatching(reason) });
      expect((error as Error).message).not.toContain(options.token || SHOP);
    }
    await shop.flush();
    expect(disturbances).toEqual([]);
    const db = new DatabaseSync(join(server.data, 'data.db'), { readOnly: true });
    expect({ ...db.prepare('SELECT count(*) AS n FROM item WHERE note = ?').get(code) }).toEqual({ n: 1_000 });
    db.close();
  });

  test('the right token of the other producer lets it in', async () => {
    const erp = await connect({ url: server.url, token: ERP, producer: 'erp' });
    expect((await server.status()).sessions.producers).toEqual({ shop: 1, erp: 1 });
    await erp.close();
    expect(disturbances).toEqual([]);
  });
});
