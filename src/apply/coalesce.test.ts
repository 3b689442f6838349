import { describe, expect, test } from 'vitest';
import { generateSequence, type Change, type ChangeSequence, type Kinds, type Mood } from '../../test/support/change-sequences.ts';
import { ModelTable, shapeOf } from '../../test/support/model-database.ts';
import { SeededRandom } from '../../test/support/seeded-random.ts';
import { OPS, type Op, type Row } from '../core/change.ts';
import type { WriteGroup } from '../sinks/sink.ts';
import { coalesce, FOLDS, type CoalesceInput, type Folds } from './coalesce.ts';

const CASES = 120_000;
const MOODS: readonly Mood[] = ['clean', 'one in ten fails', 'one in ten fails', 'anything'];

describe('against changes applied one by one', () => {
  test('whatever succeeds gives the same state and hides no failure, and whatever can succeed does', () => {
    const seen = new Census();
    for (let seed = 0; seed < CASES; seed++) {
      const sequence = generateSequence(new SeededRandom(seed), MOODS[seed % MOODS.length] as Mood);
      const groups = coalesce(inputOf(sequence.changes), { history: false });
      const complaint = judge(sequence, groups);
      if (complaint !== undefined) throw new Error(`seed ${seed}: ${complaint}\n${describeCase(sequence, groups)}`);
      seen.count(sequence, groups);
    }
    seen.expectVariety();
  }, 40_000);

  test.each<[string, Folds]>([
    ['insert, delete → delete', { ...FOLDS, insert: { ...FOLDS.insert, delete: 'replace' } }],
    ['insert, insert → insert', { ...FOLDS, insert: { ...FOLDS.insert, insert: 'merge' } }],
    ['insert, update → insert, though the first lacks columns', { ...FOLDS, insert: { ...FOLDS.insert, update: 'merge' } }],
    ['insert, upsert → insert, though the first lacks columns', { ...FOLDS, insert: { ...FOLDS.insert, upsert: 'merge' } }],
    ['update, delete → delete', { ...FOLDS, update: { ...FOLDS.update, delete: 'replace' } }],
    ['update, insert → update', { ...FOLDS, update: { ...FOLDS.update, insert: 'merge' } }],
    ['update, upsert → upsert', { ...FOLDS, update: { ...FOLDS.update, upsert: 'replace' } }],
    ['upsert, insert → upsert', { ...FOLDS, upsert: { ...FOLDS.upsert, insert: 'merge' } }],
    ['upsert, delete → delete, though the first lacks columns', { ...FOLDS, upsert: { ...FOLDS.upsert, delete: 'replace' } }],
    ['upsert, update → upsert, though the first lacks columns', { ...FOLDS, upsert: { ...FOLDS.upsert, update: 'merge' } }],
    ['upsert, upsert → upsert, though the first lacks columns', { ...FOLDS, upsert: { ...FOLDS.upsert, upsert: 'merge' } }],
    ['upsert, upsert → the second', { ...FOLDS, upsert: { ...FOLDS.upsert, upsert: 'replace' } }],
    ['delete, upsert → upsert', { ...FOLDS, delete: { ...FOLDS.delete, upsert: 'replace' } }],
    ['delete, insert → insert', { ...FOLDS, delete: { ...FOLDS.delete, insert: 'replace' } }],
    ['delete, update → update', { ...FOLDS, delete: { ...FOLDS.delete, update: 'replace' } }],
  ])('the same check catches the wrong fold %s', (_, folds) => {
    expect(firstComplaint('mixed', (input) => coalesce(input, { history: false }, folds))).toBeDefined();
  });

  test('the same check catches tables that call themselves independent and are not', () => {
    expect(firstComplaint('lying', (input) => coalesce(input, { history: false }))).toBeDefined();
  });

  test('the same check catches groups in the wrong order', () => {
    expect(firstComplaint('mixed', (input) => coalesce(input, { history: false }).reverse())).toBeDefined();
  });
});

