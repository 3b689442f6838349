// Hot path: no promise, closure, spread, `try` or log line per change.
import { OPS, type Op, type Row } from '../core/change.ts';
import { isFault, type Shape, type Table, type WriteGroup } from '../sinks/sink.ts';

/** Changes of one shape in their original order; every row has passed `shape.check`. */
export interface CoalesceInput {
  readonly shape: Shape;
  readonly rows: readonly Row[];
}

export interface CoalesceOptions {
  /** The sink keeps every change: nothing is folded or moved. A group may then hold a key more than once. */
  readonly history: boolean;
}

/**
 * How two changes of one key become one. The first row's key stands, as it does in the database.
 * - `merge`: the first operation, with the values of both; the second wins.
 * - `merge if sufficient`: the same, provided that the first alone could create the row, or that the second adds no column.
 * - `replace`: the second alone.
 * - `replace if sufficient`: the same, provided that the first alone could create the row.
 */
export type Fold = 'merge' | 'merge if sufficient' | 'replace' | 'replace if sufficient';

/** By the first operation, then by the second; what is missing is never folded. */
export type Folds = { readonly [first in Op]?: { readonly [second in Op]?: Fold } };

/**
 * The pairs that may be folded, each with the reason. A pair qualifies only if the one change fails whenever either of
 * the two would have failed, so that a failure is never hidden, and otherwise leaves the same row. "Sufficient" says that
 * the columns suffice to insert a row: such an upsert never fails. Rows were checked, so in an independent table nothing
 * else can fail than an insert (the row exists), an update (it is missing) and what creates a row from too few columns.
 */
export const FOLDS: Folds = {
  upsert: {
    // A sufficient first never fails, and after it the row exists, so the second writes its columns over it; columns that
    // neither names keep what they had, or their defaults. Not sufficient: both need the row, and so does the fold as
    // long as it has no more columns than the first.
    upsert: 'merge if sufficient',
    // As above: after the first the row exists, so the update cannot fail unless the first did.
    update: 'merge if sufficient',
    // The first never fails and the delete leaves nothing of it. Not sufficient: the first's failure would be hidden.
    delete: 'replace if sufficient',
  },
  insert: {
    // Fails exactly if the row exists, like the first; after the first the update cannot fail. A first that does not
    // suffice must fail: the update's columns may not help it.
    update: 'merge if sufficient',
    // As above: after the first the row exists, so the upsert only writes its columns.
    upsert: 'merge if sufficient',
  },
  update: {
    // Both need the row and neither removes it, so both fail or neither; the later value of each column stands.
    update: 'merge',
    // Fails exactly if the row is missing, like the first; where it is there, the upsert only writes its columns.
    upsert: 'merge',
  },
  delete: {
    // Deleting what is not there succeeds.
    delete: 'replace',
  },
  // Not folded: insert+delete and update+delete (the delete would hide their failure), insert+insert, upsert+insert,
  // update+insert and delete+update (one of the two always fails), delete+insert and delete+upsert (columns that the
  // second does not name go back to their defaults).
};

/**
 * Turns changes into groups that a sink can write with few statements.
 *
 * Writing the groups in order, all or nothing, gives the state that the changes give one by one in their original order;
 * and when a change would fail there, a group fails here. The caller then rolls back and goes change by change.
 *
 * In independent tables the changes of a key are folded as {@link FOLDS} says. What remains of each key is a list of
 * steps; the i-th steps of all keys of a table form a pass, in which rows are grouped by shape and sorted by key, so that
 * transactions lock rows in one order. Keys may be moved past each other because rows of an independent table never
 * decide about one another, and its changes past those of other tables because nothing ties it to them.
 *
 * All other changes keep their order among themselves, also across tables: a foreign key may lead from one to another.
 */
export function coalesce(input: readonly CoalesceInput[], options: CoalesceOptions, folds: Folds = FOLDS): WriteGroup[] {
  if (options.history) return groupInOrder(input, 'repeated');
  const unordered = tablesToFold(input);
  const ordered: CoalesceInput[] = [];
  for (const changes of input) {
    const steps = unordered.get(changes.shape.table.name);
    if (steps === undefined) ordered.push(changes);
    else steps.add(changes, folds);
  }
  const groups = groupInOrder(ordered, 'distinct');
  const names = [...unordered.keys()].sort();
  for (const name of names) unordered.get(name)?.appendGroups(groups);
  return groups;
}

/**
 * The tables whose changes may be folded and moved: independent ones, all of whose changes name the primary key and in
 * its order, so that `keyOf` of any two of their shapes can be compared.
 */
function tablesToFold(input: readonly CoalesceInput[]): Map<string, TableSteps> {
  const tables = new Map<string, TableSteps>();
  const refused = new Set<string>();
  for (const { shape } of input) {
    const { name } = shape.table;
    if (refused.has(name)) continue;
    if (shape.table.independent && namesPrimaryKey(shape)) {
      if (!tables.has(name)) tables.set(name, new TableSteps());
    } else {
      refused.add(name);
      tables.delete(name);
    }
  }
  return tables;
}

