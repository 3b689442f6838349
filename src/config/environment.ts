import { optionEntries, placeName, type OptionEntry } from './catalogue.ts';
import { nearest } from './nearest.ts';
import type { Problem } from './problem.ts';

/** Options that environment variables set, and what is wrong with them. */
export interface EnvironmentOptions {
  readonly settings: readonly Setting[];
  readonly problems: readonly Problem[];
}

export interface Setting {
  readonly place: readonly PropertyKey[];
  readonly value: unknown;
  readonly variable: string;
}

/** Variables of ours that set no option. */
const OTHERS: readonly string[] = ['SYNCLINE_URL', 'SYNCLINE_CONFIG'];

/** What Kubernetes sets in every pod beside a service that is called `syncline`. */
const KUBERNETES = /^SYNCLINE_(SERVICE_(HOST|PORT.*)|PORT|PORT_\d+_(TCP|UDP).*)$/;

/**
 * Reads the `SYNCLINE_…` variables. An empty variable counts as not set. An unknown one is a problem, because a
 * misspelt setting that does nothing is found only when it is too late.
 */
export function readEnvironment(env: Readonly<Record<string, string | undefined>>): EnvironmentOptions {
  const known = new Map<string, OptionEntry>();
  for (const entry of optionEntries()) if (entry.env !== undefined) known.set(entry.env, entry);

  const settings: Setting[] = [];
  const problems: Problem[] = [];
  for (const [variable, written] of Object.entries(env)) {
    if (!variable.startsWith('SYNCLINE_') || written === undefined || written === '') continue;
    const entry = known.get(variable);
    if (entry !== undefined)
      settings.push({ place: entry.path.map((part) => (part === '[]' ? 0 : part)), value: parse(entry, written), variable });
    else if (!OTHERS.includes(variable) && !KUBERNETES.test(variable))
      problems.push({ place: [], variable, message: unknownVariable(variable, known) });
  }
  return { settings, problems };
}

/** Text as the schema wants it; what does not fit is left for the schema to refuse. */
function parse(entry: OptionEntry, written: string): unknown {
  if (entry.kind === 'number' && /^-?\d+(\.\d+)?$/.test(written)) return Number(written);
  if (entry.kind === 'flag' && /^(true|1|yes|on)$/i.test(written)) return true;
  if (entry.kind === 'flag' && /^(false|0|no|off)$/i.test(written)) return false;
  if (entry.kind === 'list') return written.split(/[\s,]+/).filter((part) => part !== '');
  return written;
}

function unknownVariable(variable: string, known: ReadonlyMap<string, OptionEntry>): string {
  const near = nearest(
    variable.slice('SYNCLINE_'.length),
    [...known.keys()].map((name) => name.slice('SYNCLINE_'.length)),
  );
  const meant = near === undefined ? undefined : known.get(`SYNCLINE_${near}`);
  if (meant === undefined) return 'unknown variable; docs/configuration.md lists them all';
  return `unknown variable; did you mean ${meant.env} (${placeName(meant.path)})?`;
}
