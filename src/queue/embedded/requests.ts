import type { ErrorCode } from '../../core/errors.ts';
import type { Place, StreamId } from '../../core/stream.ts';
import type { AppendEntry, Floor, QueueSettings, Reset } from '../queue.ts';

/** What the owner of an embedded queue asks of the thread that writes it. Plain data. */
export type Request =
  | {
      readonly type: 'append';
      readonly partition: number;
      readonly nowUs: number;
      readonly entries: readonly StoredEntry[];
      readonly bytes: Uint8Array;
    }
  | { readonly type: 'raise'; readonly floors: readonly Floor[] }
  | { readonly type: 'streams'; readonly partition: number }
  | {
      readonly type: 'trim';
      readonly sink: string;
      readonly partition: number;
      readonly count: number;
      readonly last: Uint8Array;
      readonly resets: readonly Reset[];
    }
  | { readonly type: 'heal'; readonly sink: string; readonly partition: number; readonly watermarks: ReadonlyMap<StreamId, Place> }
  | { readonly type: 'backlog'; readonly sink: string }
  | { readonly type: 'forget'; readonly partition: number; readonly streams: readonly StreamId[] }
  | { readonly type: 'probe' };

/** An entry whose element, unstamped, lies in the request's `bytes` from `start` to `end`. */
export type StoredEntry = Pick<AppendEntry, 'stream' | 'producer' | 'seq' | 'prev' | 'crc'> & {
  readonly start: number;
  readonly end: number;
};

export interface Envelope {
  readonly id: number;
  readonly request: Request;
}

export interface Failure {
  readonly code: ErrorCode;
  readonly message: string;
}

export interface Reply {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: Failure;
}

/** Answers to the requests of one transaction, after its commit. */
export interface Replies {
  readonly replies: readonly Reply[];
  /** Bytes of the file that are in use. */
  readonly usedBytes: number;
  /** Why the file cannot be written now, or should not. */
  readonly trouble: Failure | undefined;
}

/** What the thread says first. */
export type Opening = { readonly opened: true; readonly usedBytes: number } | { readonly opened: false; readonly error: Failure };

export interface WriterData {
  readonly folder: string;
  readonly settings: QueueSettings;
  readonly maxBytes: number;
}