function namesPrimaryKey({ table, keyCount, columns }: Shape): boolean {
  if (keyCount === 0 || keyCount !== table.key.length) return false;
  for (let i = 0; i < keyCount; i++) if (columns[i] !== table.key[i]) return false;
  return true;
}

/** Neighbours of the same shape become one group, up to a key that the group already has; nothing is moved. */
function groupInOrder(input: readonly CoalesceInput[], keys: 'distinct' | 'repeated'): WriteGroup[] {
  const groups: WriteGroup[] = [];
  const seen = new Set<string>();
  let current: Shape | undefined;
  let group: Row[] = [];
  for (const { shape, rows } of input) {
    for (let i = 0; i < rows.length; i++) {
      const row = rows[i] as Row;
      const key = keys === 'distinct' ? shape.keyOf(row) : '';
      if (shape !== current || seen.has(key)) {
        current = shape;
        group = [];
        seen.clear();
        groups.push({ shape, rows: group });
      }
      if (keys === 'distinct') seen.add(key);
      group.push(row);
    }
  }
  return groups;
}

/** The steps that remain of each key of one table. A step is a place in three arrays, which saves an object per change. */
class TableSteps {
  /** By key, its last step. */
  readonly #lastStep = new Map<string, number>();
  readonly #keys: string[] = [];
  readonly #rows: Row[] = [];
  readonly #shapes: Shape[] = [];
  /** How many steps of the same key come before. */
  readonly #passes: number[] = [];
  #passCount = 0;
  readonly #plans = new Map<Shape, Map<Shape, Plan | undefined>>();

