import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Runs a script that writes a report to the file after `--json` and tells its parent how far it is, in a process of its own
 * with a folder for its files: what is interrupted leaves neither behind. Undefined when it was aborted.
 */
export async function runForked<Report>(
  script: string,
  args: readonly string[],
  signal: AbortSignal,
  progress: (done: number) => void,
): Promise<Report | undefined> {
  if (signal.aborted) return undefined;
  const folder = mkdtempSync(join(tmpdir(), 'prove-'));
  try {
    const file = join(folder, 'report.json');
    const child = fork(script, [...args, '--json', file], { env: { ...process.env, TMPDIR: folder }, silent: true, detached: true });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (chunk: Buffer) => (output = (output + String(chunk)).slice(-10_000)));
    child.on('message', (done) => progress(Number(done)));
    const stop = () => void child.kill('SIGTERM');
    signal.addEventListener('abort', stop);
    await once(child, 'close').finally(() => signal.removeEventListener('abort', stop));
    if (signal.aborted) return undefined;
    try {
      return JSON.parse(readFileSync(file, 'utf8')) as Report;
    } catch (cause) {
      throw new Error(`node ${script} did not come to its end:\n${output}`, { cause });
    }
  } finally {
    // What the processes of the script had begun to write may still come.
    rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }
}
