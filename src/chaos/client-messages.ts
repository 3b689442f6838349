import type { TableNames } from './tables.ts';

/** What a client process is told at its start, as JSON in {@link SETTINGS_VARIABLE}; the token comes in SYNCLINE_TOKEN. */
export interface ClientSettings {
  readonly url: string;
  /** For `tcps:`, the name that the certificate must carry: the proxy in between has another. */
  readonly servername: string | undefined;
  readonly spool: string;
  /** Its notes; see `history.ts`. */
  readonly notes: string;
  readonly seed: number;
  readonly client: number;
  readonly life: number;
  readonly stepsPerSecond: number;
  readonly tables: TableNames;
}

export const SETTINGS_VARIABLE = 'SYNCLINE_CHAOS_CLIENT';

/** To a client process. `mark`: say when everything that is written by now is applied. */
export type Order =
  | { readonly type: 'mark'; readonly id: number }
  | { readonly type: 'burst'; readonly steps: number }
  | { readonly type: 'finish' };

/** From a client process. */
export type Answer =
  | { readonly type: 'ready' }
  | { readonly type: 'marked'; readonly id: number }
  /** Changes that were applied in this life. */
  | { readonly type: 'progress'; readonly applied: number };