describe('single cases', () => {
  const cities = new ModelTable({
    name: 'cities',
    key: ['id'],
    columns: [
      { name: 'name', fallback: undefined },
      { name: 'people', fallback: null },
    ],
    independent: true,
    ignoresCase: false,
  });
  const change = (op: Op, columns: readonly string[], ...row: Row): Change => ({ shape: shapeOf(cities, op, 1, columns), row });
  const full = ['id', 'name', 'people'];
  const people = ['id', 'people'];
  const run = (...changes: Change[]) => brief(coalesce(inputOf(changes), { history: false }));

  test.each<[string, Change[], string[]]>([
    [
      'upserts of one key become one',
      [change('upsert', full, 1, 'a', 5), change('upsert', full, 1, 'b', 6)],
      ['upsert id,name,people: 1 b 6'],
    ],
    ['so do upserts of the same few columns', [change('upsert', people, 1, 5), change('upsert', people, 1, 6)], ['upsert id,people: 1 6']],
    [
      'an upsert takes in an update',
      [change('upsert', ['id', 'name'], 1, 'a'), change('update', people, 1, 9)],
      ['upsert id,name,people: 1 a 9'],
    ],
    ['an insert takes in an update', [change('insert', full, 1, 'a', 5), change('update', people, 1, 9)], ['insert id,name,people: 1 a 9']],
    ['an insert takes in an upsert', [change('insert', full, 1, 'a', 5), change('upsert', people, 1, 9)], ['insert id,name,people: 1 a 9']],
    [
      'an update takes in an upsert',
      [change('update', people, 1, 5), change('upsert', ['id', 'name'], 1, 'b')],
      ['update id,name,people: 1 b 5'],
    ],
    ['updates become one', [change('update', people, 1, 5), change('update', ['id', 'name'], 1, 'b')], ['update id,name,people: 1 b 5']],
    ['a delete replaces an upsert', [change('upsert', full, 1, 'a', 5), change('delete', ['id'], 1)], ['delete id: 1']],
    ['deletes become one', [change('delete', ['id'], 1), change('delete', ['id'], 1)], ['delete id: 1']],
    [
      'a delete does not hide an insert',
      [change('insert', full, 1, 'a', 5), change('delete', ['id'], 1)],
      ['insert id,name,people: 1 a 5', 'delete id: 1'],
    ],
    [
      'a key change stays two steps',
      [change('delete', ['id'], 1), change('insert', full, 1, 'a', 5)],
      ['delete id: 1', 'insert id,name,people: 1 a 5'],
    ],
    [
      'columns in another order are the same columns',
      [change('upsert', full, 1, 'a', 5), change('upsert', ['id', 'people', 'name'], 1, 6, 'b')],
      ['upsert id,name,people: 1 b 6'],
    ],
    [
      'a row that would be too large together stays apart',
      [change('update', ['id', 'name'], 1, 'nine char'), change('update', people, 1, 'nine char')],
      ['update id,name: 1 nine char', 'update id,people: 1 nine char'],
    ],
  ])('%s', (_, changes, expected) => {
    expect(run(...changes)).toEqual(expected);
  });

  test.each([[[10, 9, -1, 100, -20]], [[10, 9, 2 ** 53 - 1, 100, -(2 ** 53) + 1]]])('integers are written in numeric order: %j', (keys) => {
    const groups = coalesce(inputOf(keys.map((key) => change('delete', ['id'], key))), { history: false });
    expect(groups.flatMap(({ rows }) => rows.map(([key]) => key))).toEqual(keys.toSorted((a, b) => a - b));
  });

  test('texts are written in one order too', () => {
    const groups = coalesce(inputOf(['b', 'c', 'a'].map((key) => change('delete', ['id'], key))), { history: false });
    expect(groups.flatMap(({ rows }) => rows.map(([key]) => key))).toEqual(['a', 'b', 'c']);
  });

  test('a sink that keeps history gets every change in its place', () => {
    const changes = [
      change('upsert', full, 2, 'a', 5),
      change('upsert', full, 1, 'b', 6),
      change('upsert', full, 2, 'c', 7),
      change('delete', ['id'], 2),
    ];
    expect(brief(coalesce(inputOf(changes), { history: true }))).toEqual(['upsert id,name,people: 2 a 5; 1 b 6; 2 c 7', 'delete id: 2']);
  });

  test('no changes give no groups', () => {
    expect(coalesce([{ shape: shapeOf(cities, 'delete', 1, ['id']), rows: [] }], { history: false })).toEqual([]);
  });

  test('100,000 rows of distinct keys become one group in the order of their keys', ({ annotate }) => {
    const shape = shapeOf(cities, 'upsert', 1, full);
    const input = Array.from({ length: 100 }, (_, i) => ({
      shape,
      rows: Array.from({ length: 1000 }, (__, j) => [((i * 1000 + j) * 7919) % 1_000_003, 'a', j]),
    }));
    const startedMs = performance.now();
    const groups = coalesce(input, { history: false });
    const tookMs = performance.now() - startedMs;
    expect(groups.map(({ rows }) => rows.length)).toEqual([100_000]);
    expect(groups[0]?.rows.every(([key], i, rows) => i === 0 || Number(rows[i - 1]?.[0]) < Number(key))).toBe(true);
    return annotate(`${Math.round(100_000 / tookMs)} rows/ms`);
  });
});

/** What is wrong with `groups` as a stand-in for the changes one by one; undefined when nothing is. */
function judge({ database, changes }: ChangeSequence, groups: readonly WriteGroup[]): string | undefined {
  const oneByOne = database.copy();
  const deadLetters = changes.filter(({ shape, row }) => oneByOne.apply(shape, row) !== undefined).length;
  for (const { shape, rows } of groups) {
    if (rows.length === 0) return 'a group is empty';
    if (new Set(rows.map((row) => shape.keyOf(row))).size !== rows.length) return 'a group holds a key twice';
    if (rows.some((row) => row.length !== shape.columns.length || shape.check(row) !== undefined))
      return 'a group holds a row that is not of its shape';
  }
  const together = database.copy();
  const succeeded = groups.every(({ shape, rows }) => rows.every((row) => together.apply(shape, row) === undefined));
  if (!succeeded) return deadLetters === 0 ? 'the groups fail where no change does' : undefined;
  if (deadLetters > 0) return `${deadLetters} failures are hidden`;
  return together.dump() === oneByOne.dump() ? undefined : 'the state differs';
}

