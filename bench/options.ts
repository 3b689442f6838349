import { nearest } from '../src/config/nearest.ts';

/** What `npm run bench` was asked for. */
export type BenchOptions =
  | { readonly mode: 'help' }
  | CompareOptions
  | LoadOptions
  | { readonly mode: 'profile'; readonly name: string; readonly scale: number; readonly folder: string | undefined }
  | { readonly mode: 'micro'; readonly name: string | undefined }
  | { readonly mode: 'connections'; readonly connections: number }
  | { readonly mode: 'flood'; readonly scale: number };

export interface CompareOptions {
  readonly mode: 'compare';
  /** Names of comparisons; undefined for all. */
  readonly only: readonly string[] | undefined;
  readonly quick: boolean;
  /** Pairs of every comparison, instead of its own number. */
  readonly pairs: number | undefined;
  /** How much less work each measurement is, instead of what `quick` says. */
  readonly scale: number | undefined;
  readonly json: string | undefined;
  /** Whether `docs/performance.*` is written: by a whole run, or when asked for. */
  readonly publish: boolean;
}

export interface LoadOptions {
  readonly mode: 'load';
  readonly url: string;
  readonly token: string | undefined;
  readonly producers: number;
  /** Changes in a second, of all producers together. */
  readonly rate: number;
  readonly seconds: number;
  readonly table: string;
  /** Bytes of text in each row. */
  readonly size: number;
  /** How many rows are written again and again. */
  readonly keys: number;
}

/** Names that options may be given. */
export interface KnownNames {
  readonly comparisons: readonly string[];
  readonly profiles: readonly string[];
  readonly micros: readonly string[];
}

/** What was asked for makes no sense; the message says what would. */
export class UsageError extends Error {}

/** @throws {UsageError} */
export function readOptions(args: readonly string[], known: KnownNames): BenchOptions {
  const given = readFlags(args);
  if (given.has('help')) return { mode: 'help' };
  const modes = (['url', 'profile', 'micro', 'connections', 'flood'] as const).filter((name) => given.has(name));
  if (modes.length > 1) throw new UsageError(`${modes.map((name) => `--${name}`).join(' and ')} are different things to do`);
  const mode = modes[0] ?? 'compare';
  for (const name of given.keys()) {
    const modes: readonly string[] = FLAGS[name].modes;
    if (!modes.includes(mode)) throw new UsageError(`--${name} means nothing ${mode === 'compare' ? 'without --url' : `with --${mode}`}`);
  }
  const flags = new Flags(given);
  switch (mode) {
    case 'url':
      return loadOptions(flags);
    case 'profile': {
      const name = knownName(flags.text('profile') || (known.profiles[0] as string), known.profiles, 'case');
      return { mode: 'profile', name, scale: flags.number('scale', { above: 0, most: 1 }) ?? 1, folder: flags.text('folder') };
    }
    case 'micro': {
      const name = flags.text('micro');
      return { mode: 'micro', name: name ? knownName(name, known.micros, 'micro-bench') : undefined };
    }
    case 'connections':
      return {
        mode: 'connections',
        connections: given.get('connections') === '' ? 10_000 : (flags.integer('connections', 100_000) ?? 10_000),
      };
    case 'flood':
      return { mode: 'flood', scale: flags.number('scale', { above: 0, most: 1 }) ?? 1 };
    default:
      return compareOptions(flags, known);
  }
}

export const USAGE = `usage: npm run bench [-- OPTIONS]

Measures Syncline and what it is held against in turn, on private servers of its own, and prints medians, spreads and ratios.
A whole run takes more than an hour and writes docs/performance.json, docs/performance.md and docs/performance/*.svg.

  --quick          a few minutes: one pair of each, less work, nothing written to docs
  --only NAME,…    only these comparisons
  --pairs N        measure each side N times
  --scale F        do this part of the work in each measurement: 0 < F ≤ 1
  --json FILE      write the results there too
  --publish        write docs even though the run is not whole; what it did not measure stays as it is
  --help           this text

       npm run bench -- --url tcp://HOST:PORT [--token TOKEN]

Loads a server that runs already. Ends with 1 when a change was rejected or is not applied.

  --producers N    client processes (4)
  --rate N         changes per second, of all together (1,000)
  --seconds N      how long (10)
  --table NAME     a table with the columns id (integer, key) and body (text); with the embedded sink it is made (bench)
  --size BYTES     of body (100)
  --keys N         rows that are written again and again (10,000)

       npm run bench -- --profile [CASE] [--scale F] [--folder DIR]

Runs one case under the profiler and prints where the time goes, by source file.

       npm run bench -- --micro [NAME]

Measures the code on the way of a change piece by piece.

       npm run bench -- --connections [N]

Opens N connections (10,000) that send nothing, half of them over TCP and half over WebSocket, and prints what each costs a server in
memory, and all of them in processor time.

       npm run bench -- --flood [--scale F]

Floods a server with 1,000 wrong tokens a second, 2,000 peers that send a byte a second and 2,000 that read nothing, beside clients that
behave, and prints what that costs the server and the others. Four minutes.
`;

