import { type ErrorCode, messageOf, SyncError } from '../core/errors.ts';
import { encodeFrame, FRAME } from '../protocol/frame.ts';
import { encodeError } from '../protocol/messages.ts';
import type { AppendResult } from '../queue/queue.ts';
import type { Log } from './context.ts';
import { RegressedError } from './survey.ts';

/** The error for a frame that the queue will never take. */
export function refusedFrame(stream: string, partition: number, seq: number, { verdict, stored }: AppendResult): SyncError {
  if (verdict === 'owned_by_other')
    // Two producers may have opened it at once, or a bit was turned on the way: opening it again tells.
    return new SyncError('stream_disputed', `the queue now names another producer as the owner of stream ${stream}; connect again`);
  return new SyncError(
    'seq_content_mismatch',
    `partition ${partition}: BATCH ${seq} does not name the crc of ${stored.seq} as it was stored; keep what is not applied and start a new stream with it`,
  );
}

/** Where a fault of a peer is found says nothing about it, and finding that out would take a sixth of the time of a refusal. */
export function refusal(code: ErrorCode, message: string): SyncError {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  const error = new SyncError(code, message);
  Error.stackTraceLimit = stackTraceLimit;
  return error;
}

export function lateHello(timeoutMs: number): SyncError {
  return new SyncError('auth_timeout', `no complete HELLO arrived within ${timeoutMs} ms`);
}

/** `what` is the beginning of the message. */
export function unknownPartition(what: string, partition: number, count: number): SyncError {
  return new SyncError('unknown_partition', `${what} partition ${partition}; there are ${count}, numbered from 0`);
}

/** What a peer is told about something that was thrown: of a bug, only that there was one. */
export function toldError(cause: unknown): SyncError {
  return cause instanceof SyncError ? cause : new SyncError('internal', 'the server failed to handle this; see its log', { cause });
}

/** The last frame that a peer gets. */
export function errorFrame(error: SyncError): Uint8Array {
  const { code, message } = error;
  const notice = error instanceof RegressedError ? { code, message, missing: error.missing } : { code, message };
  return encodeFrame({ type: FRAME.error, payload: encodeError(notice) });
}

export interface EndedSession {
  readonly stream: string | undefined;
  readonly producer: string | undefined;
  readonly address: string;
  readonly frameCount: number;
}

/** One line for the end of a session; none for one that ended well before it had a stream. */
export function logEnd(log: Log, fields: EndedSession, error: SyncError | undefined): void {
  if (error === undefined) {
    if (fields.stream !== undefined) log.info(fields, 'stream closed');
    return;
  }
  const { code, message, cause } = error;
  if (code === 'internal') log.error({ ...fields, code, err: cause }, `connection closed: ${messageOf(cause)}`);
  // Changes are missing in the sink, and no retry brings them back: somebody has to look.
  else if (code === 'sink_regressed' || code === 'stream_expired') log.error({ ...fields, code }, message);
  else log.warn({ ...fields, code }, `connection closed: ${message}`);
}
