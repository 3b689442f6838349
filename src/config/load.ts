import { dirname, resolve } from 'node:path';
import { SyncError } from '../core/errors.ts';
import { placeName } from './catalogue.ts';
import type { Config } from './config.ts';
import { readEnvironment, type Setting } from './environment.ts';
import { readConfigFile, type ConfigFile } from './file.ts';
import { optionsSchema } from './options.ts';
import { schemaProblems, valueAt, type Problem } from './problem.ts';
import { resolveConfig, type Origin } from './resolve.ts';

export interface ConfigSource {
  /** Read instead of `syncline.yaml` in `cwd`; then it must exist. */
  readonly file?: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
}

/**
 * The configuration from a file, if there is one, and the environment, which wins.
 * @throws {SyncError} `bad_config`, naming everything that is wrong, each with its option and line or variable.
 */
export function loadConfig(source: ConfigSource): Config {
  const file = readConfigFile(source.file ?? (source.env['SYNCLINE_CONFIG'] || undefined), source.cwd);
  const environment = readEnvironment(source.env);
  const written = withSettings(file?.content ?? {}, environment.settings);
  const origin = originOf(file, environment.settings, source.cwd);

  const problems: Problem[] = [...(file?.problems ?? []), ...environment.problems];
  const parsed = optionsSchema.safeParse(written);
  if (!parsed.success) {
    problems.push(...schemaProblems(parsed.error.issues, written));
    throw badConfig(problems, file, environment.settings);
  }
  const resolved = resolveConfig(parsed.data, origin);
  problems.push(...resolved.problems);
  if (problems.length > 0) throw badConfig(problems, file, environment.settings);
  return resolved.config;
}

/** An option that may also be given by the name of a file that holds it: whichever the environment sets replaces both. */
const INSTEAD: Readonly<Record<string, string>> = { token: 'tokenFile', tokenFile: 'token', url: 'urlFile', urlFile: 'url' };

function withSettings(content: Readonly<Record<string, unknown>>, settings: readonly Setting[]): Record<string, unknown> {
  const written = structuredClone(content) as Record<string, unknown>;
  for (const { place } of settings) {
    const parent = valueAt(written, place.slice(0, -1));
    const other = INSTEAD[String(place.at(-1))];
    if (other !== undefined && typeof parent === 'object' && parent !== null) delete (parent as Record<string, unknown>)[other];
  }
  for (const { place, value } of settings) setAt(written, place, value);
  return written;
}

/** Sets a value, making the sections around it; does nothing where something else than a section is in the way. */
function setAt(root: Record<string, unknown>, place: readonly PropertyKey[], value: unknown): void {
  let node = root as Record<PropertyKey, unknown>;
  for (let i = 0; i < place.length - 1; i++) {
    const part = place[i] as PropertyKey;
    node[part] ??= typeof place[i + 1] === 'number' ? [] : {};
    const next = node[part];
    if (typeof next !== 'object' || next === null) return;
    node = next as Record<PropertyKey, unknown>;
  }
  node[place.at(-1) as PropertyKey] = value;
}

function originOf(file: ConfigFile | undefined, settings: readonly Setting[], cwd: string): Origin {
  return {
    file: file?.path,
    resolvePath(place, path) {
      const inFile = file !== undefined && valueAt(file.content, place) !== undefined && variableOf(place, settings) === undefined;
      return resolve(inFile ? dirname(file.path) : cwd, path);
    },
  };
}

function variableOf(place: readonly PropertyKey[], settings: readonly Setting[]): string | undefined {
  return settings.find((setting) => placeName(setting.place) === placeName(place))?.variable;
}

function badConfig(problems: readonly Problem[], file: ConfigFile | undefined, settings: readonly Setting[]): SyncError {
  const lines = problems.map((problem) => describe(problem, file, settings));
  if (lines.length === 1) return new SyncError('bad_config', `${lines[0]}`);
  return new SyncError('bad_config', `the configuration has ${lines.length} problems:\n${lines.map((line) => `  - ${line}`).join('\n')}`);
}

function describe({ place, message, variable: named }: Problem, file: ConfigFile | undefined, settings: readonly Setting[]): string {
  const variable = named ?? variableOf(place, settings);
  const name = placeName(place);
  if (variable !== undefined) return `${variable}${name === '' ? '' : ` (${name})`}: ${message}`;
  const line = file === undefined ? '' : `${file.path} line ${file.lineOf(place)}: `;
  return name === '' ? `${line}${message}` : `${line}${name}: ${message}`;
}