type FlagName = keyof typeof FLAGS;

/** Whether an option has a value, and where it means something. */
const FLAGS = {
  help: { value: 'none', modes: ['compare', 'url', 'profile', 'micro', 'connections', 'flood'] },
  quick: { value: 'none', modes: ['compare'] },
  only: { value: 'needed', modes: ['compare'] },
  pairs: { value: 'needed', modes: ['compare'] },
  scale: { value: 'needed', modes: ['compare', 'profile', 'flood'] },
  json: { value: 'needed', modes: ['compare'] },
  publish: { value: 'none', modes: ['compare'] },
  url: { value: 'needed', modes: ['url'] },
  token: { value: 'needed', modes: ['url'] },
  producers: { value: 'needed', modes: ['url'] },
  rate: { value: 'needed', modes: ['url'] },
  seconds: { value: 'needed', modes: ['url'] },
  table: { value: 'needed', modes: ['url'] },
  size: { value: 'needed', modes: ['url'] },
  keys: { value: 'needed', modes: ['url'] },
  profile: { value: 'optional', modes: ['profile'] },
  folder: { value: 'needed', modes: ['profile'] },
  micro: { value: 'optional', modes: ['micro'] },
  connections: { value: 'optional', modes: ['connections'] },
  flood: { value: 'none', modes: ['flood'] },
} as const satisfies Record<string, { value: 'none' | 'needed' | 'optional'; modes: readonly string[] }>;

function readFlags(args: readonly string[]): Map<FlagName, string> {
  const given = new Map<FlagName, string>();
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] as string;
    if (!arg.startsWith('--')) throw new UsageError(`"${arg}" is not an option; they begin with --`);
    const [written = '', ...rest] = arg.slice(2).split('=');
    if (!isFlag(written)) throw new UsageError(`--${written} is not an option${hint(written, Object.keys(FLAGS), '--')}`);
    const { value } = FLAGS[written];
    let text = rest.length > 0 ? rest.join('=') : undefined;
    if (value === 'none' && text !== undefined) throw new UsageError(`--${written} takes no value`);
    if (value !== 'none' && text === undefined && args[i + 1]?.startsWith('--') === false) text = args[++i];
    if (value === 'needed' && !text) throw new UsageError(`--${written} needs a value`);
    given.set(written, text ?? '');
  }
  return given;
}

function isFlag(name: string): name is FlagName {
  return Object.hasOwn(FLAGS, name);
}

class Flags {
  readonly #given: ReadonlyMap<FlagName, string>;

  constructor(given: ReadonlyMap<FlagName, string>) {
    this.#given = given;
  }

  has(name: FlagName): boolean {
    return this.#given.has(name);
  }

  text(name: FlagName): string | undefined {
    return this.#given.get(name);
  }

  /** @throws {UsageError} */
  number(name: FlagName, { above, most }: { readonly above: number; readonly most: number }): number | undefined {
    const text = this.#given.get(name);
    if (text === undefined) return undefined;
    const value = Number(text);
    if (!(value > above && value <= most)) throw new UsageError(`--${name} is ${text}; it must be above ${above} and at most ${most}`);
    return value;
  }

  /** @throws {UsageError} */
  integer(name: FlagName, most: number): number | undefined {
    const value = this.number(name, { above: 0, most });
    if (value !== undefined && !Number.isInteger(value)) throw new UsageError(`--${name} is ${value}; it must be a whole number`);
    return value;
  }
}

function compareOptions(flags: Flags, known: KnownNames): CompareOptions {
  const only = flags
    .text('only')
    ?.split(',')
    .map((name) => knownName(name.trim(), known.comparisons, 'comparison'));
  const quick = flags.has('quick');
  const [pairs, scale] = [flags.integer('pairs', 1000), flags.number('scale', { above: 0, most: 1 })];
  const whole = only === undefined && !quick && pairs === undefined && scale === undefined;
  return { mode: 'compare', only, quick, pairs, scale, json: flags.text('json'), publish: whole || flags.has('publish') };
}

function loadOptions(flags: Flags): LoadOptions {
  return {
    mode: 'load',
    url: flags.text('url') as string,
    token: flags.text('token'),
    producers: flags.integer('producers', 256) ?? 4,
    rate: flags.number('rate', { above: 0, most: 10_000_000 }) ?? 1000,
    seconds: flags.number('seconds', { above: 0, most: 1_000_000 }) ?? 10,
    table: flags.text('table') ?? 'bench',
    size: flags.integer('size', 1_000_000) ?? 100,
    keys: flags.integer('keys', 100_000_000) ?? 10_000,
  };
}

function knownName(written: string, names: readonly string[], what: string): string {
  if (names.includes(written)) return written;
  throw new UsageError(`there is no ${what} "${written}"${hint(written, names, '')}; there are ${names.join(', ')}`);
}

function hint(written: string, names: readonly string[], prefix: string): string {
  const near = nearest(written, names);
  return near === undefined ? '' : `; did you mean ${prefix}${near}?`;
}
