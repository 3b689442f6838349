import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { messageOf } from '../../src/core/errors.ts';
import { count, textTable } from '../../src/cli/text.ts';
import { Ledger } from './ledger.ts';
import type { ProofPart } from './part.ts';
import { Proving, type PartState } from './proving.ts';
import { readPublished, writePublished } from './published.ts';
import { withFigures } from './report.ts';
import { settle, tallyOf } from './tally.ts';

/** What the command works on. */
export interface CommandOptions {
  readonly args: readonly string[];
  readonly root: string;
  readonly parts: readonly ProofPart[];
  /** Ends it soon, with what is finished kept. */
  readonly signal: AbortSignal;
  print(line: string): void;
}

const USAGE = `usage: npm run prove -- [--part NAME]... [--count N] [--minutes M] [--dirty]
       npm run prove -- --list | --report

Does what is missing of the full set of proofs for this state of the source, in slices that add up: it may be interrupted
and goes on where it was. Writes docs/reliability.json and the figures of docs/reliability.md when it ends.

  --part NAME   only this part; may come several times
  --count N     at most so many more of each part
  --minutes M   begin nothing new after so many minutes
  --dirty       run what is not committed; nothing is kept
  --list        show how far each part is
  --report      only write the figures
`;

/** `npm run prove`. Resolves with its exit code: 1 when a promise was broken or a part could not be run, 2 for a wrong use. */
export async function prove(options: CommandOptions): Promise<number> {
  const { root, print, signal } = options;
  const flags = readFlags(options.args);
  const parts = options.parts.filter(({ name }) => flags?.part.length === 0 || flags?.part.includes(name));
  if (flags === undefined || flags.part.some((name) => !parts.some((part) => part.name === name))) {
    print(`${USAGE}\nparts: ${options.parts.map(({ name }) => name).join(', ')}`);
    return 2;
  }
  const files = { ledger: new Ledger(join(root, '.prove/ledger.ndjson')), json: join(root, 'docs/reliability.json') };
  const published = readPublished(files.json);
  if (flags.report) {
    report(options, files);
    return 0;
  }
  const { ready, isFailed } = withoutMissing(flags.list ? { parts, print: () => {} } : { parts, print });
  const proving = new Proving({
    root,
    parts: flags.list ? parts : ready,
    published,
    ledger: flags.dirty ? undefined : files.ledger,
    maxCount: flags.count,
    maxMs: flags.minutes * 60_000,
    signal,
    print,
  });
  const before = await proving.states();
  if (flags.list) {
    print(listText(before));
    return 0;
  }
  const uncommitted = new Set(before.flatMap(({ state }) => state.uncommitted));
  if (uncommitted.size > 0 && !flags.dirty) {
    print(
      `not committed, so there is nothing that the counts could belong to: ${[...uncommitted].join(', ')}\n--dirty runs it without counting`,
    );
    return 1;
  }
  await proving.run();
  if (!flags.dirty) report(options, files);
  const after = await proving.states();
  print(listText(after));
  if (isFailed || proving.failed.size > 0 || after.some(({ entries }) => tallyOf(entries).violations.length > 0)) return 1;
  return signal.aborted ? 130 : 0;
}

interface Flags {
  readonly part: readonly string[];
  readonly count: number;
  readonly minutes: number;
  readonly dirty: boolean;
  readonly list: boolean;
  readonly report: boolean;
}

/** Undefined when they make no sense. */
function readFlags(args: readonly string[]): Flags | undefined {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        part: { type: 'string', multiple: true, default: [] },
        count: { type: 'string', default: 'Infinity' },
        minutes: { type: 'string', default: 'Infinity' },
        dirty: { type: 'boolean', default: false },
        list: { type: 'boolean', default: false },
        report: { type: 'boolean', default: false },
      },
    });
    const [count, minutes] = [Number(values.count), Number(values.minutes)];
    return count >= 1 && minutes > 0 ? { ...values, count, minutes } : undefined;
  } catch {
    return undefined;
  }
}

/** Parts whose services are installed; in CI all must be. */
function withoutMissing({ parts, print }: Pick<CommandOptions, 'parts' | 'print'>): { ready: ProofPart[]; isFailed: boolean } {
  let isFailed = false;
  const ready = parts.filter((part) => {
    const reason = whyNot(part);
    if (reason === undefined) return true;
    isFailed ||= process.env['CI'] === 'true';
    print(`${part.name}: skipped, ${reason}`);
    return false;
  });
  return { ready, isFailed };
}

function whyNot(part: ProofPart): string | undefined {
  try {
    return part.missing?.();
  } catch (error) {
    return messageOf(error);
  }
}

/** Writes what is published and what this machine has beside it, and the figures of the page. */
function report({ root, parts }: CommandOptions, { ledger, json }: { readonly ledger: Ledger; readonly json: string }): void {
  const entries = settle(readPublished(json), ledger.read());
  writePublished(json, entries);
  const page = join(root, 'docs/reliability.md');
  if (existsSync(page)) writeFileSync(page, withFigures(readFileSync(page, 'utf8'), entries, parts));
}

function listText(states: readonly PartState[]): string {
  const rows = states.map(({ part, target, entries }) => {
    const { done, violations } = tallyOf(entries);
    return [part.name, count(done), count(target), count(violations.length), part.unit, part.title];
  });
  return textTable(['part', 'done', 'of', 'broken', 'counts', 'what happens'], rows);
}
