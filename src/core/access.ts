import { OPS, type Op } from './change.ts';
import type { ChangeFault } from './errors.ts';

/** Something that a producer may do. */
export interface Rule {
  /** Names of tables; one that ends in `*` stands for all that begin so. */
  readonly tables: readonly string[];
  readonly operations: readonly Op[];
  /** The columns that may be written beside the key; left out, all. Deletes write none. */
  readonly columns?: readonly string[] | undefined;
}

export interface RuledProducer {
  readonly name: string;
  /** Undefined: it may do everything. None at all: nothing. */
  readonly rules?: readonly Rule[] | undefined;
}

/** What may be written in one table by one operation, beside the key. */
export type Grant = 'nothing' | 'everything' | ReadonlySet<string>;

/**
 * What one producer may write: what its rules allow, added up, and nothing else. The columns that a change names as its key
 * are not restricted: they say which row is meant, and the sink takes only a primary or unique key for them.
 */
export class Access {
  readonly producer: string;
  readonly #rules: readonly Rule[];
  /** By table, for each of {@link OPS}; as many as clients have named lately. */
  readonly #grants = new Map<string, readonly Grant[]>();

  constructor(producer: string, rules: readonly Rule[]) {
    this.producer = producer;
    this.#rules = rules;
  }

  /** Whether anything at all may be done in `table`; nobody else is told that it exists. */
  includes(table: string): boolean {
    return this.#grantsOf(table).some((grant) => grant !== 'nothing');
  }

  grant(table: string, op: Op): Grant {
    return this.#grantsOf(table)[OPS.indexOf(op)]!;
  }

  /** Why a group of changes may not be written; undefined when it may. Does not depend on what the sink has. */
  faultOf(table: string, op: Op, keyCount: number, columns: readonly string[]): ChangeFault | undefined {
    const grant = this.grant(table, op);
    if (grant === 'everything') return undefined;
    if (grant === 'nothing') return this.#fault(table, op, undefined);
    for (let i = keyCount; i < columns.length; i++) if (!grant.has(columns[i]!)) return this.#fault(table, op, columns[i]);
    return undefined;
  }

  #fault(table: string, op: Op, column: string | undefined): ChangeFault {
    const what =
      column === undefined ? `table ${JSON.stringify(table)}` : `column ${JSON.stringify(column)} of table ${JSON.stringify(table)}`;
    return {
      code: 'not_allowed',
      message: `producer ${this.producer} may not ${op} ${what}; its rules in the server's configuration do not allow it`,
    };
  }

  #grantsOf(table: string): readonly Grant[] {
    let grants = this.#grants.get(table);
    if (grants === undefined) {
      if (this.#grants.size >= MAX_GRANTS) this.#grants.clear();
      grants = OPS.map((op) => this.#add(table, op));
      this.#grants.set(table, grants);
    }
    return grants;
  }

  #add(table: string, op: Op): Grant {
    const rules = this.#rules.filter(({ tables, operations }) => operations.includes(op) && tables.some((name) => covers(name, table)));
    if (rules.length === 0) return 'nothing';
    if (op === 'delete' || rules.some(({ columns }) => columns === undefined)) return 'everything';
    return new Set(rules.flatMap(({ columns }) => columns ?? []));
  }
}

/** What every producer of an installation may write. */
export interface AccessList {
  /** Undefined: everything. */
  of(producer: string): Access | undefined;
}

/** As it travels to worker threads: text, because that costs least to copy. '' when every producer may do everything. */
export function encodeAccess(producers: readonly RuledProducer[]): string {
  if (producers.every(({ rules }) => rules === undefined)) return '';
  return JSON.stringify(producers.map(({ name, rules }) => ({ name, rules })));
}

/** The reverse of {@link encodeAccess}. Where any producer has rules, one that is not in the list may do nothing. */
export function decodeAccess(text: string): AccessList {
  if (text === '') return { of: () => undefined };
  const known = new Map<string, Access | undefined>();
  for (const { name, rules } of JSON.parse(text) as RuledProducer[]) known.set(name, rules && new Access(name, rules));
  return { of: (producer) => (known.has(producer) ? known.get(producer) : new Access(producer, [])) };
}

function covers(name: string, table: string): boolean {
  return name.endsWith('*') ? table.startsWith(name.slice(0, -1)) : name === table;
}

/** Tables whose grants are remembered: whoever may name any table may not fill the memory with names. */
const MAX_GRANTS = 1_000;
