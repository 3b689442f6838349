/**
 * `node test/simulation/find-bugs.ts [--bug TEXT] [--seeds N] [--write]`: plants each bug whose name contains TEXT and looks
 * for a seed from 1 to N whose history shows it. `--write` keeps what was found in `planted-bugs.json`, which the tests
 * replay. Ends with 1 when a bug stayed hidden.
 */
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { endWithUs } from '../support/end-with-us.ts';
import { patchedEnv } from '../support/source-patches.ts';
import { PLANTED_BUGS, type PlantedBug } from './planted-bugs.ts';

/** What became of looking for a bug. */
export interface Finding {
  /** The first seed that showed it; undefined when none did. */
  readonly seed: number | undefined;
  /** What was found to be wrong. */
  readonly symptom: string;
}

const RUN = new URL('run.ts', import.meta.url).pathname;
const RECORD = new URL('planted-bugs.json', import.meta.url);

/**
 * Runs the histories of seeds `from` to `to` in a process of its own with the bug in it, until one shows it. Rejects when the
 * process did not come to an end, or was ended by `signal`.
 */
export function findBug({ name, patches }: PlantedBug, from: number, to: number, signal?: AbortSignal): Promise<Finding> {
  const env = patchedEnv(patches.map((patch) => ({ ...patch, name })));
  const child = spawn(process.execPath, [RUN, '--first', '--seeds', `${from}..${to}`], { env: { ...process.env, ...env }, signal });
  endWithUs(child);
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (output = (output + String(chunk)).slice(-10_000)));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', () => {
      const [, seed, symptom] = /^seed (\d+): (.*)$/m.exec(output) ?? [];
      const finished = /^\d+ histories, /m.test(output);
      if (seed !== undefined) resolve({ seed: Number(seed), symptom: symptom!.slice(0, 200) });
      else if (finished) resolve({ seed: undefined, symptom: '' });
      else reject(new Error(`the histories with "${name}" did not come to an end:\n${output}`));
    });
  });
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      bug: { type: 'string', default: '' },
      seeds: { type: 'string', default: '500' },
      write: { type: 'boolean', default: false },
    },
  });
  const wanted = PLANTED_BUGS.filter(({ name }) => name.includes(values.bug));
  const found = new Map<string, Finding>();
  const waiting = [...wanted];
  const work = async () => {
    for (let bug = waiting.shift(); bug !== undefined; bug = waiting.shift()) {
      const finding = await findBug(bug, 1, Number(values.seeds));
      found.set(bug.name, finding);
      console.log(
        `${String(finding.seed ?? 'never').padStart(6)}  ${bug.name}${finding.seed === undefined ? '' : `\n        ${finding.symptom}`}`,
      );
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
  const hidden = [...found.values()].filter(({ seed }) => seed === undefined).length;
  console.log(`${found.size - hidden} of ${found.size} planted bugs found within ${values.seeds} seeds`);
  if (values.write) {
    const record = JSON.parse(readFileSync(RECORD, 'utf8')) as Record<string, number>;
    for (const [name, { seed }] of found) if (seed !== undefined) record[name] = seed;
    writeFileSync(
      RECORD,
      `${JSON.stringify(Object.fromEntries(PLANTED_BUGS.flatMap(({ name }) => (name in record ? [[name, record[name]]] : []))), undefined, 2)}\n`,
    );
  }
  process.exitCode = hidden > 0 ? 1 : 0;
}
