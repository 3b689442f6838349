import { SeededRandom } from '../../../support/seeded-random.ts';
import type { Script, Step } from './script.ts';

export const TABLES = [
  'CREATE TABLE item (id INT PRIMARY KEY, name VARCHAR(20), n INT)',
  'CREATE TABLE person (id INT PRIMARY KEY, email VARCHAR(20) COLLATE utf8mb4_bin, n INT, UNIQUE KEY email (email))',
  'CREATE TABLE parent (id INT PRIMARY KEY, name VARCHAR(20), n INT)',
  'CREATE TABLE child (id INT PRIMARY KEY, parent_id INT, n INT, CHECK (n >= 0), FOREIGN KEY (parent_id) REFERENCES parent (id))',
];

/** The second column of each table. */
const VALUE = { item: 'name', person: 'email', parent: 'name', child: 'parent_id' } as const;

/** A random script on few tables and few keys, so that its sessions get into each other's way. */
export function generatedScript(seed: number): Script {
  const random = new SeededRandom(seed);
  const sessions = 2 + random.below(2);
  const writer = new StatementWriter(random);
  const steps: Step[] = [];
  for (let i = 0; i < 3; i++) steps.push([0, writer.insert()]);
  const isOpen = new Array<boolean>(sessions).fill(false);
  const length = 8 + random.below(16);
  for (let i = 0; i < length; i++) {
    const session = random.below(sessions);
    if (isOpen[session] !== true && random.chance(0.8)) {
      steps.push([session, 'START TRANSACTION']);
      isOpen[session] = true;
    } else if (isOpen[session] === true && random.chance(0.15)) {
      steps.push([session, random.chance(0.7) ? 'COMMIT' : 'ROLLBACK']);
      isOpen[session] = false;
    } else steps.push([session, writer.any()]);
  }
  return { tables: TABLES, steps };
}

type TableName = 'item' | 'person' | 'parent' | 'child';

/** Writes random statements, each like one of those that the sink sends. */
export class StatementWriter {
  readonly #random: SeededRandom;
  readonly #tables: readonly TableName[];
  readonly #maxId: number;

  constructor(random: SeededRandom) {
    this.#random = random;
    this.#tables = random.pick<readonly TableName[]>([
      ['item'],
      ['person'],
      ['person'],
      ['parent', 'child'],
      ['parent', 'child'],
      ['item', 'person', 'parent', 'child'],
    ]);
    this.#maxId = 2 + random.below(5);
  }

  any(): string {
    const random = this.#random;
    return random.pick([
      () => this.insert(),
      () => this.insert(),
      () => this.#upsert(),
      () => this.#upsert(),
      () => this.#update(),
      () => this.#update(),
      () => this.#updateMany(),
      () => this.#delete(),
      () => this.#read(),
      () => random.pick(['SAVEPOINT s', 'SAVEPOINT s', 'ROLLBACK TO SAVEPOINT s']),
    ])();
  }

  insert(): string {
    const table = this.#table();
    const ignore = table !== 'child' && this.#random.chance(0.2) ? ' IGNORE' : '';
    const values = this.#list((id) => `(${id},${this.#value(table)},${table === 'child' ? Math.max(0, this.#number()) : this.#number()})`);
    return `INSERT${ignore} INTO ${table} (id,${VALUE[table]},n) VALUES ${values}`;
  }

  #upsert(): string {
    const table = this.#table();
    const name = VALUE[table];
    return `INSERT INTO ${table} (id,${name}) VALUES ${this.#list((id) => `(${id},${this.#value(table)})`)} ON DUPLICATE KEY UPDATE ${name}=VALUES(${name})`;
  }

  #update(): string {
    const table = this.#table();
    const set = this.#random.pick([`${VALUE[table]}=${this.#value(table)}`, `n=${this.#number()}`, 'id=id']);
    const where = this.#random.chance(0.5) ? `id=${this.#id()}` : `id IN (${this.#list(String)})`;
    return `UPDATE ${table} FORCE INDEX (\`PRIMARY\`) SET ${set} WHERE ${where}`;
  }

  #updateMany(): string {
    const table = this.#table();
    if (table === 'person' && this.#random.chance(0.5)) {
      return `UPDATE person FORCE INDEX (\`email\`) SET n=${this.#number()} WHERE email IN (${this.#random.pick(["'a'", "'b','a'", "'c','d'"])})`;
    }
    const ids: number[] = [];
    const list = this.#list((id) => {
      ids.push(id);
      return String(id);
    });
    const cases = ids.map((id) => `WHEN ${id} THEN ${this.#number()}`).join(' ');
    return `UPDATE ${table} FORCE INDEX (\`PRIMARY\`) SET n=CASE id ${cases} END WHERE id IN (${list})`;
  }

  #delete(): string {
    const where = this.#random.chance(0.7) ? `id=${this.#id()}` : `id IN (${this.#list(String)})`;
    return `DELETE FROM ${this.#table()} WHERE ${where}`;
  }

  #read(): string {
    return `SELECT * FROM ${this.#table()} WHERE id=${this.#id()}${this.#random.pick(['', ' FOR UPDATE', ' LOCK IN SHARE MODE'])}`;
  }

  #table(): TableName {
    return this.#random.pick(this.#tables);
  }

  /** One key or more, all different, in any order. */
  #list(item: (id: number) => string): string {
    const ids = new Set([this.#id()]);
    while (this.#random.chance(0.4)) ids.add(this.#id());
    return [...ids].map(item).join(',');
  }

  #id(): number {
    return 1 + this.#random.below(this.#maxId);
  }

  #number(): number {
    return this.#random.below(12) - 1;
  }

  #value(table: TableName): string {
    if (this.#random.chance(0.1)) return 'NULL';
    if (table === 'child') return String(this.#id());
    return `'${this.#random.pick(['a', 'b', 'c', 'd', 'e'])}'`;
  }
}
