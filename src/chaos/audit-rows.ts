import type { ChangedRow, Contents, Letter, LifeModel, Place } from './audit.ts';
import { placeName, type Findings } from './findings.ts';
import { journalPartition, padOf, type Step } from './workload.ts';

type Models = ReadonlyMap<string, LifeModel>;
/** By client, what it was told is refused. */
type Told = ReadonlyMap<number, ReadonlySet<string>>;

/** Holds the rows of `journal`, `item`, `state` and `strict`, and the dead letters, against the models. */
export function auditRows(findings: Findings, models: Models, told: Told, contents: Contents): void {
  auditJournal(findings, models, contents);
  for (const table of ['item', 'state'] as const) auditChanged(findings, models, table, contents[table]);
  auditStrict(findings, models, told, contents);
  for (const letter of contents.letters) if (letter.table !== 'strict') addStray(findings, letter);
}

function auditJournal(findings: Findings, models: Models, { journal, journalTable, partitions }: Contents): void {
  const seen = new Map<string, Set<number>>();
  /** The newest row of each life in each partition, so far. */
  const newest = new Map<string, number>();
  for (const place of journal) {
    const { client, life, n } = place;
    const of = `${client} ${life}`;
    const model = models.get(of);
    if (model === undefined || n < 1 || n > model.steps.length) {
      findings.add('unexplained', `journal: nobody sent ${placeName(place)}`, place);
      continue;
    }
    const known = seen.get(of) ?? new Set<number>();
    seen.set(of, known);
    if (known.has(n)) findings.add('duplicated', `journal: ${placeName(place)} is there twice`, place);
    known.add(n);
    const lane = `${of} ${journalPartition(journalTable, client, life, n, partitions)}`;
    const before = newest.get(lane) ?? 0;
    if (n < before)
      findings.add('out of order', `journal: ${placeName(place)} was applied after step ${before} of the same partition`, place);
    else newest.set(lane, n);
  }
  for (const [of, { client, life, kept }] of models) {
    const known = seen.get(of);
    for (let n = 1; n <= kept; n++) {
      const place = { client, life, n };
      if (known?.has(n) !== true) findings.add('lost', `journal: ${placeName(place)} is missing`, place);
    }
  }
}

/** A row after one of its changes; undefined when it is gone. */
type RowState = { readonly n: number; readonly pad: string } | undefined;

function auditChanged(findings: Findings, models: Models, table: string, rows: readonly ChangedRow[]): void {
  const found = new Map(rows.map((row) => [`${row.client} ${row.life} ${row.id}`, row]));
  for (const model of models.values()) {
    for (const [id, changes] of changesByKey(model.steps)) {
      const key = `${model.client} ${model.life} ${id}`;
      const row = found.get(key);
      found.delete(key);
      auditRow(findings, table, model, id, changes, row);
    }
  }
  for (const row of found.values()) findings.add('unexplained', `${table}: nobody sent row ${row.id} of ${placeName(row)}`, row);
}

function auditRow(
  findings: Findings,
  table: string,
  { client, life, kept }: LifeModel,
  id: number,
  changes: readonly Step[],
  row: ChangedRow | undefined,
): void {
  const states = statesAfter(changes);
  // The state before any change is the first of the possible ones, when the client had made sure of none.
  const sure = changes.findLastIndex(({ n }) => n <= kept);
  const possible: RowState[] = [...(sure < 0 ? [undefined] : []), ...states.slice(Math.max(0, sure))];
  if (possible.some((state) => state?.n === row?.n && (state?.pad ?? null) === (row?.pad ?? null))) return;
  const last = { client, life, n: changes[Math.max(0, sure)]?.n ?? 0 };
  const where = `${table}: row ${id} of client ${client}, life ${life}`;
  if (row === undefined) return findings.add('lost', `${where} is missing, step ${last.n} had written it`, last);
  const at = changes.findIndex(({ n }) => n === row.n);
  if (at < 0) return findings.add('unexplained', `${where} holds step ${row.n}, which did not write it`, row);
  if (at < sure && changes[sure]?.op === 'delete') return findings.add('lost', `${where} is there, step ${last.n} had deleted it`, last);
  if (at < sure) return findings.add('lost', `${where} holds step ${row.n}, step ${last.n} is missing`, last);
  findings.add('unexplained', `${where} holds step ${row.n} with other content than was sent`, row);
}

function statesAfter(changes: readonly Step[]): RowState[] {
  let state: RowState;
  return changes.map(({ n, op }) => {
    // An update leaves the text as it is.
    if (op === 'delete') state = undefined;
    else state = { n, pad: op === 'update' && state !== undefined ? state.pad : padOf(n) };
    return state;
  });
}

/** The changes of each row, in their order. */
export function changesByKey(steps: readonly Step[]): Map<number, Step[]> {
  const result = new Map<number, Step[]>();
  for (const step of steps) {
    const changes = result.get(step.id);
    if (changes === undefined) result.set(step.id, [step]);
    else changes.push(step);
  }
  return result;
}

function auditStrict(findings: Findings, models: Models, told: Told, { strict, letters }: Contents): void {
  const rows = new Set(strict.map(keyOf));
  const letterCounts = new Map<string, number>();
  for (const letter of letters) {
    if (letter.table !== 'strict') continue;
    const { place } = letter;
    const step = place === undefined ? undefined : models.get(`${place.client} ${place.life}`)?.steps[place.n - 1];
    if (place === undefined || step?.strict === undefined || step.strict === 'good') addStray(findings, letter);
    else letterCounts.set(keyOf(place), (letterCounts.get(keyOf(place)) ?? 0) + 1);
  }
  for (const { client, life, kept, steps } of models.values()) {
    for (const { n, strict: kind } of steps) {
      if (kind === undefined) continue;
      const place = { client, life, n };
      const there = rows.delete(keyOf(place));
      if (kind === 'good') {
        if (!there && n <= kept) findings.add('lost', `strict: ${placeName(place)} is missing`, place);
        continue;
      }
      const count = letterCounts.get(keyOf(place)) ?? 0;
      if (there) findings.add('refused but applied', `strict: ${placeName(place)} had to be refused and is there`, place);
      if (count > 1) findings.add('duplicated', `strict: ${placeName(place)} is a dead letter ${count} times`, place);
      if (n > kept) continue;
      if (count === 0) findings.add('lost', `strict: ${placeName(place)} had to be refused and is no dead letter`, place);
      else if (told.get(client)?.has(`${life} ${n}`) !== true)
        findings.add('lost', `strict: ${placeName(place)} was refused and its client was not told`, place);
    }
  }
  for (const place of strict) if (rows.has(keyOf(place))) findings.add('unexplained', `strict: nobody sent ${placeName(place)}`, place);
}

/** A dead letter of a change that nothing is wrong with. */
function addStray(findings: Findings, { table, place, code, message }: Letter): void {
  const what = place === undefined ? 'a change' : placeName(place);
  // Nobody inserts a row of the journal twice, and a row is inserted only where there is none.
  if (code === 'duplicate_key') findings.add('duplicated', `${table}: ${what} was applied when its row was already there`, place);
  else findings.add('other', `${table}: ${what} was refused although nothing is wrong with it: ${message} [${code}]`, place);
}

function keyOf({ client, life, n }: Place): string {
  return `${client} ${life} ${n}`;
}
