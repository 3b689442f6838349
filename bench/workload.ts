/** Which changes are sent; the same seed gives the same changes. */
export interface Workload {
  /**
   * - `inserts`: every row is new.
   * - `updates`: every row is there already, with other values; each is changed once.
   * - `hot-keys`: updates, 80 % of them on 20 % of the rows.
   */
  readonly kind: 'inserts' | 'updates' | 'hot-keys';
  /** Changes in all. */
  readonly changes: number;
  readonly seed: number;
}

/** The table that all contenders write, in the SQL of MariaDB. */
export const TABLE = `CREATE TABLE item (
  id BIGINT UNSIGNED NOT NULL PRIMARY KEY,
  sku VARCHAR(24) NOT NULL,
  name VARCHAR(60) NOT NULL,
  price DECIMAL(10, 2) NOT NULL,
  stock INT NOT NULL,
  changed_at DATETIME NOT NULL
)`;

/** A row of {@link TABLE}, in the order of its columns. */
export type Item = readonly [id: number, sku: string, name: string, price: string, stock: number, changedAt: string];

/** The columns of {@link TABLE}; the first is the key. */
export const ITEM_COLUMNS = ['id', 'sku', 'name', 'price', 'stock', 'changed_at'] as const;

/** Rows that are in the table before a run begins: none for `inserts`, else ids from 1 to this. */
export function presentRows({ kind, changes }: Workload): number {
  return kind === 'inserts' ? 0 : Math.min(changes, MAX_PRESENT_ROWS);
}

/** Row `id` as it stands before the run. */
export function presentItem(id: number): Item {
  return itemOf(id, 0);
}

/** The changes in their order: each writes a whole row, inserting or updating it. */
export function* changesOf(workload: Workload): Generator<Item> {
  const { kind, changes, seed } = workload;
  const present = presentRows(workload);
  let state = seed | 0;
  // xorshift32: what matters is only that it is the same everywhere.
  const random = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
  if (state === 0) state = 1;
  for (let i = 0; i < changes; i++) {
    if (kind === 'inserts') yield itemOf(i + 1, 1);
    else if (kind === 'updates') yield itemOf((i % present) + 1, 1 + Math.floor(i / present));
    else {
      const hot = Math.max(1, Math.floor(present / 5));
      const id = random() < 0.8 ? 1 + Math.floor(random() * hot) : 1 + hot + Math.floor(random() * Math.max(1, present - hot));
      yield itemOf(Math.min(id, present), i + 1);
    }
  }
}

const MAX_PRESENT_ROWS = 200_000;

function itemOf(id: number, version: number): Item {
  const cents = (id * 7919 + version * 31) % 1_000_000;
  const second = String((id + version) % 60).padStart(2, '0');
  const price = `${Math.floor(cents / 100)}.${String(cents % 100).padStart(2, '0')}`;
  return [
    id,
    `SKU-${String(id).padStart(10, '0')}`,
    `Item number ${id}, version ${version}`,
    price,
    (id + version) % 1000,
    `2026-01-01 00:00:${second}`,
  ];
}
