import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT } from './source-files.ts';

/** Of the binary that uWebSockets.js 3.0.6 brings for Linux on x86-64 and Node.js 24. */
const UWS_BINARY = `${ROOT}node_modules/uWebSockets.js/uws_linux_x64_137.node`;
const UWS_SHA256 = '3b549c14e01d9d1faf234cdf4b6f0fb08158605e3692cd0eb1b905e327bd3449';

/** The part of vitest's JSON report that is told on. */
interface TestReport {
  readonly numPassedTests: number;
  readonly testResults: readonly {
    readonly message: string;
    readonly assertionResults: readonly {
      readonly status: string;
      readonly fullName: string;
      readonly failureMessages: readonly string[];
    }[];
  }[];
}

export interface ChildRun {
  readonly passed: number;
  /** Each with its reason. */
  readonly failures: readonly string[];
}

/** @throws {Error} when the binary that was installed is not the one that was looked at. */
export function checkUwsBinary(): void {
  if (!existsSync(UWS_BINARY)) return;
  const digest = createHash('sha256').update(readFileSync(UWS_BINARY)).digest('hex');
  if (digest !== UWS_SHA256) throw new Error(`${UWS_BINARY} has the SHA-256 ${digest} and not ${UWS_SHA256}; do not load it`);
}

/** A folder with the C library of Debian 13, fetched once; else why there is none. */
export function newerLibc(): { readonly folder: string } | { readonly reason: string } {
  const { status, stdout, stderr } = spawnSync('sh', [`${ROOT}scripts/newer-libc.sh`], { encoding: 'utf8', timeout: 180_000 });
  return status === 0 ? { folder: stdout.trim() } : { reason: stderr.trim() || 'scripts/newer-libc.sh did not end' };
}

/** Runs test files with the C library in `folder`. */
export function runTestsUnder(folder: string, files: readonly string[]): ChildRun {
  const reports = mkdtempSync(join(tmpdir(), 'syncline-libc-'));
  const file = join(reports, 'report.json');
  try {
    // In threads: a process of its own would be started with this loader as its program.
    const vitest = [`${ROOT}node_modules/vitest/vitest.mjs`, 'run', '--pool=threads', '--reporter=json', `--outputFile.json=${file}`];
    const args = ['--library-path', folder, process.execPath, ...vitest, ...files];
    const { status, stdout, stderr } = spawnSync(`${folder}/ld-linux-x86-64.so.2`, args, { cwd: ROOT, encoding: 'utf8', timeout: 300_000 });
    const output = `${stdout}${stderr}`.slice(-2_000);
    if (!existsSync(file)) return { passed: 0, failures: [`it ended without a report: ${output}`] };
    const report = JSON.parse(readFileSync(file, 'utf8')) as TestReport;
    const failures = report.testResults.flatMap(({ message, assertionResults }) => [
      ...(message === '' ? [] : [message]),
      ...assertionResults.filter(({ status }) => status === 'failed').map((one) => `${one.fullName}: ${one.failureMessages[0] ?? ''}`),
    ]);
    // An error outside any test counts as well.
    if (status !== 0 && failures.length === 0) failures.push(`it ended with ${status}: ${output}`);
    return { passed: report.numPassedTests, failures };
  } finally {
    rmSync(reports, { recursive: true, force: true });
  }
}
