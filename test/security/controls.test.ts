import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { checkPatches, patchText, type SourcePatch } from '../support/source-patches.ts';
import { ROOT } from '../support/source-files.ts';
import { CONTROLS } from './controls.ts';

interface Report {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
}

const folder = mkdtempSync(join(tmpdir(), 'syncline-controls-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What tests are run in {@link copyPatched} without, or share. */
const LEFT_OUT = ['.git', 'node_modules', 'dist', 'coverage'];

/** A copy of the repository that is patched. */
function copyPatched(patches: readonly SourcePatch[]): string {
  const copy = mkdtempSync(join(folder, 'copy-'));
  // For tests that go on as another user.
  for (const each of [folder, copy]) chmodSync(each, 0o755);
  for (const name of readdirSync(ROOT)) if (!LEFT_OUT.includes(name)) cpSync(join(ROOT, name), join(copy, name), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
  for (const { file } of patches) writeFileSync(join(copy, file), patchText(file, readFileSync(join(ROOT, file), 'utf8'), patches));
  return copy;
}

/**
 * Runs the tests of `file` whose names hold `name`, in a process of their own, with patched sources: in `cwd`, which they are
 * in, or as that process loads them.
 */
async function runPatched({ file, name }: { file: string; name: string }, patches: readonly SourcePatch[], cwd = ROOT): Promise<Report> {
  const report = join(folder, `${Math.random()}.json`);
  const pattern = name.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
  const args = ['run', '--config', 'test/security/controls.config.ts', file, '-t', pattern, '--reporter=json', `--outputFile=${report}`];
  const child = spawn(process.execPath, [`${ROOT}node_modules/vitest/vitest.mjs`, ...args], {
    cwd,
    env: { PATH: process.env['PATH'] ?? '', CONTROL_PATCHES: JSON.stringify(cwd === ROOT ? patches : []) },
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

test('nor is it the copy', { timeout: 60_000 }, async () => {
  const copy = copyPatched([]);
  for (const { test: named } of CONTROLS.filter(({ inCopy, missing }) => inCopy && missing === undefined))
    expect(await runPatched(named, [], copy), named.name).toMatchObject({ numPassedTests: 1, numFailedTests: 0 });
});

test.for(CONTROLS)(
  'its test fails when this is switched off: $name',
  { timeout: 60_000 },
  async ({ name, inCopy, missing, ...control }, { skip }) => {
    if (missing !== undefined) skip(missing);
    const patches = control.patches.map((patch) => ({ ...patch, name }));
    const { numFailedTests } = await runPatched(control.test, patches, inCopy && copyPatched(patches));
    expect(numFailedTests).toBeGreaterThan(0);
  },
);
