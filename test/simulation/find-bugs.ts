/**
 * `node test/simulation/find-bugs.ts [--bug TEXT] [--seeds N] [--write]`: plants each bug whose name contains TEXT and looks
 * for a seed from 1 to N whose history shows it. `--write` keeps what was found in `planted-bugs.json`, which the tests
 * replay. Ends with 1 when a bug stayed hidden.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { commandLine } from '../support/command-line.ts';
import { patchedEnv } from '../support/source-patches.ts';
import { findBroken, type Finding } from './find-broken.ts';
import { PLANTED_BUGS, type PlantedBug } from './planted-bugs.ts';

const RECORD = new URL('planted-bugs.json', import.meta.url);

/** Looks for the first history of seeds `from` to `to` that shows the bug: see {@link findBroken}. */
export async function findBug({ name, patches, on }: PlantedBug, from: number, to: number, signal?: AbortSignal): Promise<Finding> {
  return findBroken(from, to, { env: patchedEnv(patches.map((patch) => ({ ...patch, name }))), signal, on });
}

if (import.meta.main) {
  const values = commandLine('usage: npm run find-bugs -- [--bug NAME] [--seeds N] [--write]', {
    bug: { type: 'string', default: '' },
    seeds: { type: 'string', default: '500' },
    write: { type: 'boolean', default: false },
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
