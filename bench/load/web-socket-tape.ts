import type { Tape } from './tape.ts';

/** The same frames, each as a WebSocket message: what is counted against credit is then a little more than the server counts. */
export function asMessages(tape: Tape): Tape {
  const parts: Buffer[] = [];
  const ends: number[] = [];
  let [start, headStart, length] = [0, 0, 0];
  for (const end of tape.ends) {
    const head = headOf(end - start);
    const headEnd = headStart + end - start - tape.tail.length;
    parts.push(head, tape.bytes.subarray(headStart, headEnd));
    length += head.length + end - start;
    ends.push(length);
    [start, headStart] = [end, headEnd];
  }
  return { ...tape, bytes: Buffer.concat(parts), ends };
}

export function messageOf(frame: Uint8Array): Buffer {
  return Buffer.concat([headOf(frame.length), frame]);
}

/** Of a binary message of a client (RFC 6455, 5.2). Its mask is zero, so that masking costs the sender nothing; the server cannot know. */
function headOf(length: number): Buffer {
  const head = Buffer.alloc(length < 126 ? 6 : length < 65_536 ? 8 : 14);
  head[0] = 0x82;
  head[1] = 0x80 | (length < 126 ? length : length < 65_536 ? 126 : 127);
  if (head.length === 8) head.writeUInt16BE(length, 2);
  if (head.length === 14) head.writeBigUInt64BE(BigInt(length), 2);
  return head;
}
