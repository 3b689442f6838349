import { FRAME } from '../../protocol/frame.ts';

/** Where the type of a frame stands. */
const TYPE_AT = 4;

export const TEXT_MESSAGE = 'a text message came; frames travel in binary messages';

/** Whether what is sent is an ERROR frame, after which a session ends: the close code then says so too. */
export function isErrorFrame(chunk: Uint8Array): boolean {
  return chunk[TYPE_AT] === FRAME.error;
}
