/** What a server answers; a string is a bulk string, each character one byte, and null the missing one. */
export type Reply = number | string | null | readonly Reply[] | StatusReply | ErrorReply;

export class StatusReply {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** An error reply; commands throw it. */
export class ErrorReply extends Error {
  override name = 'ErrorReply';
}

export const OK = new StatusReply('OK');

/** What a command gives that is answered later: its connection waits for its answer. */
export const LATER = new StatusReply('later');
/** What a command gives that is never answered. */
export const NO_REPLY = new StatusReply('no reply');

export const WRONG_TYPE = 'WRONGTYPE Operation against a key holding the wrong kind of value';
export const NOT_AN_INTEGER = 'ERR value is not an integer or out of range';
export const SYNTAX = 'ERR syntax error';

/** Roughly what a reply takes on the wire. */
export function replyBytes(reply: Reply): number {
  if (typeof reply === 'string') return reply.length + 8;
  if (!Array.isArray(reply)) return 16;
  let bytes = 8;
  for (const item of reply as readonly Reply[]) bytes += replyBytes(item);
  return bytes;
}
