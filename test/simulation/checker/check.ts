import type { Ledger, LedgerBatch } from './ledger.ts';
import { keyOf, Model, type ModelTable } from './model.ts';
import { hex, lettersOf, type SinkView, watermarksOf } from './sink-view.ts';

/** What was sent into the system and what came out of it. */
export interface Outcome {
  readonly ledgers: readonly Ledger[];
  readonly sink: SinkView;
  /** Tables that the clients write. No two clients write the same key. */
  readonly tables: readonly ModelTable[];
  /** The tables that are written by `insert` only, whose rows carry their place in the commits. */
  readonly journals: readonly string[];
}

/** At most this many faults are told of one kind. */
const MAX_TOLD = 5;

/**
 * Holds a finished history against what was promised. Sees only what the clients noted and what is in the database:
 * nothing of queue, node or protocol state. Returns what is wrong; empty when nothing is.
 */
export function check(outcome: Outcome): string[] {
  const watermarks = watermarksOf(outcome.sink);
  const letters = new Map<string, Set<number>>();
  for (const { stream, partition, seq, index } of lettersOf(outcome.sink)) {
    const place = `${stream} ${partition} ${seq}`;
    letters.set(place, (letters.get(place) ?? new Set()).add(index));
  }
  const lost = takenBack(outcome, watermarks);
  return [
    ...settlementFaults(outcome, watermarks, lost),
    ...letterFaults(outcome, letters),
    ...stateFaults(outcome, letters, lost),
    ...journalFaults(outcome, lost),
    ...orderFaults(outcome),
    ...regressions(outcome),
  ].slice(0, 20);
}

/** What was applied, told to its client, and undone by a backup that was restored: the one thing that may be missing. */
function takenBack({ ledgers, sink }: Outcome, watermarks: ReadonlyMap<string, number>): ReadonlySet<LedgerBatch> {
  const lost = new Set<LedgerBatch>();
  for (const { batches, applied } of ledgers) {
    for (const batch of [...batches.values()].flat()) {
      if (batch.places.some((place) => isCovered(place, watermarks))) continue;
      if (batch.places.some((place) => isCovered(place, applied) && isCovered(place, sink.takenBack))) lost.add(batch);
    }
  }
  return lost;
}

/** Everything that was made durable is settled, in one stream exactly, and nothing else is. */
function settlementFaults({ ledgers }: Outcome, watermarks: ReadonlyMap<string, number>, lost: ReadonlySet<LedgerBatch>): string[] {
  const faults: string[] = [];
  const sent = new Map<string, number>();
  for (const { client, batches } of ledgers) {
    for (const batch of [...batches.values()].flat()) {
      for (const place of batch.places) {
        const [lane, seq] = laneOf(place);
        sent.set(lane, Math.max(sent.get(lane) ?? 0, seq));
      }
      const count = batch.places.filter((place) => isCovered(place, watermarks)).length;
      if (count === 1 || lost.has(batch)) continue;
      const text = `${client}: ${describe(batch)}`;
      faults.push(count === 0 ? `${text} is missing` : `${text} was applied in ${count} streams`);
    }
  }
  for (const [lane, seq] of watermarks)
    if (seq > (sent.get(lane) ?? 0)) faults.push(`the watermark of ${lane} is ${seq}, only ${sent.get(lane) ?? 0} were sent`);
  return faults.slice(0, MAX_TOLD);
}

/** Every dead letter belongs to something that was sent, and its client was told. */
function letterFaults({ ledgers }: Outcome, letters: ReadonlyMap<string, ReadonlySet<number>>): string[] {
  const faults: string[] = [];
  for (const [place, indexes] of letters) {
    const batch = batchAt(ledgers, place);
    if (batch === undefined) faults.push(`a dead letter of ${place}, which nobody sent`);
    for (const index of indexes)
      if (batch?.rejected.has(index) === false) faults.push(`no client was told of the dead letter ${place} ${index}`);
  }
  return faults.slice(0, MAX_TOLD);
}

/** Dead letters are exactly what a plain model refuses, and the rows are what it is left with. */
function stateFaults(
  { ledgers, tables, sink }: Outcome,
  letters: ReadonlyMap<string, ReadonlySet<number>>,
  lost: ReadonlySet<LedgerBatch>,
): string[] {
  const faults: string[] = [];
  const model = new Model(tables);
  for (const { client, batches } of ledgers) {
    for (const batch of [...batches.values()].flat().filter((each) => !lost.has(each))) {
      const dead = new Set(batch.places.flatMap((place) => [...(letters.get(place) ?? [])]));
      for (const [index, change] of batch.changes.entries()) {
        const expected = !model.apply(change);
        const found = dead.has(index) || dead.has(-1);
        if (expected === found) continue;
        const what = `${client}: change ${index} of ${describe(batch)} (${change.op} ${change.table} ${JSON.stringify(change.values)})`;
        faults.push(found ? `${what} is a dead letter and should have been applied` : `${what} should be a dead letter`);
      }
    }
  }
  for (const table of tables) {
    const { name } = table;
    const expected = model.rows.get(name)!;
    const rows = new Map(sink.rows(name).map((row) => [keyOf(table, row), row]));
    for (const [id, row] of expected) {
      const found = rows.get(id);
      if (found === undefined) faults.push(`${name} ${id} is missing: ${JSON.stringify(row)}`);
      else if (Object.keys(row).some((column) => row[column] !== found[column]))
        faults.push(`${name} ${id} is ${JSON.stringify(found)} and should be ${JSON.stringify(row)}`);
    }
    for (const id of rows.keys()) if (!expected.has(id)) faults.push(`${name} ${id} should not be there`);
  }
  return faults.slice(0, MAX_TOLD);
}

