import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';

/**
 * A change to our own source for the time of one test process. The product holds nothing of it: the text is exchanged
 * while Node loads the file, in the main thread and in every worker thread.
 */
export interface SourcePatch {
  readonly name: string;
  /** From the root of the repository, such as `src/apply/slice.ts` or `src/queue/redis/scripts/trim.lua`. */
  readonly file: string;
  /** Exact text that occurs once in the file. */
  readonly find: string;
  readonly replace: string;
}

const ROOT = new URL('../../', import.meta.url);
const ENTRY = new URL('source-patches-entry.ts', import.meta.url);
/** Not `SYNCLINE_…`: the server refuses such names when it does not know them. */
const VARIABLE = 'SOURCE_PATCHES';

/**
 * Lua scripts are read, not imported: the module that reads them is made to ask for their patched text.
 * Applied only where a patch is for a script.
 */
const SCRIPT_READING: SourcePatch = {
  name: 'patched scripts',
  file: 'src/queue/redis/scripts.ts',
  find: "readFileSync(new URL(`./scripts/${name}.lua`, import.meta.url), 'utf8')",
  replace: '(globalThis as unknown as { patchedScript(name: string): string }).patchedScript(name)',
};
const SCRIPTS = 'src/queue/redis/scripts/';

/** Environment of a process whose sources are to be patched. Throws as {@link checkPatches} does. */
export function patchedEnv(patches: readonly SourcePatch[]): Record<string, string> {
  checkPatches(patches);
  return { NODE_OPTIONS: `--import=${ENTRY.href}`, [VARIABLE]: JSON.stringify(patches) };
}

/** Variables of both, with the patches of both where both have some; `second` wins otherwise. */
export function mergedEnv(first: Readonly<Record<string, string>>, second: Readonly<Record<string, string>>): Record<string, string> {
  const env = { ...first, ...second };
  const [a, b] = [first[VARIABLE], second[VARIABLE]];
  if (a === undefined || b === undefined) return env;
  const patches = [...(JSON.parse(a) as SourcePatch[]), ...(JSON.parse(b) as SourcePatch[])];
  checkPatches(patches);
  return { ...env, NODE_OPTIONS: `${first['NODE_OPTIONS']} ${second['NODE_OPTIONS']}`, [VARIABLE]: JSON.stringify(patches) };
}

/** Throws an error that names the patch when one does not fit the sources as they are now, or two of them touch the same text. */
export function checkPatches(patches: readonly SourcePatch[]): void {
  for (const file of new Set(patches.map((patch) => patch.file))) patchText(file, readSource(file), patches);
}

/** `text`, which is the content of `file`, with the patches for that file. Each of them is held against the text as it was. */
export function patchText(file: string, text: string, patches: readonly SourcePatch[]): string {
  const places = patches
    .filter((patch) => patch.file === file)
    .map((patch) => ({ patch, start: placeOf(patch, text) }))
    .sort((a, b) => a.start - b.start);
  let patched = '';
  let end = 0;
  for (const [i, { patch, start }] of places.entries()) {
    if (start < end) throw new Error(`patches "${places[i - 1]?.patch.name}" and "${patch.name}" touch the same text of ${file}`);
    patched += text.slice(end, start) + patch.replace;
    end = start + patch.find.length;
  }
  return patched + text.slice(end);
}

/** Patches whatever this thread loads from now on, as the environment says. For the entry only. */
export function applyPatchesOfEnvironment(): void {
  const patches = JSON.parse(process.env[VARIABLE] ?? '[]') as SourcePatch[];
  checkPatches(patches);
  const scripts = patches.some(({ file }) => file.endsWith('.lua'));
  const all = scripts ? [...patches, SCRIPT_READING] : patches;
  if (scripts) {
    const patchedScript = (name: string) => patchText(`${SCRIPTS}${name}.lua`, readSource(`${SCRIPTS}${name}.lua`), patches);
    Object.assign(globalThis, { patchedScript });
  }
  const files = new Set(all.map(({ file }) => file));
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      const file = url.startsWith(ROOT.href) ? decodeURIComponent(url.slice(ROOT.href.length)) : undefined;
      if (file === undefined || !files.has(file)) return loaded;
      // Types are stripped after this: what comes here is the file as it is.
      return { ...loaded, source: patchText(file, String(loaded.source), all) };
    },
  });
}

function placeOf({ name, file, find }: SourcePatch, text: string): number {
  const start = find === '' ? -1 : text.indexOf(find);
  if (start < 0) throw new Error(`patch "${name}" does not fit: its text does not occur in ${file}`);
  if (text.includes(find, start + 1)) throw new Error(`patch "${name}" does not fit: its text occurs more than once in ${file}`);
  return start;
}

function readSource(file: string): string {
  return readFileSync(new URL(file, ROOT), 'utf8');
}
