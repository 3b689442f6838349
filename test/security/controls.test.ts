import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { checkPatches, type SourcePatch } from '../support/source-patches.ts';
import { ROOT } from '../support/source-files.ts';
import { CONTROLS } from './controls.ts';

interface Report {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
}

const folder = mkdtempSync(join(tmpdir(), 'syncline-controls-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs the tests of `file` whose names hold `name`, in a process of their own, with patched sources. */
async function runPatched({ file, name }: { file: string; name: string }, patches: readonly SourcePatch[]): Promise<Report> {
  const report = join(folder, `${Math.random()}.json`);
  const pattern = name.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
  const args = ['run', '--config', 'test/security/controls.config.ts', file, '-t', pattern, '--reporter=json', `--outputFile=${report}`];
  const child = spawn(process.execPath, [`${ROOT}node_modules/vitest/vitest.mjs`, ...args], {
    cwd: ROOT,
    env: { PATH: process.env['PATH'] ?? '', CONTROL_PATCHES: JSON.stringify(patches) },
    stdio: 'ignore',
  });
  await once(child, 'exit');
  return JSON.parse(readFileSync(report, 'utf8')) as Report;
}

test('each control has a name of its own and fits the sources', () => {
  expect(new Set(CONTROLS.map(({ name }) => name)).size).toBe(CONTROLS.length);
  for (const { name, patches } of CONTROLS) checkPatches(patches.map((patch) => ({ ...patch, name })));
});

test('without a patch such a test passes: it is the patch that makes it fail', { timeout: 60_000 }, async () => {
  const [control] = CONTROLS;
  expect(await runPatched(control!.test, [])).toMatchObject({ numPassedTests: 1, numFailedTests: 0 });
});

test.each(CONTROLS)('its test fails when this is switched off: $name', { timeout: 60_000 }, async ({ name, patches, test: named }) => {
  const { numFailedTests } = await runPatched(
    named,
    patches.map((patch) => ({ ...patch, name })),
  );
  expect(numFailedTests).toBeGreaterThan(0);
});
