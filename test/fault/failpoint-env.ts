import { existsSync, readFileSync } from 'node:fs';
import { patchedEnv, type SourcePatch } from '../support/source-patches.ts';
import { type Failpoint, FAILPOINTS } from './failpoints.ts';

/**
 * What a process does at a failpoint. `kill`: SIGKILL. `stop`: SIGSTOP, until somebody sends SIGCONT. `exit`: it ends
 * with code 1; in a worker thread, only that ends. `throw`: an error is thrown that nobody foresaw. `crash`: one is thrown
 * where nobody can catch it. `lose`: the error of a lost connection is thrown. A number: the thread stands still for so many ms.
 */
export type FailpointAction = 'kill' | 'stop' | 'exit' | 'throw' | 'crash' | 'lose' | number;

export interface ArmedFailpoint {
  readonly name: string;
  readonly action: FailpointAction;
  /** At which visit of the place it acts, counted by each thread from 1. It acts once. */
  readonly visit: number;
}

export interface FailpointOptions {
  readonly armed?: ArmedFailpoint;
  /** A file that gets a line for the first visit of each place by each thread, and for each action. */
  readonly log?: string;
  /** A file with which `armed` acts, whatever the visit: whoever gets there first removes it, and acts. */
  readonly trigger?: string;
  /** Which places are there: only that of `armed`, when this is left out. */
  readonly places?: readonly Failpoint[];
}

const CARET = '‸';
/** Frames of the size that the load has are kept apart, as large ones are. */
const SMALLER_LARGE: SourcePatch = {
  name: 'smaller frames count as large',
  file: 'src/queue/redis/pack.ts',
  find: '{ frameBytes: 1024, callBytes: 8 * 1024 }',
  replace: '{ frameBytes: 100, callBytes: 200 }',
};
const ENTRY = new URL('failpoint-entry.ts', import.meta.url);

/** Environment of a process with failpoints. */
export function failpointEnv({ armed, log, trigger, places }: FailpointOptions): Record<string, string> {
  const present = places ?? FAILPOINTS.filter(({ name }) => name === armed?.name);
  const env = patchedEnv([...failpointPatches(present), SMALLER_LARGE]);
  return {
    ...env,
    NODE_OPTIONS: `${env['NODE_OPTIONS']} --import=${ENTRY.href}`,
    ...(log === undefined ? {} : { FAILPOINT_LOG: log }),
    ...(trigger === undefined ? {} : { FAILPOINT_TRIGGER: trigger }),
    ...(armed === undefined ? {} : { FAILPOINT: formatArmed(armed) }),
  };
}

/** The patches that put calls in the places; places that share their text share a patch. */
export function failpointPatches(places: readonly Failpoint[]): SourcePatch[] {
  const byText = new Map<string, Failpoint[]>();
  for (const place of places) {
    const key = `${place.file}\n${place.place.replace(CARET, '')}`;
    byText.set(key, [...(byText.get(key) ?? []), place]);
  }
  return [...byText.values()].map((same) => {
    const sorted = same.toSorted((a, b) => b.place.indexOf(CARET) - a.place.indexOf(CARET));
    const [first] = sorted as [Failpoint, ...Failpoint[]];
    const find = first.place.replace(CARET, '');
    let replace = find;
    // From the back, so that offsets stay what they are.
    for (const { name, place } of sorted) {
      const at = place.indexOf(CARET);
      replace = `${replace.slice(0, at)} globalThis.failpoint(${JSON.stringify(name)}); ${replace.slice(at)}`;
    }
    return { name: same.map(({ name }) => name).join(', '), file: first.file, find, replace };
  });
}

/** `name:action[:visit]`; names may hold colons. */
function formatArmed({ name, action, visit }: ArmedFailpoint): string {
  return `${name}:${action}:${visit}`;
}

export function parseArmed(text: string): ArmedFailpoint {
  const match = /^(.+?):(kill|stop|exit|throw|crash|lose|\d+)(?::(\d+))?$/.exec(text);
  const [, name, action, visit] = match ?? [];
  if (name === undefined || action === undefined)
    throw new Error(`FAILPOINT is "${text}"; write name:kill|stop|exit|throw|crash|lose|MS[:visit]`);
  return { name, action: /^\d+$/.test(action) ? Number(action) : (action as FailpointAction), visit: Number(visit ?? 1) };
}

/** The lines of a failpoint log: names that were visited, and `name!` for those that acted. */
export function readFailpointLog(log: string): ReadonlySet<string> {
  return new Set(existsSync(log) ? readFileSync(log, 'utf8').split('\n').filter(Boolean) : []);
}
