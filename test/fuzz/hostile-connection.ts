import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { FrameDecoder } from '../../src/protocol/frame-decoder.ts';
import { DEFAULT_MAX_FRAME_BYTES, FRAME, type Frame } from '../../src/protocol/frame.ts';
import { decodeError } from '../../src/protocol/messages.ts';
import { ERRORS } from '../../src/core/errors.ts';
import type { SeededRandom } from '../support/seeded-random.ts';
import { clientFrame, WebSocketPeer } from '../support/web-socket-peer.ts';
import type { HostileSender } from './hostile-sender.ts';

/** How long an answer to what was just sent is waited for: what comes later is heard later. */
const LISTEN_MS = 3;
/** While a stream is opened nothing is read, not even that its client has gone; that asks the database, which is under load here. */
const CLOSE_MS = 30_000;

export interface ConnectionResult {
  readonly inputs: number;
  /** The code of the ERROR that ended it; undefined when it was the sender who left. */
  readonly code: string | undefined;
}

/** Where a {@link HostileSender} connects, and what it speaks there. */
export interface HostileDoor {
  readonly port: number;
  readonly carrier: 'tcp' | 'websocket';
}

/** One connection of a {@link HostileSender} over a real socket, for at most `inputs`. Throws what the server did wrong. */
export async function hostileConnection(
  { port, carrier }: HostileDoor,
  sender: HostileSender,
  random: SeededRandom,
  inputs: number,
): Promise<ConnectionResult> {
  const socket = connect({ port, host: '127.0.0.1', localAddress: `127.0.2.${1 + random.below(8)}`, noDelay: true });
  // It is meant to be thrown out.
  socket.on('error', () => {});
  const frames: Frame[] = [];
  const decoder = new FrameDecoder(DEFAULT_MAX_FRAME_BYTES);
  const take = (chunk: Buffer) => {
    decoder.push(chunk);
    for (let frame = decoder.next(); frame !== undefined; frame = decoder.next()) {
      sender.heard(frame);
      frames.push(frame);
    }
  };
  await once(socket, 'connect');
  let send = (bytes: Buffer): void => void socket.write(bytes);
  if (carrier === 'websocket') {
    await WebSocketPeer.upgrade(socket, take);
    send = (bytes) => sendMessages(socket, bytes, random);
  } else socket.on('data', take);
  send(sender.hello());
  let done = 0;
  while (done < inputs && socket.writable && !socket.readableEnded) {
    for (let batch = 1 + random.below(12); batch > 0 && done < inputs; batch--, done++) send(sender.next().bytes);
    await delay(LISTEN_MS);
  }
  await leave(socket, random);
  const last = frames.findLast(({ type }) => type === FRAME.error);
  return { inputs: done, code: last === undefined ? undefined : codeOf(last) };
}

/** In one message, or cut into several; now and then with something between them that is no message of ours. */
function sendMessages(socket: Socket, bytes: Buffer, random: SeededRandom): void {
  if (random.chance(HOSTILE_MESSAGES)) socket.write(random.pick(HOSTILE)(random));
  const cut = random.chance(0.3) ? random.below(bytes.length + 1) : bytes.length;
  for (const part of [bytes.subarray(0, cut), bytes.subarray(cut)]) if (part.length > 0) socket.write(clientFrame(part));
}

/** What RFC 6455 does not allow, or allows and nobody sends. */
const HOSTILE_MESSAGES = 0.02;
const [TEXT, BINARY, CLOSE, PING, PONG] = [1, 2, 8, 9, 10];
const HOSTILE: readonly ((random: SeededRandom) => Buffer)[] = [
  // A text, an opcode that means nothing, a frame without a mask, reserved bits, a part of a message that never began.
  () => clientFrame(Buffer.from('text'), TEXT),
  (random) => clientFrame(Buffer.from('x'), 3 + random.below(5)),
  () => Buffer.from([0x80 | BINARY, 2, 1, 2]),
  (random) => withFirstByte(clientFrame(Buffer.from('x')), 0x80 | BINARY | (0x10 << random.below(3))),
  () => withFirstByte(clientFrame(Buffer.from('x')), 0x80),
  // One that is never finished, and the beginning of one that is said to be far too long.
  () => withFirstByte(clientFrame(Buffer.alloc(100)), BINARY),
  () => clientFrame(Buffer.alloc(10), BINARY, 2 ** 31),
  () => clientFrame(Buffer.alloc(10), BINARY, Number.MAX_SAFE_INTEGER),
  // Control frames: many, long, cut, and with codes that nobody may send.
  () => Buffer.concat(Array.from({ length: 200 }, () => clientFrame(Buffer.alloc(20), PING))),
  () => clientFrame(Buffer.alloc(200), PING),
  () => withFirstByte(clientFrame(Buffer.alloc(5), PONG), PONG),
  () => clientFrame(Buffer.from([0]), CLOSE),
  (random) => clientFrame(Buffer.from([random.below(256), random.below(256), 0xff, 0xfe]), CLOSE),
];

function withFirstByte(frame: Buffer, byte: number): Buffer {
  frame[0] = byte;
  return frame;
}

async function leave(socket: Socket, random: SeededRandom): Promise<void> {
  if (socket.closed) return;
  const closed = once(socket, 'close', { signal: AbortSignal.timeout(CLOSE_MS) });
  if (random.chance(0.3)) socket.resetAndDestroy();
  else socket.end();
  // A server that keeps a connection that its client has ended keeps it for ever.
  await closed.catch(() => {
    socket.destroy();
    throw new Error(`the server did not close a connection within ${CLOSE_MS} ms after its client had ended it`);
  });
}

function codeOf({ payload }: Frame): string {
  const { code } = decodeError(payload);
  const { kind } = (ERRORS as Readonly<Record<string, { readonly kind: string }>>)[code] ?? {};
  if (kind !== 'connection' || code === 'internal') throw new Error(`the server ended a connection with ${code}`);
  return code;
}
