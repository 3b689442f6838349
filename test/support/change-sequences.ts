import { OPS, type Op, type Row, type Value } from '../../src/core/change.ts';
import type { Shape } from '../../src/sinks/sink.ts';
import { ModelDatabase, ModelTable, shapeOf, type ModelColumn } from './model-database.ts';
import type { SeededRandom } from './seeded-random.ts';

/** A generated schema with rows in it, and changes to it in their order. */
export interface ChangeSequence {
  readonly tables: readonly ModelTable[];
  readonly database: ModelDatabase;
  readonly changes: readonly Change[];
}

export interface Change {
  readonly shape: Shape;
  readonly row: Row;
}

/** How many of the changes would fail: none, now and then one, or whatever comes. */
export type Mood = 'clean' | 'one in ten fails' | 'anything';

const KEYS = 4;
const MAX_CHANGES = 12;

/** What the tables of a sequence are: `lying` ones have a unique column or a foreign key and call themselves independent. */
export type Kinds = 'mixed' | 'lying';

export function generateSequence(random: SeededRandom, mood: Mood, kinds: Kinds = 'mixed'): ChangeSequence {
  const tables = generateTables(random, kinds);
  const database = new ModelDatabase(tables);
  for (const table of tables) {
    for (let key = 0; key < KEYS; key++)
      if (random.chance(0.5)) applyTo(database, generateChange(random, table, 'upsert', key, 'all columns'));
  }
  // The changes are tried one after the other on a copy, to know which of them would fail.
  const now = database.copy();
  const changes: Change[] = [];
  const wanted = 1 + random.below(MAX_CHANGES);
  for (let attempt = 0; attempt < 4 * wanted && changes.length < wanted; attempt++) {
    for (const change of random.chance(0.1) ? generateMove(random, now, tables) : [generateAny(random, tables)]) {
      if (change.shape.check(change.row) !== undefined) continue;
      const mayFail = mood === 'anything' || (mood === 'one in ten fails' && random.chance(0.1));
      if (applyTo(now, change) === undefined || mayFail) changes.push(change);
    }
  }
  return { tables, database, changes };
}

function applyTo(database: ModelDatabase, { shape, row }: Change) {
  return database.apply(shape, row);
}

function generateTables(random: SeededRandom, kinds: Kinds): ModelTable[] {
  const tables: ModelTable[] = [];
  const count = 1 + random.below(3);
  for (let i = 0; i < count; i++) {
    const parent = tables.find(({ key, schema }) => key.length === 1 && !schema.ignoresCase);
    const roll = random.fraction();
    const refers = parent !== undefined && roll < 0.4;
    const unique = kinds === 'lying' ? !refers : roll > 0.4 && roll < 0.6;
    const columns: ModelColumn[] = [];
    for (let c = refers || unique ? 1 : 0; c < 4; c++) {
      const name = `c${c}`;
      columns.push(
        random.pick([
          { name, fallback: null },
          { name, fallback: 7 },
          { name, fallback: undefined },
        ]),
      );
    }
    if (refers || unique) columns.unshift({ name: 'special', fallback: null });
    tables.push(
      new ModelTable({
        name: `t${i}`,
        key: random.chance(0.25) ? ['a', 'b'] : ['id'],
        columns,
        ...(unique ? { unique: 'special' } : {}),
        ...(refers ? { reference: { column: 'special', table: parent.name, onDelete: random.pick(['restrict', 'cascade']) } } : {}),
        independent: kinds === 'lying' || !(refers || unique),
        ignoresCase: random.chance(0.2),
      }),
    );
  }
  if (kinds === 'lying') return tables;
  // A table that others refer to is not independent either.
  const referred = new Set(tables.map(({ schema }) => schema.reference?.table));
  return tables.map((table) => (referred.has(table.name) ? new ModelTable({ ...table.schema, independent: false }) : table));
}

function generateAny(random: SeededRandom, tables: readonly ModelTable[]): Change {
  return generateChange(
    random,
    random.pick(tables),
    random.pick(OPS),
    random.below(KEYS),
    random.chance(0.4) ? 'all columns' : 'some columns',
  );
}

/** A change of key: the row's delete and its insert under another key. */
function generateMove(random: SeededRandom, database: ModelDatabase, tables: readonly ModelTable[]): Change[] {
  const table = random.pick(tables);
  const from = generateKey(random, table, random.below(KEYS));
  const row = database.row(table, from);
  if (row === undefined) return [];
  const to = generateKey(random, table, random.below(KEYS));
  return [
    { shape: shapeOf(table, 'delete', from.length, table.key), row: from },
    { shape: shapeOf(table, 'insert', to.length, table.columns), row: [...to, ...row.slice(to.length)] },
  ];
}

function generateChange(random: SeededRandom, table: ModelTable, op: Op, key: number, which: 'all columns' | 'some columns'): Change {
  const named = table.schema.columns.filter(() => which === 'all columns' || random.chance(0.5)).map(({ name }) => name);
  if (random.chance(0.3)) named.reverse();
  const columns = op === 'delete' ? [] : named;
  const keyValues = generateKey(random, table, key);
  // Now and then the key's columns come in another order.
  const keyOrder =
    table.key.length > 1 && random.chance(0.05) ? table.key.map((_, i) => table.key.length - 1 - i) : table.key.map((_, i) => i);
  return {
    shape: shapeOf(table, op, table.key.length, [...keyOrder.map((i) => table.key[i] as string), ...columns]),
    row: [...keyOrder.map((i) => keyValues[i] as Value), ...columns.map((column) => generateValue(random, column))],
  };
}

function generateKey(random: SeededRandom, table: ModelTable, key: number): Value[] {
  if (table.schema.ignoresCase) return table.key.map((_, i) => random.pick(['abcd', 'ABCD']).charAt((key + i) % KEYS));
  return table.key.length === 1 ? [key] : [key >> 1, key & 1];
}

function generateValue(random: SeededRandom, column: string): Value {
  if (column === 'special') return random.chance(0.3) ? null : random.below(KEYS);
  // Few values are long: two of them together make a row too large.
  return random.chance(0.1) ? 'x'.repeat(5) : random.below(10);
}
