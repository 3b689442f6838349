import type { SqlValue } from '../values.ts';

/** What a statement says. Names are as written; keywords are upper case. */
export type Statement =
  | QueryStatement
  | InsertStatement
  | UpdateStatement
  | DeleteStatement
  | CreateTable
  | AddColumn
  | {
      readonly kind: 'set';
      readonly assignments: readonly {
        readonly scope: 'session' | 'global';
        readonly name: string;
        readonly value: Expression | 'default';
      }[];
    }
  | { readonly kind: 'begin' | 'commit' | 'rollback' }
  | { readonly kind: 'savepoint' | 'rollback to' | 'release'; readonly name: string }
  | { readonly kind: 'show warnings' }
  | { readonly kind: 'show variables'; readonly where: Expression | undefined }
  /** A query whose rows nobody wants. */
  | { readonly kind: 'do'; readonly query: QueryStatement }
  | { readonly kind: 'kill'; readonly what: 'connection' | 'query'; readonly id: number };

/** One SELECT, or several with UNION ALL between them. */
export interface QueryStatement {
  readonly kind: 'query';
  readonly selects: readonly Select[];
}

export interface Select {
  readonly items: readonly SelectItem[];
  /** Absent in `SELECT 1`. */
  readonly from: Source | undefined;
  readonly joins: readonly { readonly source: Source; readonly on: Expression }[];
  readonly where: Expression | undefined;
  readonly groupBy: readonly Expression[];
  readonly having: Expression | undefined;
  readonly orderBy: readonly { readonly by: Expression; readonly descending: boolean }[];
  readonly limit: number | undefined;
  readonly lock: 'update' | 'share' | undefined;
}

export type SelectItem = '*' | { readonly value: Expression; readonly alias: string | undefined };

export type Source =
  | {
      readonly kind: 'table';
      readonly schema: string | undefined;
      readonly name: string;
      readonly alias: string;
      readonly index: string | undefined;
    }
  | { readonly kind: 'derived'; readonly query: QueryStatement; readonly alias: string };

export interface InsertStatement {
  readonly kind: 'insert';
  readonly table: string;
  readonly ignore: boolean;
  /** All of the table when left out. */
  readonly columns: readonly string[] | undefined;
  readonly rows: readonly (readonly (Expression | 'default')[])[] | QueryStatement;
  readonly onDuplicate: readonly Assignment[] | undefined;
}

export interface UpdateStatement {
  readonly kind: 'update';
  readonly table: string;
  readonly index: string | undefined;
  readonly sets: readonly Assignment[];
  readonly where: Expression | undefined;
}

export interface DeleteStatement {
  readonly kind: 'delete';
  readonly table: string;
  readonly where: Expression | undefined;
}

export interface Assignment {
  readonly column: string;
  readonly value: Expression;
}

export interface CreateTable {
  readonly kind: 'create table';
  readonly table: string;
  readonly ifNotExists: boolean;
  readonly columns: readonly ColumnClause[];
  readonly primaryKey: readonly string[];
  readonly indexes: readonly { readonly name: string | undefined; readonly unique: boolean; readonly columns: readonly string[] }[];
  readonly foreignKeys: readonly ForeignKeyClause[];
  readonly checks: readonly CheckClause[];
  readonly charset: string | undefined;
  readonly collation: string | undefined;
}

export interface AddColumn {
  readonly kind: 'add column';
  readonly table: string;
  readonly column: ColumnClause;
}

export interface ColumnClause {
  readonly name: string;
  /** Lower case, without length and attributes. */
  readonly type: string;
  /** Length, or precision and scale. */
  readonly sizes: readonly number[];
  readonly members: readonly string[];
  readonly unsigned: boolean;
  readonly collation: string | undefined;
  readonly notNull: boolean;
  readonly default: SqlValue | undefined;
  readonly autoIncrement: boolean;
}

export interface ForeignKeyClause {
  readonly name: string | undefined;
  readonly columns: readonly string[];
  readonly parent: string;
  readonly parentColumns: readonly string[];
  readonly onDelete: 'restrict' | 'cascade';
}

export interface CheckClause {
  readonly name: string | undefined;
  readonly condition: Expression;
  /** As written. */
  readonly text: string;
  /** The column that it stands beside, if any. */
  readonly column: string | undefined;
}

export type Expression =
  | { readonly kind: 'literal'; readonly value: SqlValue; readonly type: 'integer' | 'double' | 'text' | 'bytes' | 'null' }
  | { readonly kind: 'column'; readonly table: string | undefined; readonly name: string }
  | { readonly kind: 'variable'; readonly name: string }
  /** In ON DUPLICATE KEY UPDATE: the value that was to be inserted. */
  | { readonly kind: 'values'; readonly name: string }
  | { readonly kind: 'call'; readonly name: string; readonly args: readonly Expression[] }
  | { readonly kind: 'not' | 'negative'; readonly value: Expression }
  | { readonly kind: 'binary'; readonly operator: BinaryOperator; readonly left: Expression; readonly right: Expression }
  | { readonly kind: 'is null'; readonly value: Expression; readonly negated: boolean }
  | { readonly kind: 'in'; readonly value: Expression; readonly list: readonly Expression[]; readonly negated: boolean }
  | {
      readonly kind: 'case';
      readonly subject: Expression | undefined;
      readonly branches: readonly { readonly when: Expression; readonly result: Expression }[];
      readonly otherwise: Expression | undefined;
    }
  | { readonly kind: 'tuple'; readonly items: readonly Expression[] };

export type BinaryOperator = 'AND' | 'OR' | '=' | '<>' | '<' | '<=' | '>' | '>=' | '+' | '-' | '*' | 'DIV' | '%';
