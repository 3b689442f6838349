import { withoutPassword, type Config } from '../config/config.ts';
import { loadConfig } from '../config/load.ts';
import { Timestamp, type Value } from '../core/change.ts';
import { systemClock } from '../core/clock.ts';
import { SyncError } from '../core/errors.ts';
import { timeText } from '../core/partition.ts';
import { decodeBatch } from '../protocol/batch.ts';
import type { DeadLetterState, Sink, StoredDeadLetter } from '../sinks/sink.ts';
import { EXIT, integerFlag, parseFlags, UsageError, type Command, type Terminal } from './command.ts';
import { recordCommand } from './command-audit.ts';
import { count, printable, printableJson, textTable } from './text.ts';

export const deadLetters: Command = {
  name: 'dead-letters',
  summary: 'list, show, retry or drop changes that could not be applied',
  help,
  run,
};

const LIST_LIMIT = 50;
/** How many `--all` takes at a time, because letters carry their rows. */
const ALL_LIMIT = 10_000;
const STATES: readonly DeadLetterState[] = ['open', 'retried', 'dropped'];

const FLAGS = {
  config: { type: 'string', short: 'c' },
  state: { type: 'string' },
  table: { type: 'string' },
  limit: { type: 'string' },
  all: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
} as const;

type Flags = ReturnType<typeof parseFlags<typeof FLAGS>>['values'];

async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values, positionals } = parseFlags(args, FLAGS);
  const [action, ...rest] = positionals;
  const ids = rest.map(parseId);
  switch (action) {
    case 'list':
      if (ids.length > 0) throw new UsageError('list takes no ids.');
      return withSink(values, terminal, (sink, where) => list(sink, where, values, terminal));
    case 'show':
      if (ids.length !== 1) throw new UsageError('show takes one id.');
      return withSink(values, terminal, (sink) => show(sink, ids[0] as number, terminal));
    case 'retry':
    case 'drop':
      if (values.all === ids.length > 0) throw new UsageError(`${action} takes ids, or --all.`);
      return withSink(values, terminal, async (sink, _, config) => {
        const chosen = values.all ? await openIds(sink, values.table) : ids;
        return action === 'retry' ? retry(sink, chosen, config, terminal) : drop(sink, chosen, config, terminal);
      });
    default:
      throw new UsageError(`say what to do with dead letters: list, show, retry or drop${action === undefined ? '' : `, not ${action}`}.`);
  }
}

function parseId(written: string): number {
  const id = Number(written);
  if (!/^\d+$/.test(written) || !Number.isSafeInteger(id)) throw new UsageError(`${written} is no id of a dead letter, which is a number.`);
  return id;
}

/** `where` is which sink that is, for people. */
type Work = (sink: Sink, where: string, config: Config) => Promise<number>;

/** Opens the sink itself: dead letters can be looked after while no server runs. */
async function withSink(flags: Flags, terminal: Terminal, work: Work): Promise<number> {
  const config = loadConfig({ file: flags.config, env: terminal.env, cwd: terminal.cwd });
  const { openSink } = await import('../sinks/registry.ts');
  const [sinkConfig] = config.sinks;
  const sink = await openSink({ ...sinkConfig, clock: systemClock, folder: config.data });
  try {
    return await work(sink, `${sinkConfig.name} (${withoutPassword(sinkConfig.url)})`, config);
  } finally {
    await sink.close();
  }
}

async function list(sink: Sink, where: string, flags: Flags, terminal: Terminal): Promise<number> {
  const state = flags.state ?? 'open';
  if (state !== 'all' && !STATES.includes(state as DeadLetterState))
    throw new UsageError(`--state is ${STATES.join(', ')} or all, not ${state}.`);
  const limit = integerFlag('limit', flags.limit, LIST_LIMIT, [1, ALL_LIMIT]);
  const letters = await sink.deadLetters.list({
    ...(state === 'all' ? {} : { state: state as DeadLetterState }),
    ...(flags.table === undefined ? {} : { table: flags.table }),
    limit,
  });
  if (flags.json) {
    terminal.out(letters.map((letter) => `${printableJson(summaryOf(letter))}\n`).join(''));
    return EXIT.ok;
  }
  if (letters.length === 0) {
    // Whoever forgot to name the server's sink looks into the embedded one.
    terminal.out(`no dead letters${state === 'all' ? '' : ` that are ${state}`} in sink ${where}\n`);
    return EXIT.ok;
  }
  // Which state they are in is news only where several are listed.
  const withState = <T>(one: T): T[] => (state === 'all' ? [one] : []);
  const rows = letters.map((letter) =>
    [
      String(letter.id),
      ...withState(letter.state),
      when(letter.createdAtMs),
      letter.table,
      letter.op,
      letter.key,
      letter.code,
      letter.message,
    ].map(printable),
  );
  terminal.out(`${textTable(['id', ...withState('state'), 'when', 'table', 'op', 'key', 'code', 'why'], rows)}\n`);
  if (letters.length === limit) terminal.out(`\nthe newest ${count(limit)}; see older ones with --limit\n`);
  return EXIT.ok;
}

