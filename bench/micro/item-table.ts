import type { ColumnDefinition } from '../../src/sinks/mysql/columns.ts';
import { MysqlTable, type MysqlShape } from '../../src/sinks/mysql/table.ts';
import { isFault } from '../../src/sinks/sink.ts';
import { ITEM_COLUMNS } from '../workload.ts';

/** Upserts of whole rows of `item`, as the schema of a MariaDB that has the table gives them. */
export function itemUpsert(): MysqlShape {
  const table = new MysqlTable({
    name: 'item',
    engine: 'InnoDB',
    columns: [
      column('id', 'bigint', { declared: 'bigint(20) unsigned' }),
      column('sku', 'varchar', { maxCharacters: 24, ...TEXT }),
      column('name', 'varchar', { maxCharacters: 60, ...TEXT }),
      column('price', 'decimal', { precision: 10, scale: 2 }),
      column('stock', 'int', {}),
      column('changed_at', 'datetime', {}),
    ],
    uniqueIndexes: [{ name: 'PRIMARY', columns: ['id'], identifies: true }],
    foreignColumns: [],
    referencedColumns: [],
    checks: false,
    triggers: false,
    touched: false,
    computes: false,
    partitioned: false,
    versioned: false,
  });
  const shape = table.shape('upsert', 1, ITEM_COLUMNS);
  if (isFault(shape)) throw new Error(shape.message);
  return shape;
}

const TEXT = { charset: 'utf8mb4', collation: 'utf8mb4_general_ci' } as const;

function column(name: string, type: string, fields: Partial<ColumnDefinition>): ColumnDefinition {
  return {
    name,
    type,
    declared: type,
    nullable: false,
    optional: false,
    generated: false,
    maxCharacters: undefined,
    maxBytes: undefined,
    precision: undefined,
    scale: undefined,
    fractionDigits: 0,
    charset: undefined,
    collation: undefined,
    ...fields,
  };
}
