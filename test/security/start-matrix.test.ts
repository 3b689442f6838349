import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { createLogger } from '../../src/admin/log.ts';
import { loadConfig } from '../../src/config/load.ts';
import { hashToken } from '../../src/ingest/producers.ts';
import { startServer } from '../../src/server.ts';
import { runSyncline } from '../support/cli-process.ts';

const folder = mkdtempSync(join(tmpdir(), 'syncline-start-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const HOSTS = ['127.0.0.1', '0.0.0.0'] as const;
const ANYWHERE = '0.0.0.0';

type Setting = Readonly<Record<string, string>>;

const file = join(folder, 'producers.yaml');
writeFileSync(file, `producers: [{ name: shop, tokens: ["${hashToken('shop.secret')}"] }]\n`);

/** What clients are asked for, and where the doors are. */
const ASKED: readonly (readonly [string, Setting])[] = [
  ['nothing', {}],
  ['a token', { SYNCLINE_TOKEN: 'secret' }],
  ['tokens of producers', { SYNCLINE_CONFIG: file }],
];
const ADMIN_ASKED: readonly (readonly [string, Setting])[] = [
  ['nothing', {}],
  ['a token', { SYNCLINE_ADMIN_TOKEN: 'admin-secret' }],
];
const HEALTH: readonly Setting[] = [{}, { SYNCLINE_HEALTH_PORT: '0', SYNCLINE_HEALTH_HOST: ANYWHERE }];

const PORTS = { SYNCLINE_TCP_PORT: '0', SYNCLINE_WEB_PORT: '0', SYNCLINE_ADMIN_PORT: '0' };

describe('a server that others could use without showing who they are does not start', () => {
  const cases = HOSTS.flatMap((tcp) =>
    ASKED.flatMap(([asked, auth]) =>
      HOSTS.flatMap((admin) =>
        ADMIN_ASKED.flatMap(([adminAsked, adminAuth]) =>
          HEALTH.map((health) => ({
            name: `tcp on ${tcp} asks for ${asked}, admin on ${admin} asks for ${adminAsked}, health ${'SYNCLINE_HEALTH_HOST' in health ? 'for everybody' : 'with admin'}`,
            env: { ...PORTS, SYNCLINE_TCP_HOST: tcp, SYNCLINE_ADMIN_HOST: admin, ...auth, ...adminAuth, ...health } as Setting,
            faults: [
              ...(tcp === ANYWHERE && asked === 'nothing' ? ['listen.tcp.host'] : []),
              ...(admin === ANYWHERE && adminAsked === 'nothing' ? ['listen.admin.host'] : []),
            ],
          })),
        ),
      ),
    ),
  );

  test('all 48 combinations are told apart by the configuration', () => {
    expect(cases.length).toBe(48);
    for (const { name, env, faults } of cases) {
      const load = () => loadConfig({ env, cwd: folder });
      if (faults.length === 0) expect(load, name).not.toThrow();
      else for (const fault of faults) expect(load, name).toThrow(fault);
    }
  });

  // One of each kind as a process: with health for everybody, which needs no token.
  const started = cases.filter(({ env }) => 'SYNCLINE_HEALTH_HOST' in env && env['SYNCLINE_CONFIG'] === undefined);
  test.concurrent.each(started)('$name', async ({ env, faults }) => {
    const data = mkdtempSync(join(folder, 'data-'));
    const { code, out, err } = await runSyncline(['start'], {
      env: { ...env, SYNCLINE_DATA: data, SYNCLINE_LOG_FORMAT: 'json' },
      cwd: data,
      running: (child) => child.stdout?.on('data', (chunk: Buffer) => chunk.includes('"listening') && child.kill('SIGTERM')),
    });
    if (faults.length === 0) {
      expect({ code, err }).toEqual({ code: 0, err: '' });
      expect(out).toContain('"msg":"listening');
    } else {
      expect({ code, out }).toEqual({ code: 1, out: '' });
      for (const fault of faults)
        expect(err).toMatch(new RegExp(`${fault.replaceAll('.', '\\.')}\\)?: is 0\\.0\\.0\\.0, which others can reach`));
    }
  });
});

test('nor does one whose configuration was made elsewhere', async () => {
  const config = loadConfig({ env: { ...PORTS, SYNCLINE_DATA: join(folder, 'embedded') }, cwd: folder });
  const { listen } = config;
  const quiet = createLogger({ level: 'silent', format: 'json' });
  const open = [
    { ...listen, tcp: { ...listen.tcp, host: ANYWHERE } },
    { ...listen, admin: { ...listen.admin, host: ANYWHERE } },
  ];
  for (const doors of open)
    await expect(startServer({ ...config, listen: doors }, quiet)).rejects.toMatchObject({ code: 'listen_unprotected' });
});
