import { ReplyError } from 'ioredis';
import { SyncError, type ErrorCode } from '../../core/errors.ts';

/** What the codes of Redis's error replies (their first word) mean here. Any other reply, and any other failure, is `queue_unavailable`. */
const CODES: Readonly<Record<string, ErrorCode>> = {
  OOM: 'queue_full',
  READONLY: 'queue_readonly',
  MASTERDOWN: 'queue_readonly',
  MISCONF: 'queue_readonly',
  NOREPLICAS: 'queue_readonly',
  CLUSTERDOWN: 'queue_readonly',
  BUSY: 'queue_readonly',
  LOADING: 'queue_unavailable',
  // Given by our scripts.
  MISMATCH: 'queue_mismatch',
  OWNED: 'stream_owned_by_other',
  FORMAT: 'newer_format',
};

/** Replies after which another connection may find the master. */
export const RECONNECT_CODES: ReadonlySet<string> = new Set(['READONLY', 'MASTERDOWN', 'LOADING']);

/** Codes for a certificate whose signer is not known. */
const UNTRUSTED: ReadonlySet<string> = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);
/** Codes with which a handshake ends that the other side did not understand. */
const NO_HANDSHAKE: ReadonlySet<string> = new Set(['ETIMEDOUT', 'EPROTO', 'ECONNRESET', 'ERR_SSL_WRONG_VERSION_NUMBER']);

const MAX_MESSAGE_LENGTH = 2000;

/** First word of an error reply; undefined when `error` is no reply but a lost connection or a deadline. */
export function replyCode(error: unknown): string | undefined {
  return error instanceof ReplyError ? /^[A-Z]+/.exec((error as Error).message)?.[0] : undefined;
}

/**
 * What a failed command means; the cause is the code of the reply, if there was one. The driver's error is not kept: it
 * carries the arguments of the command, among them passwords and rows.
 */
export function redisError(error: unknown, secret: string | undefined): SyncError {
  if (error instanceof SyncError) return error;
  const reply = replyCode(error);
  return new SyncError(CODES[reply ?? ''] ?? 'queue_unavailable', `redis: ${redisMessage(error, secret)}`, { cause: reply });
}

/**
 * What an attempt to connect to `place` failed with, and what to look at where TLS may be the reason: neither a timeout nor a
 * reset says that only one side speaks it. `speaks` is what this side does; `agreed`: both did before.
 */
export function connectMessage(error: unknown, secret: string | undefined, place: string, speaks: 'tls' | 'plain' | 'agreed'): string {
  const message = redisMessage(error, secret);
  const code = String((error as NodeJS.ErrnoException).code);
  // Node.js goes on with advice on an option of its own, which is not how Syncline is told.
  if (UNTRUSTED.has(code)) return `${message.split(';', 1)[0]} (of ${place}: does queue.tls.ca hold who signed it?)`;
  if (speaks === 'tls' && NO_HANDSHAKE.has(code)) return `${message} (${place}, over TLS: is that its port with TLS?)`;
  if (speaks === 'plain' && code === 'ECONNRESET') return `${message} (${place}, without TLS: does that port want it, with rediss?)`;
  return message;
}

/** The message of a driver's error without what it may repeat of the command. */
export function redisMessage(error: unknown, secret: string | undefined): string {
  const whole = error instanceof Error ? error.message || ((error as NodeJS.ErrnoException).code ?? error.name) : String(error);
  // What the driver says of a connection that ended a moment ago.
  if (whole.startsWith("Stream isn't writeable")) return 'the connection was closed';
  const line = whole.split('\n', 1)[0] as string;
  const ours = (line.split(', with args', 1)[0] as string).slice(0, MAX_MESSAGE_LENGTH);
  return secret === undefined || secret === '' ? ours : ours.replaceAll(secret, '***');
}
