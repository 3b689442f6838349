import { spawn } from 'node:child_process';
import { endWithUs } from '../../src/chaos/end-with-us.ts';

/** What became of looking for a history that breaks a promise. */
export interface Finding {
  /** The first seed that does; undefined when none does. */
  readonly seed: number | undefined;
  /** What was found to be wrong. */
  readonly symptom: string;
}

const RUN = new URL('run.ts', import.meta.url).pathname;

export interface SearchOptions {
  /** Variables of the process, beside those of this one. */
  readonly env?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
  /** All on a Redis Cluster. */
  readonly on?: 'cluster' | undefined;
}

/**
 * Runs the histories of seeds `from` to `to` in a process of its own, until one breaks a promise. Rejects when the process
 * did not come to an end, or was ended by `signal`.
 */
export function findBroken(from: number, to: number, { env = {}, signal, on }: SearchOptions = {}): Promise<Finding> {
  const child = spawn(process.execPath, [RUN, '--first', '--seeds', `${from}..${to}`, ...(on === undefined ? [] : ['--on', on])], {
    env: { ...process.env, ...env },
    signal,
  });
  endWithUs(child);
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (output = (output + String(chunk)).slice(-10_000)));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', () => {
      const [, seed, symptom] = /^seed (\d+): (.*)$/m.exec(output) ?? [];
      const finished = new RegExp(`^${to - from + 1} histories, `, 'm').test(output);
      if (seed !== undefined) resolve({ seed: Number(seed), symptom: symptom!.slice(0, 200) });
      else if (finished) resolve({ seed: undefined, symptom: '' });
      else reject(new Error(`the histories of seeds ${from} to ${to} did not come to an end:\n${output}`));
    });
  });
}