/** Rows of a journal were written once, and those of a partition of a client in the order in which it made them. */
function journalFaults({ ledgers, journals, tables, sink }: Outcome, lost: ReadonlySet<LedgerBatch>): string[] {
  const faults: string[] = [];
  const model = new Model(tables);
  const order = new Map<unknown, { readonly lane: string; readonly at: number }>();
  for (const { client, batches } of ledgers) {
    for (const [partition, list] of batches) {
      for (const [at, batch] of list.entries())
        for (const change of lost.has(batch) ? [] : batch.changes) {
          const accepted = journals.includes(change.table) && model.apply(change);
          if (accepted) order.set(`${change.table} ${String(change.values['id'])}`, { lane: `${client} ${partition}`, at });
        }
    }
  }
  const seen = new Set<string>();
  const last = new Map<string, CommitOrder>();
  for (const { commit, table, op, row } of sink.effects) {
    if (!journals.includes(table)) continue;
    const id = `${table} ${String(row?.['id'])}`;
    if (op !== 'insert' || seen.has(id)) faults.push(`${id} took effect more than once (${op})`);
    seen.add(id);
    const place = order.get(id);
    if (place === undefined) faults.push(`${id} took effect and nobody sent it`);
    if (place === undefined) continue;
    const lane = last.get(place.lane) ?? new CommitOrder();
    last.set(place.lane, lane);
    if (!lane.follows(commit, place.at)) faults.push(`${id} took effect after something later of ${place.lane}`);
  }
  return faults.slice(0, MAX_TOLD);
}

/** The order of commits; within one, rows are written in any order. */
class CommitOrder {
  #commit = 0;
  #highest = 0;
  #highestBefore = 0;

  follows(commit: number, at: number): boolean {
    if (commit !== this.#commit) this.#highestBefore = this.#highest;
    this.#commit = commit;
    this.#highest = Math.max(this.#highest, at);
    return at >= this.#highestBefore;
  }
}

/** Versions of a row never go back: `n` grows with every change that a client makes. */
function orderFaults({ journals, sink, tables }: Outcome): string[] {
  const faults: string[] = [];
  const last = new Map<string, number>();
  const versioned = new Map(tables.filter(({ name }) => !journals.includes(name)).map((table) => [table.name, table]));
  for (const { table, row } of sink.effects) {
    const its = versioned.get(table);
    if (its === undefined || row === undefined) continue;
    const id = `${table} ${keyOf(its, row)}`;
    const n = Number(row['n']);
    if (n < (last.get(id) ?? 0)) faults.push(`${id}: n ${n} took effect after ${last.get(id)}`);
    last.set(id, Math.max(n, last.get(id) ?? 0));
  }
  return faults.slice(0, MAX_TOLD);
}

/** Watermarks never move back. They vanish only with their stream, which then is over for ever. */
function regressions({ sink }: Outcome): string[] {
  const faults: string[] = [];
  const last = new Map<string, number>();
  const ended = new Set<string>();
  for (const { table, before, row } of sink.effects) {
    if (table === 'syncline_stream' && row !== undefined && row['expired_at'] !== null) ended.add(hex(row['stream']));
    if (table !== 'syncline_watermark') continue;
    const stream = hex((row ?? before)!['stream']);
    if (row === undefined) {
      if (!ended.has(stream)) faults.push(`a watermark of ${stream} was deleted`);
      continue;
    }
    if (ended.has(stream)) faults.push(`a watermark of ${stream} moved after the stream was ended`);
    const lane = `${hex(row['stream'])} ${Number(row['part'])}`;
    const seq = Number(row['seq']);
    if (seq < (last.get(lane) ?? 0)) faults.push(`the watermark of ${lane} moved back to ${seq} from ${last.get(lane)}`);
    last.set(lane, seq);
  }
  return faults.slice(0, MAX_TOLD);
}

function isCovered(place: string, watermarks: ReadonlyMap<string, number>): boolean {
  const [lane, seq] = laneOf(place);
  return seq <= (watermarks.get(lane) ?? 0);
}

function laneOf(place: string): [lane: string, seq: number] {
  const cut = place.lastIndexOf(' ');
  return [place.slice(0, cut), Number(place.slice(cut + 1))];
}

function batchAt(ledgers: readonly Ledger[], place: string): LedgerBatch | undefined {
  return ledgers.map(({ byPlace }) => byPlace.get(place)).find((batch) => batch !== undefined);
}

function describe({ places, partition }: LedgerBatch): string {
  return `batch ${places.join(', ')} of partition ${partition}`;
}
