import type { SqlRow } from '../../../src/sinks/mysql/connection.ts';

/** What a client sends: once a login, then one request at a time. */
export type Request =
  | { readonly kind: 'login'; readonly database: string }
  | { readonly kind: 'query'; readonly sql: string }
  | { readonly kind: 'ping' };

/** What the server sends: a greeting, then one reply to each request. */
export type Reply =
  | { readonly kind: 'greeting'; readonly serverVersion: string }
  | { readonly kind: 'ok' }
  | { readonly kind: 'rows'; readonly rows: readonly SqlRow[] }
  | { readonly kind: 'done'; readonly affectedRows: number; readonly insertId: number; readonly warnings: number }
  | { readonly kind: 'error'; readonly errno: number; readonly sqlState: string; readonly message: string };
