import type { z } from 'zod';
import { entriesIn, entryAt, optionEntries, placeName } from './catalogue.ts';
import { withoutPassword } from './config.ts';
import { nearest } from './nearest.ts';
import { formatBytes } from './option.ts';

/** One thing that is wrong with a configuration. */
export interface Problem {
  /** Where in the configuration; empty when it concerns no single option. */
  readonly place: readonly PropertyKey[];
  /** Lower case, without the place, with a hint what to do, without secrets. */
  readonly message: string;
  /** Where it was written, when that is not the configuration file: the name of an environment variable. */
  readonly variable?: string;
}

/** What the schema complained about in `input`, in our words. */
export function schemaProblems(issues: readonly z.core.$ZodIssue[], input: unknown): Problem[] {
  return issues.flatMap((issue): Problem[] => {
    if (issue.code === 'unrecognized_keys')
      return issue.keys.map((key) => ({ place: [...issue.path, key], message: unknownOption(issue.path, key) }));
    return [{ place: issue.path, message: describeIssue(issue, valueAt(input, issue.path)) }];
  });
}

export function valueAt(input: unknown, place: readonly PropertyKey[]): unknown {
  let value = input;
  for (const part of place) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = (value as Record<PropertyKey, unknown>)[part];
  }
  return value;
}

function unknownOption(section: readonly PropertyKey[], key: string): string {
  const here = entriesIn(section).map(({ path }) => path.at(-1) as string);
  const near = nearest(key, here) ?? nearestAnywhere(key);
  if (near !== undefined) return `unknown option; did you mean ${here.includes(near) ? placeName([...section, near]) : near}?`;
  return `unknown option; known here are ${here.join(', ')}`;
}

/** An option of that name in another section: `partitions` at the top is `queue.partitions`. */
function nearestAnywhere(key: string): string | undefined {
  const byName = new Map(optionEntries().map(({ path }) => [path.at(-1) as string, placeName(path)]));
  const name = nearest(key, byName.keys());
  return name === undefined ? undefined : byName.get(name);
}

function describeIssue(issue: z.core.$ZodIssue, value: unknown): string {
  const entry = entryAt(issue.path) ?? entryAt(issue.path.slice(0, -1));
  const seen = entry?.secret === true ? '' : `, not ${describeValue(value)}`;
  switch (issue.code) {
    case 'invalid_type':
      return value === undefined
        ? 'is missing'
        : `must be ${entry?.unit === 'bytes' ? 'a size such as 8 MiB' : (EXPECTED[issue.expected] ?? issue.expected)}${seen}${quoteHint(issue.expected, value)}`;
    case 'too_small':
    case 'too_big':
      if (issue.origin === 'array') return issue.code === 'too_small' ? 'must not be empty' : `must have at most ${issue.maximum} entries`;
      if (issue.origin === 'string') return 'must not be empty';
      return `must be from ${amount(entry?.minimum, entry?.unit)} to ${amount(entry?.maximum, entry?.unit)}${seen}`;
    case 'invalid_value': {
      const values = issue.values.map(String);
      const near = typeof value === 'string' ? nearest(value, values) : undefined;
      return `must be ${oneOf(values)}${seen}${near === undefined ? '' : `; did you mean ${near}?`}`;
    }
    case 'invalid_format':
      return value === '' ? 'must not be empty' : `must be ${entry?.form ?? 'text of another form'}${seen}`;
    default:
      return issue.message.charAt(0).toLowerCase() + issue.message.slice(1);
  }
}

const EXPECTED: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a whole number',
  int: 'a whole number',
  boolean: 'true or false',
  object: 'a section with options of its own',
  record: 'a section with options of its own',
  array: 'a list',
};

function quoteHint(expected: string, value: unknown): string {
  return expected === 'string' && ['number', 'boolean', 'bigint'].includes(typeof value) ? '; put it in quotes' : '';
}

function describeValue(value: unknown): string {
  if (typeof value === 'string') {
    // A URL may stand where its section belongs.
    const shown = withoutPassword(value);
    return `"${shown.length > 40 ? `${shown.slice(0, 40)}…` : shown}"`;
  }
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' && value !== null ? 'a section' : String(value);
}

function amount(count: number | undefined, unit: string | undefined): string {
  if (count === undefined) return 'any';
  return unit === 'bytes' ? formatBytes(count) : `${count}${unit === undefined ? '' : ` ${unit}`}`;
}

function oneOf(values: readonly string[]): string {
  return values.length === 1 ? String(values[0]) : `${values.slice(0, -1).join(', ')} or ${values.at(-1)}`;
}