  add({ shape, rows }: CoalesceInput, folds: Folds): void {
    for (let i = 0; i < rows.length; i++) {
      const row = rows[i] as Row;
      const key = shape.keyOf(row);
      const step = this.#lastStep.get(key);
      if (step === undefined) {
        this.#push(key, shape, row, 0);
        continue;
      }
      const plan = this.#plan(this.#shapes[step] as Shape, shape, folds);
      const folded = plan && combine(plan, this.#rows[step] as Row, row);
      if (plan === undefined || folded === undefined) {
        this.#push(key, shape, row, (this.#passes[step] as number) + 1);
      } else {
        this.#shapes[step] = plan.shape;
        this.#rows[step] = folded;
      }
    }
  }

  appendGroups(groups: WriteGroup[]): void {
    const passes: Map<Shape, Bucket>[] = [];
    for (let pass = 0; pass < this.#passCount; pass++) passes.push(new Map());
    let bucket: Bucket | undefined;
    let bucketPass = -1;
    for (let step = 0; step < this.#rows.length; step++) {
      const shape = this.#shapes[step] as Shape;
      const pass = this.#passes[step] as number;
      // Neighbours mostly share a bucket: looking it up for each row made 100,000 distinct keys a third slower.
      if (bucket === undefined || bucket.shape !== shape || bucketPass !== pass) {
        bucket = bucketOf(passes[pass] as Map<Shape, Bucket>, shape);
        bucketPass = pass;
      }
      bucket.keys.push(this.#keys[step] as string);
      bucket.rows.push(this.#rows[step] as Row);
    }
    for (const buckets of passes) {
      const inOrder = buckets.size === 1 ? buckets.values() : [...buckets.values()].sort(byShape);
      for (const { shape, keys, rows } of inOrder) groups.push({ shape, rows: sortByKey(rows, keys, shape.keyCount) });
    }
  }

  #push(key: string, shape: Shape, row: Row, pass: number): void {
    this.#lastStep.set(key, this.#rows.length);
    this.#keys.push(key);
    this.#rows.push(row);
    this.#shapes.push(shape);
    this.#passes.push(pass);
    if (pass === this.#passCount) this.#passCount++;
  }

  #plan(first: Shape, second: Shape, folds: Folds): Plan | undefined {
    let bySecond = this.#plans.get(first);
    if (bySecond === undefined) this.#plans.set(first, (bySecond = new Map<Shape, Plan | undefined>()));
    let plan = bySecond.get(second);
    if (plan === undefined && !bySecond.has(second)) bySecond.set(second, (plan = planOf(first, second, folds)));
    return plan;
  }
}

interface Bucket {
  readonly shape: Shape;
  readonly keys: string[];
  readonly rows: Row[];
}

function bucketOf(buckets: Map<Shape, Bucket>, shape: Shape): Bucket {
  let bucket = buckets.get(shape);
  if (bucket === undefined) buckets.set(shape, (bucket = { shape, keys: [], rows: [] }));
  return bucket;
}

/** How rows of two shapes become one of `shape`. */
interface Plan {
  readonly shape: Shape;
  /** By column of `shape`: its place in the second row, or ~place in the first. Undefined: the second row as it is. */
  readonly sources: Int32Array | undefined;
}

function planOf(first: Shape, second: Shape, folds: Folds): Plan | undefined {
  const fold = folds[first.op]?.[second.op];
  switch (fold) {
    case undefined:
      return undefined;
    case 'replace':
      return { shape: second, sources: undefined };
    case 'replace if sufficient':
      return first.suffices ? { shape: second, sources: undefined } : undefined;
    case 'merge':
      return mergePlan(first, second);
    case 'merge if sufficient':
      return first.suffices || addsNoColumn(first, second) ? mergePlan(first, second) : undefined;
  }
}

function addsNoColumn(first: Shape, second: Shape): boolean {
  return second.columns.every((column) => first.columns.includes(column));
}

function mergePlan(first: Shape, second: Shape): Plan | undefined {
  const columns = addsNoColumn(first, second) ? first.columns : unionOf(first.table, first, second);
  const shape = columns === first.columns ? first : first.table.shape(first.op, first.keyCount, columns);
  if (isFault(shape)) return undefined;
  if (columns.length === second.columns.length && columns.every((column, i) => column === second.columns[i])) {
    return { shape, sources: undefined };
  }
  const sources = new Int32Array(columns.length);
  for (const [i, column] of columns.entries()) {
    const inSecond = i < shape.keyCount ? -1 : second.columns.indexOf(column);
    sources[i] = inSecond >= 0 ? inSecond : ~first.columns.indexOf(column);
  }
  return { shape, sources };
}

/** The key, then the columns of both in the table's order, so that few different statements result. */
function unionOf(table: Table, first: Shape, second: Shape): readonly string[] {
  const key = first.columns.slice(0, first.keyCount);
  const named = new Set([...first.columns, ...second.columns]);
  for (const column of key) named.delete(column);
  return [...key, ...table.columns.filter((column) => named.has(column))];
}

/** The folded row; undefined when together the values are not a row that the table can take (it may be too large). */
function combine({ shape, sources }: Plan, first: Row, second: Row): Row | undefined {
  const { keyCount } = shape;
  if (sources === undefined) {
    for (let i = 0; i < keyCount; i++) if (first[i] !== second[i]) return withKeyOf(first, second, keyCount);
    return second;
  }
  const row: Row[number][] = [];
  for (let i = 0; i < sources.length; i++) {
    const source = sources[i] as number;
    row.push((source >= 0 ? second[source] : first[~source]) as Row[number]);
  }
  return shape.check(row) === undefined ? row : undefined;
}

/** Two spellings of one key: the database keeps the one that the row was created with. */
function withKeyOf(first: Row, second: Row, keyCount: number): Row {
  const row = second.slice();
  for (let i = 0; i < keyCount; i++) row[i] = first[i] as Row[number];
  return row;
}

function byShape(a: Bucket, b: Bucket): number {
  const byOp = OPS.indexOf(a.shape.op) - OPS.indexOf(b.shape.op);
  if (byOp !== 0) return byOp;
  const [left, right] = [a.shape.columns.join('\0'), b.shape.columns.join('\0')];
  return left < right ? -1 : left > right ? 1 : 0;
}

/** Rows in the order of their keys: numerically where all keys are single numbers, else by the text of the key. */
function sortByKey(rows: Row[], keys: readonly string[], keyCount: number): Row[] {
  const numbers = keyCount === 1 ? numericKeys(rows) : undefined;
  const order: ArrayLike<string | number> = numbers ?? keys;
  if (isSorted(order)) return rows;
  const indexes = (numbers && packedOrder(numbers)) ?? comparedOrder(order);
  const sorted: Row[] = [];
  for (let i = 0; i < indexes.length; i++) sorted.push(rows[indexes[i] as number] as Row);
  return sorted;
}

function numericKeys(rows: readonly Row[]): Float64Array | undefined {
  const numbers = new Float64Array(rows.length);
  for (let i = 0; i < rows.length; i++) {
    const value = (rows[i] as Row)[0];
    if (typeof value !== 'number') return undefined;
    numbers[i] = value;
  }
  return numbers;
}

function isSorted(values: ArrayLike<string | number>): boolean {
  for (let i = 1; i < values.length; i++) if ((values[i - 1] as string | number) > (values[i] as string | number)) return false;
  return true;
}

/**
 * The order of integers that lie close enough together for key and index to fit in one exact float, which typed arrays
 * sort several times faster than a comparison function can; undefined for others.
 */
function packedOrder(numbers: Float64Array): Float64Array | undefined {
  const count = numbers.length;
  let lowest = Infinity;
  let highest = -Infinity;
  for (let i = 0; i < count; i++) {
    const value = numbers[i] as number;
    if (!Number.isSafeInteger(value)) return undefined;
    if (value < lowest) lowest = value;
    if (value > highest) highest = value;
  }
  if ((highest - lowest + 1) * count > Number.MAX_SAFE_INTEGER) return undefined;
  const packed = new Float64Array(count);
  for (let i = 0; i < count; i++) packed[i] = ((numbers[i] as number) - lowest) * count + i;
  packed.sort();
  for (let i = 0; i < count; i++) packed[i] = (packed[i] as number) % count;
  return packed;
}

function comparedOrder(values: ArrayLike<string | number>): number[] {
  const indexes: number[] = [];
  for (let i = 0; i < values.length; i++) indexes.push(i);
  return indexes.sort((a, b) => {
    const [left, right] = [values[a] as string | number, values[b] as string | number];
    return left < right ? -1 : left > right ? 1 : 0;
  });
}
