import { describe, expect, test } from 'vitest';
import { audit, type ChangedRow, type Contents, type Effect, type Place } from './audit.ts';
import type { Finding } from './findings.ts';
import type { ClientHistory } from './history.ts';
import { journalPartition, padOf, stepsOf } from './workload.ts';

const SEED = 7;
const STEPS = 300;
const PARTITIONS = 16;
const TABLE = 'chaos_syncline_test_journal';

type Mutable<T> = { -readonly [K in keyof T]: T[K] extends readonly (infer E)[] ? E[] : T[K] };

/** What a database holds to which the first `count` steps of each client were applied, one after the other. */
function applied(clients: readonly number[], count: number): Mutable<Contents> & { log: Effect[] } {
  const contents = {
    journal: [] as Place[],
    journalTable: TABLE,
    item: [] as ChangedRow[],
    state: [] as ChangedRow[],
    strict: [] as Place[],
    log: [] as Effect[],
    letters: [] as Contents['letters'][number][],
    partitions: PARTITIONS,
  };
  for (const client of clients) {
    const rows = new Map<number, ChangedRow>();
    const steps = stepsOf(SEED, client, 1);
    for (let i = 0; i < count; i++) {
      const { n, id, op, strict } = steps.next().value;
      const place = { client, life: 1, n };
      contents.journal.push(place);
      const before = rows.get(id);
      if (op === 'delete') rows.delete(id);
      else rows.set(id, { ...place, id, pad: op === 'update' ? (before?.pad ?? null) : padOf(n) });
      contents.log.push({
        ...place,
        id,
        n: op === 'delete' ? (before?.n ?? 0) : n,
        op: op === 'delete' ? 'D' : before === undefined ? 'I' : 'U',
      });
      if (strict === 'good') contents.strict.push(place);
      else if (strict !== undefined) contents.letters.push({ table: 'strict', place, code: 'check_failed', message: 'refused' });
    }
    contents.item.push(...rows.values());
    contents.state.push(...rows.values());
  }
  return contents;
}

/** A client that made sure of `kept` steps of its first life, and had begun `begun`. */
function history(client: number, kept: number, begun = kept): ClientHistory {
  const refused = new Set<string>();
  const steps = stepsOf(SEED, client, 1);
  for (let n = 1; n <= kept; n++) {
    const { strict } = steps.next().value;
    if (strict !== undefined && strict !== 'good') refused.add(`1 ${n}`);
  }
  return { client, lives: new Map([[1, { begun, kept, applied: kept, blocks: [[1, 0]] }]]), refused, complaints: [], notes: [] };
}

const histories = [history(1, STEPS), history(2, STEPS)];

function kinds(findings: readonly Finding[]): string[] {
  return [...new Set(findings.map(({ kind }) => kind))];
}

/** What is found after `damage`. */
function after(damage: (contents: ReturnType<typeof applied>) => void, told = histories): Finding[] {
  const contents = applied([1, 2], STEPS);
  damage(contents);
  return audit(SEED, told, contents);
}

/** The last row whose newest change inserted, upserted or updated it, and that is still there. */
const someRow = (rows: readonly ChangedRow[]) => rows[0] as ChangedRow;

describe('the audit of a chaos run finds nothing wrong', () => {
  test('when every step took effect once and in order', () => {
    expect(audit(SEED, histories, applied([1, 2], STEPS))).toEqual([]);
  });

  test('without triggers', () => {
    expect(audit(SEED, histories, { ...applied([1, 2], STEPS), log: undefined })).toEqual([]);
  });

  test('with steps that a client had begun and not made sure of, whether or not they are there', () => {
    const killed = [history(1, 200, STEPS)];
    // It was told of those of them that were refused.
    expect(audit(SEED, killed, applied([1], 250))).toEqual([]);
    expect(audit(SEED, killed, applied([1], 200))).toEqual([]);
    expect(audit(SEED, killed, applied([1], STEPS))).toEqual([]);
  });

  test('with rows of different partitions that overtook each other', () => {
    const contents = applied([1], STEPS);
    const lane = ({ client, life, n }: Place) => journalPartition(TABLE, client, life, n, PARTITIONS);
    contents.journal.sort((a, b) => lane(a) - lane(b) || a.n - b.n);
    expect(audit(SEED, [history(1, STEPS)], contents)).toEqual([]);
  });
});

