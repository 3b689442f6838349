import type { Workload } from '../workload.ts';

/** What a process that sends rows is to do. */
export interface RowPlan {
  /** `http`: NDJSON, rendered beforehand. `sdk`: a client of the SDK for each connection, over TCP. */
  readonly by: 'http' | 'sdk';
  readonly host: string;
  readonly port: number;
  readonly token: string;
  readonly table: string;
  readonly workload: Workload;
  readonly connections: number;
}

/** From the run to the process. */
export type RowCommand = { readonly type: 'prepare'; readonly plan: RowPlan } | { readonly type: 'go' };

/** From the process. `cpuSeconds` is what it used of processor time since `go`. */
export type RowReport =
  | { readonly type: 'ready' }
  | { readonly type: 'stored'; readonly seconds: number; readonly cpuSeconds: number }
  | { readonly type: 'failed'; readonly message: string };
