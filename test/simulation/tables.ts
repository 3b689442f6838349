import type { PartitionBy } from '../../src/core/partition.ts';
import type { ModelTable } from './checker/model.ts';

/**
 * The tables that clients write: rows that are inserted once, rows that are written again and again, and parents whose
 * children have codes of which each parent knows one only once.
 */
export const DEFINITIONS = [
  'CREATE TABLE event (id BIGINT NOT NULL PRIMARY KEY, note VARCHAR(40) NULL) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4',
  'CREATE TABLE item (id BIGINT NOT NULL PRIMARY KEY, n BIGINT NOT NULL DEFAULT 0, note VARCHAR(40) NULL) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4',
  'CREATE TABLE parent (id BIGINT NOT NULL PRIMARY KEY, n BIGINT NOT NULL DEFAULT 0) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4',
  'CREATE TABLE child (id BIGINT NOT NULL, parent_id BIGINT NOT NULL, n BIGINT NOT NULL DEFAULT 0, code BIGINT NULL, PRIMARY KEY (id,parent_id), UNIQUE KEY code (code,parent_id), FOREIGN KEY (parent_id) REFERENCES parent (id)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4',
];

/** Rows that can be refused because of one another share a partition: what becomes of them is then decided by their order. */
export const PARTITION_BY: ReadonlyMap<string, PartitionBy> = new Map([
  ['parent', { group: 'family', columns: ['id'] }],
  ['child', { group: 'family', columns: ['parent_id'] }],
]);

const isShort = ({ note }: Readonly<Record<string, unknown>>) => String(note ?? '').length <= 40;

export const TABLES: readonly ModelTable[] = [
  { name: 'event', key: ['id'], defaults: { note: null }, accepts: isShort },
  { name: 'item', key: ['id'], defaults: { n: 0, note: null }, accepts: isShort },
  { name: 'parent', key: ['id'], defaults: { n: 0 }, accepts: () => true },
  {
    name: 'child',
    key: ['id', 'parent_id'],
    defaults: { n: 0, code: null },
    accepts: () => true,
    parent: { table: 'parent', column: 'parent_id' },
    unique: ['code', 'parent_id'],
  },
];