describe('the audit of a chaos run finds', () => {
  test('a row of the journal that is gone', () => {
    const findings = after(({ journal }) => journal.splice(41, 1));
    expect(findings).toEqual([
      { kind: 'lost', text: 'journal: client 1, life 1, step 42 is missing', place: { client: 1, life: 1, n: 42 } },
    ]);
  });

  test('a row of the journal that is there twice', () => {
    expect(kinds(after(({ journal }) => journal.push(journal.at(-1) as Place)))).toEqual(['duplicated']);
  });

  test('a row that was inserted when it was there already', () => {
    const place = { client: 1, life: 1, n: 5 };
    const findings = after(({ letters }) => letters.push({ table: 'journal', place, code: 'duplicate_key', message: 'exists' }));
    expect(findings.map(({ kind, text }) => `${kind}: ${text}`)).toEqual([
      'duplicated: journal: client 1, life 1, step 5 was applied when its row was already there',
    ]);
  });

  test('two rows of a partition in the wrong order', () => {
    const lane = ({ client, life, n }: Place) => journalPartition(TABLE, client, life, n, PARTITIONS);
    const findings = after(({ journal }) => {
      const first = journal[0] as Place;
      const other = journal.findIndex((place, i) => i > 0 && place.client === first.client && lane(place) === lane(first));
      [journal[0], journal[other]] = [journal[other] as Place, first];
    });
    expect(kinds(findings)).toEqual(['out of order']);
  });

  test('a row that nobody sent', () => {
    expect(kinds(after(({ journal }) => journal.push({ client: 1, life: 1, n: STEPS + 1 })))).toEqual(['unexplained']);
    expect(kinds(after(({ journal }) => journal.push({ client: 3, life: 1, n: 1 })))).toEqual(['unexplained']);
    expect(kinds(after(({ strict }) => strict.push({ client: 1, life: 1, n: 2 })))).toEqual(['unexplained']);
    expect(kinds(after(({ state }) => state.push({ client: 1, life: 1, n: 2, id: 999, pad: '' })))).toEqual(['unexplained']);
  });

  test.each(['item', 'state'] as const)('a row of %s that is gone', (table) => {
    expect(kinds(after((contents) => contents[table].shift()))).toEqual(['lost']);
  });

  test.each(['item', 'state'] as const)('a row of %s with other content than was sent', (table) => {
    const findings = after((contents) => (contents[table][0] = { ...someRow(contents[table]), pad: 'changed by hand' }));
    expect(kinds(findings)).toEqual(['unexplained']);
  });

  test('a row that holds an older step: a change of it is missing', () => {
    const contents = applied([1], STEPS);
    const row = contents.state.find(({ id, n }) => contents.log.some((one) => one.id === id && one.op !== 'D' && one.n < n)) as ChangedRow;
    const older = contents.log.findLast(({ id, op, n }) => id === row.id && op !== 'D' && n < row.n) as Effect;
    contents.state[contents.state.indexOf(row)] = { ...row, n: older.n, pad: padOf(older.n) };
    expect(kinds(audit(SEED, [history(1, STEPS)], contents))).toEqual(['lost']);
  });

  test('a row that had been deleted', () => {
    const contents = applied([1], STEPS);
    const deleted = contents.log.find(({ id, op }) => op === 'D' && contents.state.every((row) => row.id !== id)) as Effect;
    contents.state.push({ client: 1, life: 1, id: deleted.id, n: deleted.n, pad: padOf(deleted.n) });
    const findings = audit(SEED, [history(1, STEPS)], contents);
    expect(findings.map(({ kind, text }) => [kind, text.replace(/\d+$|row \d+|step \d+/g, '_')])).toEqual([
      ['lost', 'state: _ of client 1, life 1 is there, _ had deleted it'],
    ]);
  });

  test('a change that took effect twice', () => {
    expect(kinds(after(({ log }) => log.push(log.at(-1) as Effect)))).toEqual(['duplicated']);
  });

  test('a change that never took effect', () => {
    expect(kinds(after(({ log }) => log.splice(100, 1)))).toEqual(['lost']);
  });

  test('two changes of a row in the wrong order', () => {
    const findings = after(({ log }) => {
      const first = log[0] as Effect;
      const next = log.findIndex(({ client, id }, i) => i > 0 && client === first.client && id === first.id);
      [log[0], log[next]] = [log[next] as Effect, first];
    });
    expect(kinds(findings)).toEqual(['out of order']);
  });

  test('a later change without the one before it, although the client had made sure of neither', () => {
    const contents = applied([1], STEPS);
    const row = contents.log.at(-1) as Effect;
    const before = contents.log.findLastIndex(({ id }, i) => id === row.id && i < STEPS - 1);
    contents.log.splice(before, 1);
    expect(kinds(audit(SEED, [history(1, 0, STEPS)], contents))).toEqual(['lost']);
  });

  test('a refused row that is there', () => {
    const findings = after(({ strict, letters }) => strict.push(letters[0]?.place as Place));
    expect(kinds(findings)).toEqual(['refused but applied']);
  });

  test('a refused row that is no dead letter, or twice one, or that its client was not told of', () => {
    expect(kinds(after(({ letters }) => letters.shift()))).toEqual(['lost']);
    expect(kinds(after(({ letters }) => letters.push(letters[0] as Contents['letters'][number])))).toEqual(['duplicated']);
    expect(kinds(after(() => {}, [{ ...history(1, STEPS), refused: new Set() }, history(2, STEPS)]))).toEqual(['lost']);
  });

  test('a dead letter of a change that nothing is wrong with', () => {
    const letter = { table: 'item', place: undefined, code: 'too_long', message: 'pad' } as const;
    expect(kinds(after(({ letters }) => letters.push(letter)))).toEqual(['other']);
  });

  test('what a client complained about', () => {
    const findings = after(() => {}, [{ ...history(1, STEPS), complaints: ['stopped'] }, history(2, STEPS)]);
    expect(findings).toEqual([{ kind: 'other', text: 'client 1: stopped', place: undefined }]);
  });
});