function firstComplaint(kinds: Kinds, run: (input: readonly CoalesceInput[]) => WriteGroup[]): string | undefined {
  for (let seed = 0; seed < CASES; seed++) {
    const sequence = generateSequence(new SeededRandom(seed), MOODS[seed % MOODS.length] as Mood, kinds);
    const complaint = judge(sequence, run(inputOf(sequence.changes)));
    if (complaint !== undefined) return complaint;
  }
  return undefined;
}

/** Neighbours of one shape as one group, as batches have them. */
function inputOf(changes: readonly Change[]): CoalesceInput[] {
  const input: { shape: Change['shape']; rows: Row[] }[] = [];
  for (const { shape, row } of changes) {
    const last = input.at(-1);
    // Not always: neighbours may come from two batches.
    if (last?.shape === shape && input.length % 3 !== 0) last.rows.push(row);
    else input.push({ shape, rows: [row] });
  }
  return input;
}

function brief(groups: readonly WriteGroup[]): string[] {
  return groups.map(({ shape, rows }) => `${shape.op} ${shape.columns.join()}: ${rows.map((row) => row.map(String).join(' ')).join('; ')}`);
}

function describeCase({ tables, database, changes }: ChangeSequence, groups: readonly WriteGroup[]): string {
  const lines = (title: string, rows: readonly string[]) => [title, ...rows.map((row) => `  ${row}`)];
  return [
    ...lines(
      'tables',
      tables.map(({ schema }) => JSON.stringify(schema)),
    ),
    ...lines('before', [database.dump()]),
    ...lines(
      'changes',
      changes.map(({ shape, row }) => `${shape.table.name} ${shape.op} ${shape.columns.join()}: ${row.map(String).join(' ')}`),
    ),
    ...lines(
      'groups',
      groups.map((group, i) => `${group.shape.table.name} ${brief(groups)[i]}`),
    ),
  ].join('\n');
}

/** Counts what the generated cases contain, so that the property above cannot pass for want of cases. */
class Census {
  readonly #cases = new Map<string, number>();

  count({ database, changes }: ChangeSequence, groups: readonly WriteGroup[]): void {
    const now = database.copy();
    const failed = changes.filter(({ shape, row }) => now.apply(shape, row) !== undefined).length;
    const written = groups.reduce((sum, { rows }) => sum + rows.length, 0);
    this.#add(failed === 0 ? 'clean' : failed === 1 ? 'one failure' : 'several failures');
    if (written < changes.length) this.#add(failed === 0 ? 'folded and clean' : 'folded with failures');
    if (changes.some(({ shape }) => !shape.table.independent)) this.#add('with ordered tables');
    if (new Set(changes.map(({ shape }) => shape.table)).size > 1) this.#add('several tables');
    if (changes.some(({ shape }) => shape.columns[0] !== shape.table.key[0])) this.#add('key in another order');
    if (changes.some(({ shape, row }, i) => shape.op === 'delete' && isMove(row, changes[i + 1]))) this.#add('key change');
    const before = new Map<string, Op>();
    const pairs = new Set<string>();
    for (const { shape, row } of changes) {
      if (!shape.table.independent) continue;
      const key = `${shape.table.name} ${shape.keyOf(row)}`;
      const first = before.get(key);
      if (first !== undefined) pairs.add(`${first}, ${shape.op}${failed === 0 ? ' clean' : ''}`);
      before.set(key, shape.op);
    }
    for (const pair of pairs) this.#add(pair);
  }

  expectVariety(): void {
    const common = [
      'clean',
      'one failure',
      'several failures',
      'folded and clean',
      'folded with failures',
      'with ordered tables',
      'several tables',
    ];
    for (const kind of common) expect(this.#cases.get(kind), kind).toBeGreaterThan(CASES / 10);
    for (const kind of ['key in another order', 'key change']) expect(this.#cases.get(kind), kind).toBeGreaterThan(CASES / 100);
    for (const first of OPS) {
      for (const second of OPS) expect(this.#cases.get(`${first}, ${second}`), `${first}, ${second}`).toBeGreaterThan(CASES / 100);
      for (const second of OPS.filter((op) => FOLDS[first]?.[op])) {
        expect(this.#cases.get(`${first}, ${second} clean`), `${first}, ${second} clean`).toBeGreaterThan(CASES / 100);
      }
    }
  }

  #add(kind: string): void {
    this.#cases.set(kind, (this.#cases.get(kind) ?? 0) + 1);
  }
}

function isMove(row: Row, next: Change | undefined): boolean {
  return next?.shape.op === 'insert' && next.shape.keyOf(next.row) !== next.shape.keyOf(row);
}
