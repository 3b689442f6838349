import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { FrameDecoder } from '../../src/protocol/frame-decoder.ts';
import { DEFAULT_MAX_FRAME_BYTES, FRAME, type Frame } from '../../src/protocol/frame.ts';
import { decodeError } from '../../src/protocol/messages.ts';
import { ERRORS } from '../../src/core/errors.ts';
import type { SeededRandom } from '../support/seeded-random.ts';
import type { HostileSender } from './hostile-sender.ts';

/** How long an answer to what was just sent is waited for: what comes later is heard later. */
const LISTEN_MS = 3;
const CLOSE_MS = 10_000;

export interface ConnectionResult {
  readonly inputs: number;
  /** The code of the ERROR that ended it; undefined when it was the sender who left. */
  readonly code: string | undefined;
}

/** One connection of a {@link HostileSender} over a real socket, for at most `inputs`. Throws what the server did wrong. */
export async function hostileConnection(
  port: number,
  sender: HostileSender,
  random: SeededRandom,
  inputs: number,
): Promise<ConnectionResult> {
  const socket = connect({ port, host: '127.0.0.1', localAddress: `127.0.2.${1 + random.below(8)}`, noDelay: true });
  // It is meant to be thrown out.
  socket.on('error', () => {});
  const frames: Frame[] = [];
  const decoder = new FrameDecoder(DEFAULT_MAX_FRAME_BYTES);
  socket.on('data', (chunk: Buffer) => {
    decoder.push(chunk);
    for (let frame = decoder.next(); frame !== undefined; frame = decoder.next()) {
      sender.heard(frame);
      frames.push(frame);
    }
  });
  await once(socket, 'connect');
  socket.write(sender.hello());
  let done = 0;
  while (done < inputs && socket.writable && !socket.readableEnded) {
    for (let batch = 1 + random.below(12); batch > 0 && done < inputs; batch--, done++) socket.write(sender.next().bytes);
    await delay(LISTEN_MS);
  }
  await leave(socket, random);
  const last = frames.findLast(({ type }) => type === FRAME.error);
  return { inputs: done, code: last === undefined ? undefined : codeOf(last) };
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
