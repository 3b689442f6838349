import { execFile, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FaultProxy } from '../../src/chaos/fault-proxy.ts';
import { createHttpWorld, TOKEN, type HttpWorld } from '../support/http-world.ts';

const EXAMPLES = fileURLToPath(new URL('../../examples/', import.meta.url));

/** Whether PHP and its cURL extension are installed; under CI their absence is an error. */
function phpAvailable(): boolean {
  const available = spawnSync('php', ['-r', 'exit(extension_loaded("curl") ? 0 : 1);']).status === 0;
  if (!available && process.env['CI'] === 'true') throw new Error('php-cli and php-curl must be installed where CI=true');
  return available;
}

describe.skipIf(!phpAvailable())('examples/syncline.php (skipped without php-cli and php-curl)', () => {
  let world: HttpWorld;
  beforeAll(async () => {
    world = await createHttpWorld();
  });
  afterAll(() => world[Symbol.asyncDispose]());

  async function php(...args: string[]): Promise<{ stdout: string; stderr: string }> {
    const env = { PATH: process.env['PATH'] ?? '', SYNCLINE_HTTP_URL: world.server.url, SYNCLINE_TOKEN: TOKEN };
    return promisify(execFile)('php', args, { env, timeout: 25_000 });
  }

  test('sends changes and hears what was refused', async () => {
    const { stdout, stderr } = await php(`${EXAMPLES}orders.php`);
    expect([stdout, stderr]).toEqual(['2 applied\nchange 2 was refused: row_missing\n', '']);
    expect(world.store.read('orders')).toEqual([{ id: 4711, total: '19.90', state: 'paid' }]);
  });

  test('sends again with the same key when the answer is cut off, also compressed', async () => {
    await using proxy = await FaultProxy.start(world.server.port);
    const inserted = (id: number) => `['table' => 'cities', 'op' => 'insert', 'row' => ['id' => ${id}, 'name' => 'Zürich']]`;
    for (const [gzip, id] of [
      ['false', 1],
      ['true', 2],
    ] as const) {
      const cut = proxy.cut('up', { answerTo: `cities-${id}` });
      const code = `require '${EXAMPLES}syncline.php';
        $syncline = new Syncline('http://127.0.0.1:${proxy.port}', '${TOKEN}', gzip: ${gzip});
        echo json_encode($syncline->send([${inserted(id)}], 'applied', 'cities-${id}-created'));`;
      const { stdout } = await php('-r', code);
      await cut;
      expect(JSON.parse(stdout)).toEqual({ ack: 'applied', changes: 1, applied: 1, rejected: 0, rejections: [] });
    }
    expect(world.store.read('cities')).toMatchObject([{ name: 'Zürich' }, { name: 'Zürich' }]);
  });

  test('throws what was refused, with the place of the row', async () => {
    const code = `require '${EXAMPLES}syncline.php';
      try { (new Syncline('${world.server.url}', '${TOKEN}'))->send([['table' => 'cities', 'row' => ['name' => 'x']]]); }
      catch (SynclineException $error) { echo $error->status, ' ', $error->problem['code'], ' ', $error->problem['row'], ' ', $error->problem['column']; }`;
    expect((await php('-r', code)).stdout).toBe('422 bad_change 0 id');
  });
});
