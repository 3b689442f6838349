import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, describe, expect, test } from 'vitest';
import { connect } from '../../src/client/client.ts';
import { eventually } from '../support/eventually.ts';
import { mariadbAvailable, startMariadb } from '../support/mariadb-server.ts';
import { mayBecomeNobody, NOBODY } from '../support/nobody.ts';
import { read, ROOT } from '../support/source-files.ts';
import { SERVER_FLAGS } from '../support/server-flags.ts';
import { ServerProcess, type ServerOptions } from '../support/server-process.ts';

const BIN = `${ROOT}bin/syncline.js`;
const PROBE = { NODE_OPTIONS: `--import=${new URL('../support/code-probe.ts', import.meta.url).href}` };

const running: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const one of running.splice(0).toReversed()) await one.close();
});

async function start(env: Record<string, string>, options: ServerOptions = {}): Promise<ServerProcess> {
  const server = await ServerProcess.create({ ...PROBE, ...env }, { command: [process.execPath, BIN], ...options });
  running.push(server);
  return server;
}

async function deliver(server: ServerProcess): Promise<void> {
  const client = await connect({ url: server.url });
  const items = client.table('item', { key: ['id'] });
  for (let id = 0; id < 1_000; id++) await items.upsert({ id, name: `item ${id}` });
  await client.flush();
  await client.close();
}

const probesOf = ({ output }: ServerProcess, thread: 'main' | 'worker') =>
  output.split('\n').flatMap((line) => (line.startsWith(`probe ${thread} `) ? [line.slice(`probe ${thread} `.length)] : []));
const CLOSED = 'EvalError EvalError Error';

function expectHardened(server: ServerProcess): void {
  // As it was begun, and as it went on in the same process: the first shows that the probe can tell.
  expect(probesOf(server, 'main')).toEqual(['done done done', CLOSED]);
  const workers = probesOf(server, 'worker');
  // The threads of the queue and of the pool.
  expect(workers.length).toBeGreaterThan(1);
  expect(new Set(workers)).toEqual(new Set([CLOSED]));
}

describe('the command of a package makes the server one that turns no text into code, in no thread', () => {
  test('with embedded queue and sink, and as the process that was started', async () => {
    const server = await start({});
    await server.start();
    await deliver(server);
    expectHardened(server);
    const database = new DatabaseSync(join(server.data, 'data.db'), { readOnly: true });
    expect({ ...database.prepare('SELECT count(*) AS n FROM item').get() }).toEqual({ n: 1_000 });
    database.close();
    const args = readFileSync(`/proc/${server.pid}/cmdline`, 'utf8').split('\0');
    expect(args.slice(1, 1 + SERVER_FLAGS.length)).toEqual(SERVER_FLAGS);
    expect(await server.stop('SIGTERM')).toBe(0);
  });

  test.skipIf(!mariadbAvailable())('with MariaDB, whose driver makes code where it may (mariadbd must be installed)', async () => {
    const mariadb = await startMariadb();
    running.push(mariadb);
    await mariadb.query('CREATE DATABASE shop');
    await mariadb.query('CREATE TABLE shop.item (id INT PRIMARY KEY, name VARCHAR(100))');
    const server = await start({ SYNCLINE_SINK: mariadb.url('shop') });
    await server.start();
    await deliver(server);
    expect(await mariadb.query('SELECT count(*) AS n FROM shop.item')).toEqual([{ n: '1000' }]);
    expectHardened(server);
  });
});

test.each(['--max-semi-space-size=32', '"--max_semi_space_size=32"'])(
  'who gives the main thread another size, as %s, has it',
  async (option) => {
    const server = await ServerProcess.create({ NODE_OPTIONS: option }, { command: [process.execPath, BIN] });
    running.push(server);
    await server.start();
    const args = readFileSync(`/proc/${server.pid}/cmdline`, 'utf8').split('\0');
    expect(SERVER_FLAGS.filter((flag) => !args.includes(flag))).toEqual(['--max-semi-space-size=8']);
  },
);

test('everything that starts a server for good gives it these flags', () => {
  const flags = SERVER_FLAGS.join(' ');
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
  expect(scripts['start']).toBe(`node ${flags} src/main.ts start`);
  expect(read('bin/syncline.js')).toContain(`const SERVER_FLAGS = [\n${SERVER_FLAGS.map((flag) => `  '${flag}',\n`).join('')}];`);
  // Through the command of the package.
  expect(read('deploy/systemd/syncline.service')).toMatch(/^ExecStart=\/usr\/bin\/env syncline start$/m);
});

test.skipIf(!mayBecomeNobody())('it needs no rights: as nobody, in a folder that it may not write (needs root and setpriv)', async () => {
  const cwd = mkdtempSync(join(tmpdir(), 'syncline-cwd-'));
  running.push({ close: async () => rmSync(cwd, { recursive: true, force: true }) });
  writeFileSync(join(cwd, 'syncline.yaml'), 'node: nobodys\n');
  chmodSync(cwd, 0o555);
  const ids = [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', '--no-new-privs', '--bounding-set=-all', '--inh-caps=-all'];
  const server = await start({}, { cwd, command: ['setpriv', ...ids, process.execPath, BIN] });
  chownSync(server.data, NOBODY, NOBODY);
  await server.start();
  await deliver(server);
  await eventually(async () => expect((await server.status()).node).toBe('nobodys'));
  const status = readFileSync(`/proc/${server.pid}/status`, 'utf8');
  expect(status).toMatch(new RegExp(`^Uid:\\t${NOBODY}\\t${NOBODY}\\t${NOBODY}`, 'm'));
  expect(status).toMatch(/^CapEff:\t0+$/m);
  expect(await server.stop()).toBe(0);
});
