import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, describe, expect, test } from 'vitest';
import type { Results } from '../../bench/report/results.ts';
import { mariadbAvailable } from '../support/mariadb-server.ts';
import { redisAvailable } from '../support/redis-server.ts';
import { ServerProcess } from '../support/server-process.ts';

const RUN = fileURLToPath(new URL('../../bench/run.ts', import.meta.url));

const folder = mkdtempSync(join(tmpdir(), 'syncline-bench-test-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** `npm run bench`; resolves with what it printed, or rejects with `code`. */
async function run(...args: string[]): Promise<string> {
  return (await promisify(execFile)(process.execPath, [RUN, ...args])).stdout;
}

/** A comparison with a thousandth of the work. */
async function bench(name: string): Promise<Results> {
  const json = join(folder, `${name}.json`);
  await run('--only', name, '--pairs', '1', '--scale', '0.001', '--json', json);
  return JSON.parse(readFileSync(json, 'utf8')) as Results;
}

describe.skipIf(!redisAvailable() || !mariadbAvailable())('the benchmark (skipped where Redis or MariaDB is missing)', () => {
  test('measures every side, with every row where it belongs', async () => {
    const { comparisons, machine } = await bench('updates');
    expect(comparisons).toHaveLength(1);
    const [{ sides, verdicts, skipped }] = comparisons as [Results['comparisons'][number]];
    expect(skipped).toEqual([]);
    expect(sides.map(({ name }) => name)).toEqual(['syncline', 'mariadb-client', 'mariadb-client-2']);
    for (const { figures } of sides) {
      expect(figures['rows/s']?.values).toHaveLength(1);
      expect(figures['rows/s']?.min).toBeGreaterThan(0);
    }
    expect(verdicts[0]?.measured?.values).toHaveLength(1);
    expect(machine.node).toBe(process.versions.node);
  });
});

test('the benchmark of the embedded server finds every row too', async () => {
  const { comparisons } = await bench('embedded');
  expect(comparisons[0]?.sides.map(({ name }) => name)).toEqual(['syncline', 'sqlite-loop']);
});

test('a profile names the modules of the server and of its threads, and where it is', async () => {
  const printed = await run('--profile', 'embedded', '--scale', '0.001', '--folder', join(folder, 'profile'));
  for (const expected of ['main: delay of the event loop', 'worker-1: delay', 'src/sinks/sqlite/', 'profile/*.cpuprofile'])
    expect(printed).toContain(expected);
  expect(readdirSync(join(folder, 'profile'))).toContain('main.cpuprofile');
});

describe('the load generator', () => {
  test('says what became of everything that it sent', async () => {
    const server = await ServerProcess.create({ SYNCLINE_TOKEN: 'default.secret' });
    try {
      await server.start();
      const load = ['--url', server.url, '--rate', '500', '--seconds', '1', '--producers', '2'];
      const printed = await run(...load, '--token', 'default.secret');
      expect(printed).toMatch(/^sent 500 changes in .*; applied 500, rejected 0, not applied 0$/m);
      expect(printed).toMatch(/^from due to applied: p50 [\d.]+ ms/m);
      await expect(run(...load, '--token', 'default.wrong')).rejects.toMatchObject({ code: 1, stdout: expect.stringContaining('token') });
    } finally {
      await server.close();
    }
  });

  test('ends with 1 when a change is rejected', async () => {
    const server = await ServerProcess.create({ SYNCLINE_SINK_SCHEMA: 'strict' });
    try {
      await server.start();
      const refused = run('--url', server.url, '--rate', '100', '--seconds', '0.2', '--producers', '1');
      await expect(refused).rejects.toMatchObject({ code: 1, stdout: expect.stringContaining('applied 0, rejected 20') });
    } finally {
      await server.close();
    }
  });
});
