/** The second half of `npm run verify`: the checks and all tests, and their count in the last line. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CHECKS, runStep, toolEnv } from './steps.ts';

interface Count {
  passed: number;
  failed: number;
  skipped: number;
}

/** The part of vitest's JSON report that is counted. */
interface TestReport {
  readonly success: boolean;
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly testResults: readonly { readonly status: string; readonly assertionResults: readonly { readonly status: string }[] }[];
}

const total: Count = { passed: 0, failed: 0, skipped: 0 };
for (const step of CHECKS) total[runStep(step) ? 'passed' : 'failed']++;
add(runTests());
console.log(`${total.passed} passed, ${total.failed} failed${total.skipped > 0 ? `, ${total.skipped} skipped` : ''}`);
process.exitCode = total.failed > 0 ? 1 : 0;

function runTests(): Count {
  const folder = mkdtempSync(join(tmpdir(), 'syncline-verify-'));
  const file = join(folder, 'report.json');
  try {
    const args = ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${file}`];
    const { status } = spawnSync('vitest', args, { stdio: 'inherit', env: toolEnv() });
    return countTests(file, status);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function countTests(file: string, status: number | null): Count {
  let report: TestReport;
  try {
    report = JSON.parse(readFileSync(file, 'utf8')) as TestReport;
  } catch {
    return { passed: 0, failed: 1, skipped: 0 };
  }
  // A file that could not even be loaded holds no test that failed.
  const broken = report.testResults.filter(
    (one) => one.status === 'failed' && one.assertionResults.every((test) => test.status !== 'failed'),
  ).length;
  const failed = report.numFailedTests + broken;
  return {
    passed: report.numPassedTests,
    // An error outside any test, too, must not end in "0 failed".
    failed: failed === 0 && (status !== 0 || !report.success) ? 1 : failed,
    skipped: report.numPendingTests + report.numTodoTests,
  };
}

function add(count: Count): void {
  total.passed += count.passed;
  total.failed += count.failed;
  total.skipped += count.skipped;
}
