/** Who a crowd connects to, and how many connections it is: every other one over WebSocket. */
export interface CrowdPlan {
  readonly port: number;
  readonly webPort: number;
  readonly token: string;
  readonly connections: number;
}

/** From the crowd: all have been taken in, or one was not. */
export type CrowdReport = { readonly type: 'open' } | { readonly type: 'failed'; readonly message: string };