async function show(sink: Sink, id: number, terminal: Terminal): Promise<number> {
  const letter = await sink.deadLetters.get(id);
  if (letter === undefined) return missing(id, terminal);
  const lines: [string, string][] = [
    ['id', String(letter.id)],
    ['state', letter.state],
    ['when', when(letter.createdAtMs)],
    ['code', letter.code],
    ['why', letter.message],
    ['table', letter.table],
    ['operation', letter.op],
    ['key', letter.key],
    ['producer', letter.producer],
    ['place', `stream ${letter.stream}, partition ${letter.partition}, batch ${letter.seq}, change ${letter.index}`],
  ];
  terminal.out(`${lines.map(([name, value]) => `${name.padEnd(10)} ${printable(value)}`).join('\n')}\n\n${printableRows(letter)}\n`);
  return EXIT.ok;
}

async function retry(sink: Sink, ids: readonly number[], config: Config, terminal: Terminal): Promise<number> {
  await sink.refreshSchema();
  let applied = 0;
  try {
    for (const id of ids) {
      if (terminal.stop.aborted) break;
      const fault = await sink.deadLetters.retry(id);
      if (fault === undefined) applied++;
      else terminal.err(`${id}: ${printable(fault.message)} [${fault.code}]\n`);
    }
  } finally {
    await recordCommand(config, terminal, 'dead_letters_retried', { ids: ids.map(String), count: ids.length, applied });
  }
  terminal.out(`${count(applied)} applied, ${count(ids.length - applied)} not\n`);
  return applied === ids.length ? EXIT.ok : EXIT.failed;
}

async function drop(sink: Sink, ids: readonly number[], config: Config, terminal: Terminal): Promise<number> {
  const dropped = await sink.deadLetters.drop(ids);
  await recordCommand(config, terminal, 'dead_letters_dropped', { ids: ids.map(String), count: ids.length, dropped });
  terminal.out(`${count(dropped)} dropped${dropped < ids.length ? `, ${count(ids.length - dropped)} were not open` : ''}\n`);
  return dropped === ids.length ? EXIT.ok : EXIT.failed;
}

/** Open letters, oldest first: the order in which the changes were sent. */
async function openIds(sink: Sink, table: string | undefined): Promise<number[]> {
  const letters = await sink.deadLetters.list({ state: 'open', ...(table === undefined ? {} : { table }), limit: ALL_LIMIT });
  return letters.map(({ id }) => id).sort((a, b) => a - b);
}

function missing(id: number, terminal: Terminal): number {
  terminal.err(`syncline: there is no dead letter ${id}; see: syncline dead-letters list --state all\n`);
  return EXIT.failed;
}

function summaryOf({ payload, ...letter }: StoredDeadLetter): object {
  return { ...letter, changes: changesOf(payload) };
}

function printableRows({ payload }: StoredDeadLetter): string {
  return printableJson(changesOf(payload), 2);
}

/** The changes of a letter as plain JSON, or its bytes where they cannot be read. */
function changesOf(payload: Uint8Array): object {
  try {
    return decodeBatch(payload).groups.flatMap(({ table, op, columns, rows }) =>
      rows.map((row) => ({ table, op, row: Object.fromEntries(columns.map((column, i) => [column, plainValue(row[i] as Value)])) })),
    );
  } catch (error) {
    if (!(error instanceof SyncError)) throw error;
    return { unreadable: error.message, base64: Buffer.from(payload).toString('base64') };
  }
}

function plainValue(value: Value): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (value instanceof Timestamp) return timeText(value);
  if (value instanceof Uint8Array) return { base64: Buffer.from(value).toString('base64') };
  if (Array.isArray(value)) return value.map((item: Value) => plainValue(item));
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plainValue(item)]));
  return value;
}

function when(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19).replace('T', ' ')}Z`;
}

function help(): string {
  return `Usage: syncline dead-letters list [--state STATE] [--table TABLE] [--limit N] [--json]
       syncline dead-letters show ID
       syncline dead-letters retry ID… | --all [--table TABLE]
       syncline dead-letters drop ID… | --all [--table TABLE]

Changes that could not be applied are set aside in the sink, with the reason. These commands open the sink of the
configuration itself, also while no server runs.

  list    those of a state (open, retried, dropped or all; without --state open), newest first
  show    one, with its row
  retry   apply them now, as they are: after the table or the data was corrected; what fails again stays open
  drop    give them up; they stay listed as dropped

Options:
  --config, -c FILE   read FILE instead of ./syncline.yaml
  --limit N           how many to list (${LIST_LIMIT})
  --all               every open one, oldest first, ${count(ALL_LIMIT)} at a time
  --json              one JSON object per line, rows included

Exit code: 0 done, 1 some could not be retried or dropped.
`;
}
