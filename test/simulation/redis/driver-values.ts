import { ReplyError } from 'ioredis';
import type { Argument } from '../../../src/queue/redis/link.ts';
import { ErrorReply, StatusReply, type Reply } from './replies.ts';

/** An argument as it travels: each character one byte. */
export function toBytes(argument: Argument): string {
  if (typeof argument === 'number') return String(argument);
  if (typeof argument !== 'string') return argument.toString('latin1');
  return /^[\0-\x7f]*$/.test(argument) ? argument : Buffer.from(argument, 'utf8').toString('latin1');
}

/** A reply as text. */
export function toText(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString();
}

/** A reply as ioredis hands it on where buffers are asked for. */
export function toValue(reply: Reply): unknown {
  if (typeof reply === 'string') return Buffer.from(reply, 'latin1');
  if (reply instanceof StatusReply) return Buffer.from(reply.text, 'latin1');
  // ioredis hands an error inside of an array on as a value.
  if (reply instanceof ErrorReply) return new ReplyError(reply.message);
  return Array.isArray(reply) ? (reply as readonly Reply[]).map(toValue) : reply;
}

export function tooManyRetries(limit: number): Error {
  const error = new Error(
    `Reached the max retries per request limit (which is ${limit}). Refer to "maxRetriesPerRequest" option for details.`,
  );
  error.name = 'MaxRetriesPerRequestError';
  return error;
}
