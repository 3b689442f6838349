import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { version } from '../../src/cli/version.ts';
import { runSyncline } from '../support/cli-process.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { findOldNode } from '../support/old-node.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const oldNode = findOldNode();

let folder: string;
let bin: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'syncline-package-'));
  const home = join(folder, 'home');
  mkdirSync(home);
  execFileSync(process.execPath, ['scripts/build.ts'], { cwd: ROOT, stdio: 'pipe' });
  // The build has just run; npm would run it again.
  execFileSync('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', folder], { cwd: ROOT, stdio: 'pipe' });
  const tarball = readdirSync(folder).find((name) => name.endsWith('.tgz')) as string;
  execFileSync('npm', ['init', '--yes', '--silent'], { cwd: home, stdio: 'pipe' });
  execFileSync('npm', ['install', join(folder, tarball), '--no-audit', '--no-fund', '--loglevel=error'], { cwd: home, stdio: 'pipe' });
  bin = join(home, 'node_modules', '.bin', 'syncline');
}, 180_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const installed = (path: string) => join(folder, 'home', 'node_modules', 'syncline', path);

describe('the package, installed from its tarball in an empty folder', () => {
  test('asks for neither a Node.js nor uWebSockets.js to be installed', () => {
    const manifest = JSON.parse(readFileSync(installed('package.json'), 'utf8')) as Record<string, Record<string, string> | undefined>;
    for (const kind of ['dependencies', 'optionalDependencies', 'bundledDependencies']) {
      expect(
        Object.keys(manifest[kind] ?? {}).filter((name) => /^node(-|$)|uwebsockets/i.test(name)),
        kind,
      ).toEqual([]);
    }
    expect(readdirSync(join(folder, 'home', 'node_modules')).filter((name) => /^node-(linux|win|darwin)|uwebsockets/i.test(name))).toEqual(
      [],
    );
    expect(manifest['engines']).toEqual({ node: '>=24.15' });
  });

  test('holds the compiled program, its documentation and no sources', () => {
    expect(
      readdirSync(installed('.'))
        .filter((name) => name !== 'CHANGELOG.md')
        .sort(),
    ).toEqual(['LICENSE', 'README.md', 'bin', 'dist', 'docs', 'package.json']);
    expect(
      readdirSync(installed('dist'), { recursive: true })
        .map(String)
        .filter((path) => path.endsWith('.test.js') || (path.endsWith('.ts') && !path.endsWith('.d.ts'))),
    ).toEqual([]);
  });

  test('holds the bill of what was installed with it', () => {
    const { components } = JSON.parse(readFileSync(installed('dist/sbom.cdx.json'), 'utf8')) as { components: { name: string }[] };
    const listed = new Set(components.map(({ name }) => name));
    const { packages } = JSON.parse(readFileSync(join(folder, 'home', 'package-lock.json'), 'utf8')) as {
      packages: Record<string, { optional?: boolean }>;
    };
    const all = Object.entries(packages).filter(([path]) => path !== '' && path !== 'node_modules/syncline');
    const names = new Set(all.map(([path]) => path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)));
    expect([...names].filter((name) => !listed.has(name))).toEqual([]);
    expect([...listed].filter((name) => !names.has(name))).toEqual([]);
  });

  test('says its version', async () => {
    expect(await runSyncline(['--version'], { command: [process.execPath, bin] })).toMatchObject({
      code: 0,
      out: `${version()}\n`,
      err: '',
    });
  });

  test('starts a server that takes rows from send, and stops it at SIGTERM', async () => {
    const [data, tcpPort, adminPort] = [join(folder, 'data'), await freePort(), await freePort()];
    const env = {
      PATH: process.env['PATH'] ?? '',
      SYNCLINE_DATA: data,
      SYNCLINE_TCP_PORT: String(tcpPort),
      SYNCLINE_WEB_PORT: '0',
      SYNCLINE_ADMIN_PORT: String(adminPort),
    };
    const server = spawn(process.execPath, [bin, 'start'], { cwd: folder, env, stdio: ['ignore', 'ignore', 'pipe'] });
    try {
      await listening(server, adminPort);
      const file = join(folder, 'rows.csv');
      writeFileSync(file, 'id,name\n1,one\n2,two\n');
      const sent = await runSyncline(['send', file, '--table', 'number', '--key', 'id', '--types', 'id:int'], {
        command: [process.execPath, bin],
        env,
      });
      expect(sent).toMatchObject({ code: 0, out: expect.stringContaining('2 applied, 0 rejected') });
      const exited = once(server, 'exit');
      server.kill('SIGTERM');
      expect(await exited).toEqual([0, null]);
    } finally {
      server.kill('SIGKILL');
    }
    const db = new DatabaseSync(join(data, 'data.db'), { readOnly: true });
    expect(
      db
        .prepare('SELECT id, name FROM number ORDER BY id')
        .all()
        .map((row) => ({ ...row })),
    ).toEqual([
      { id: 1, name: 'one' },
      { id: 2, name: 'two' },
    ]);
    db.close();
  });

  test('gives a program its client', () => {
    const script = `import { connect } from 'syncline/client'; console.log(typeof connect);`;
    expect(execFileSync(process.execPath, ['--input-type=module', '-e', script], { cwd: join(folder, 'home'), encoding: 'utf8' })).toBe(
      'function\n',
    );
  });

  test('gives a bundler for browsers the other client', () => {
    const resolve = (name: string, ...conditions: string[]) => {
      const args = [...conditions, '--input-type=module', '-e', `console.log(import.meta.resolve('${name}'))`];
      return execFileSync(process.execPath, args, { cwd: join(folder, 'home'), encoding: 'utf8' }).trim();
    };
    const bundle = pathToFileURL(installed('dist/browser/client.js')).href;
    expect(resolve('syncline/client', '--conditions=browser')).toBe(bundle);
    expect(resolve('syncline/client/browser')).toBe(bundle);
  });

  test('gives a program for browsers the types of the client, without those of Node.js', () => {
    const page = join(folder, 'home', 'page');
    mkdirSync(page);
    writeFileSync(
      join(page, 'page.mts'),
      `import { connect, type Client } from 'syncline/client/browser';
      const client: Client = await connect({ url: 'wss://sync.example', spool: 'indexeddb:orders' });
      await client.table<{ id: number }>('orders').upsert({ id: 1 });
      export const seen: number = client.status().pendingChanges;\n`,
    );
    const compilerOptions = {
      strict: true,
      noEmit: true,
      types: [],
      lib: ['es2024', 'esnext.disposable', 'dom'],
      module: 'nodenext',
      target: 'es2024',
    };
    writeFileSync(join(page, 'tsconfig.json'), JSON.stringify({ compilerOptions }));
    const { stdout } = spawnSync(`${ROOT}node_modules/.bin/tsc`, ['-p', page], { encoding: 'utf8' });
    expect(stdout).toBe('');
  });

  test.skipIf(oldNode === undefined)('on an older Node.js says what to do (skipped where there is none)', async () => {
    const { code, err } = await runSyncline(['start'], { command: [oldNode as string, bin] });
    expect(code).toBe(1);
    expect(err).toMatch(/^syncline: needs Node\.js 24\.15 or newer, and this is .*; install /);
  });

  test.skipIf(oldNode === undefined)('its client says so as well (skipped where there is none)', () => {
    const script = `import { connect } from 'syncline/client'; connect().catch((error) => console.log(error.message));`;
    const options = { cwd: join(folder, 'home'), encoding: 'utf8' } as const;
    expect(execFileSync(oldNode as string, ['--input-type=module', '-e', script], options)).toMatch(
      /^syncline\/client needs Node\.js 24\.15 or newer, and this is .*; install /,
    );
  });
});

async function listening(server: ChildProcess, adminPort: number): Promise<void> {
  let err = '';
  server.stderr?.on('data', (chunk: Buffer) => (err += chunk.toString()));
  await eventually(async () => {
    if (server.exitCode !== null) throw new Error(`the server ended with ${server.exitCode}: ${err}`);
    const response = await fetch(`http://127.0.0.1:${adminPort}/health/live`);
    expect(response.status).toBe(200);
  });
}
