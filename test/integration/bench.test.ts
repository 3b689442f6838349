import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, describe, expect, test } from 'vitest';
import type { Results } from '../../bench/report/results.ts';
import { mariadbAvailable } from '../support/mariadb-server.ts';
import { redisAvailable } from '../support/redis-server.ts';

const RUN = fileURLToPath(new URL('../../bench/run.ts', import.meta.url));

const folder = mkdtempSync(join(tmpdir(), 'syncline-bench-test-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** `npm run bench` with a thousandth of the work. */
async function bench(name: string): Promise<Results> {
  const json = join(folder, `${name}.json`);
  await promisify(execFile)(process.execPath, [RUN, '--only', name, '--pairs', '1', '--scale', '0.001', '--json', json]);
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
