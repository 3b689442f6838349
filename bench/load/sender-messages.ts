import type { Material } from './record-tapes.ts';

/** `websocket`: each frame in a message of its own, as the SDK sends them. */
export type Carrier = 'tcp' | 'websocket';

/** What a sender process is to do. */
export interface SenderPlan {
  readonly host: string;
  readonly port: number;
  /** What carries the frames; TCP when left out. */
  readonly carrier?: Carrier;
  readonly token: string;
  readonly material: Material;
  readonly partitions: number;
  readonly connections: number;
  /** Frames in a second, evenly; as fast as credit allows when it is left out. */
  readonly framesPerSecond?: number;
}

/** From the run to the sender process. */
export type SenderCommand = { readonly type: 'prepare'; readonly plan: SenderPlan } | { readonly type: 'go' };

/** From the sender process. */
export type SenderReport =
  | { readonly type: 'ready'; readonly frames: number; readonly bytes: number; readonly crcSum: number }
  | ({ readonly type: 'stored' } & Mark)
  | ({ readonly type: 'applied' } & Mark & { readonly latency?: Latency })
  | { readonly type: 'failed'; readonly message: string };

/** How far it is, since `go`. */
export interface Mark {
  readonly seconds: number;
  /** Processor time that the sender process used. */
  readonly cpuSeconds: number;
}

/** From the write to the socket to APPLIED, in ms. */
export interface Latency {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  /** How much later than planned frames were sent, at most: the delay of the sender itself. */
  readonly maxLateness: number;
}
