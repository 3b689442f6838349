import type { AddColumn, CheckClause, ColumnClause, CreateTable, ForeignKeyClause } from './ast.ts';
import type { Cursor } from './cursor.ts';
import { readExpression } from './expressions.ts';

/** What stands after CREATE TABLE. */
export function readCreateTable(cursor: Cursor): CreateTable {
  const ifNotExists = cursor.takes('IF', 'NOT', 'EXISTS');
  const table = cursor.name();
  const parts = new Parts(cursor);
  cursor.expect('(');
  cursor.list(() => parts.read());
  cursor.expect(')');
  let charset: string | undefined;
  let collation: string | undefined;
  while (cursor.token.kind === 'word') {
    cursor.takes('DEFAULT');
    const option = cursor.next().upper;
    cursor.takes('=');
    const value = cursor.name();
    if (option === 'CHARSET') charset = value;
    else if (option === 'COLLATE') collation = value;
    else if (option !== 'ENGINE' || value.toLowerCase() !== 'innodb') cursor.fail(`table option ${option} ${value}`);
  }
  return { kind: 'create table', table, ifNotExists, ...parts.found, charset, collation };
}

/** What stands after ALTER TABLE. */
export function readAlterTable(cursor: Cursor): AddColumn {
  const table = cursor.name();
  cursor.expect('ADD', 'COLUMN');
  const parts = new Parts(cursor);
  parts.readColumn();
  const { columns, primaryKey, indexes, foreignKeys } = parts.found;
  if (primaryKey.length + indexes.length + foreignKeys.length > 0) cursor.fail('a column with an index is added');
  return { kind: 'add column', table, column: columns[0] as ColumnClause };
}

class Parts {
  readonly #cursor: Cursor;
  readonly #columns: ColumnClause[] = [];
  readonly #primaryKey: string[] = [];
  readonly #indexes: { name: string | undefined; unique: boolean; columns: string[] }[] = [];
  readonly #foreignKeys: ForeignKeyClause[] = [];
  readonly #checks: CheckClause[] = [];

  constructor(cursor: Cursor) {
    this.#cursor = cursor;
  }

  get found() {
    return {
      columns: this.#columns,
      primaryKey: this.#primaryKey,
      indexes: this.#indexes,
      foreignKeys: this.#foreignKeys,
      checks: this.#checks,
    };
  }

  read(): void {
    const cursor = this.#cursor;
    const name = cursor.takes('CONSTRAINT') ? cursor.name() : undefined;
    if (cursor.takes('PRIMARY', 'KEY')) this.#primaryKey.push(...cursor.names());
    else if (cursor.takes('FOREIGN', 'KEY')) this.#foreignKeys.push(readForeignKey(cursor, name));
    else if (cursor.sees('CHECK', '(')) this.#readCheck(name, undefined);
    else if (cursor.takes('UNIQUE')) {
      if (!cursor.takes('KEY')) cursor.takes('INDEX');
      this.#readIndex(name, true);
    } else if (cursor.takes('KEY') || cursor.takes('INDEX')) this.#readIndex(name, false);
    else this.readColumn();
  }

  readColumn(): void {
    const cursor = this.#cursor;
    const name = cursor.name();
    const type = cursor.next().text.toLowerCase();
    const sizes: number[] = [];
    const members: string[] = [];
    if (cursor.takes('(')) {
      if (cursor.token.kind === 'text') members.push(...cursor.list(() => cursor.text()));
      else sizes.push(...cursor.list(() => cursor.integer()));
      cursor.expect(')');
    }
    const column = { unsigned: false, notNull: false, autoIncrement: false };
    let collation: string | undefined;
    let value: ColumnClause['default'];
    for (;;) {
      if (cursor.takes('UNSIGNED')) column.unsigned = true;
      else if (cursor.takes('NOT', 'NULL')) column.notNull = true;
      else if (cursor.takes('NULL')) column.notNull = false;
      else if (cursor.takes('AUTO_INCREMENT')) column.autoIncrement = true;
      else if (cursor.takes('COLLATE')) collation = cursor.name();
      else if (cursor.takes('PRIMARY', 'KEY')) this.#primaryKey.push(name);
      else if (cursor.takes('UNIQUE')) {
        cursor.takes('KEY');
        this.#indexes.push({ name: undefined, unique: true, columns: [name] });
      } else if (cursor.takes('DEFAULT')) {
        const expression = readExpression(cursor);
        if (expression.kind !== 'literal') return cursor.fail('a default that is computed');
        value = expression.value;
      } else if (cursor.sees('CHECK', '(')) this.#readCheck(undefined, name);
      else break;
    }
    this.#columns.push({ name, type, sizes, members, ...column, collation, default: value });
  }

  #readIndex(constraint: string | undefined, unique: boolean): void {
    const cursor = this.#cursor;
    const name = cursor.sees('(') ? constraint : cursor.name();
    this.#indexes.push({ name, unique, columns: cursor.names() });
  }

  #readCheck(name: string | undefined, column: string | undefined): void {
    const cursor = this.#cursor;
    cursor.expect('CHECK', '(');
    const from = cursor.token.at;
    const condition = readExpression(cursor);
    const text = cursor.sql.slice(from, cursor.token.at).trim();
    cursor.expect(')');
    this.#checks.push({ name, condition, text, column });
  }
}

function readForeignKey(cursor: Cursor, name: string | undefined): ForeignKeyClause {
  const columns = cursor.names();
  cursor.expect('REFERENCES');
  const parent = cursor.name();
  const parentColumns = cursor.names();
  let onDelete: ForeignKeyClause['onDelete'] = 'restrict';
  while (cursor.takes('ON')) {
    const event = cursor.next().upper;
    const cascades = cursor.takes('CASCADE');
    if (!cascades && !cursor.takes('RESTRICT') && !cursor.takes('NO', 'ACTION')) cursor.fail('an action of a foreign key');
    if (cascades && event !== 'DELETE') cursor.fail('a foreign key that cascades updates');
    if (cascades) onDelete = 'cascade';
  }
  return { name, columns, parent, parentColumns, onDelete };
}
