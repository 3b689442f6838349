import { MAX_BATCH_CHANGES } from '../core/stream.ts';

/** Bounds of payloads, the same for writing, scanning and documentation (`docs/protocol.md`, "Limits"). */

/** How deep arrays and maps may nest, the payload's own map included. */
export const MAX_DEPTH = 16;
/** Containers around a value of a row: the batch, its groups, the group, its rows, the row. */
export const ROW_DEPTH = 5;
/** Bytes of a table's or a column's name in UTF-8. */
export const MAX_NAME_BYTES = 256;
export const MAX_COLUMNS = 4096;
/** Changes in one batch. */
export const MAX_CHANGES = MAX_BATCH_CHANGES;
/** Distinct tables in one batch. */
export const MAX_TABLES = 4096;

/** Keys that no map inside a value may have: objects in many languages give them a meaning of their own. */
export const FORBIDDEN_KEYS: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype']);
