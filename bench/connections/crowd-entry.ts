/** A process with many connections that say HELLO, answer PING, and send nothing else; see {@link file://./connections.ts}. */
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { FrameDecoder } from '../../src/protocol/frame-decoder.ts';
import { DEFAULT_MAX_FRAME_BYTES, encodeFrame, FRAME } from '../../src/protocol/frame.ts';
import { decodeError, encodeHello } from '../../src/protocol/messages.ts';
import { WebSocketPeer } from '../../test/support/web-socket-peer.ts';
import type { CrowdPlan, CrowdReport } from './crowd-messages.ts';

/** All of 127.0.0.0/8 is this machine; a server takes so many from one address that have not said HELLO yet. */
const PER_ADDRESS = 50;
/** Connections that are being opened at a time. */
const AT_A_TIME = 100;

process.on('disconnect', () => process.exit(0));
process.on('message', (plan: CrowdPlan) => {
  gather(plan).then(
    () => report({ type: 'open' }),
    (error: Error) => report({ type: 'failed', message: error.message }),
  );
});

async function gather(plan: CrowdPlan): Promise<void> {
  for (let first = 0; first < plan.connections; first += AT_A_TIME) {
    const count = Math.min(AT_A_TIME, plan.connections - first);
    await Promise.all(Array.from({ length: count }, (_, i) => open(plan, first + i)));
  }
}

async function open({ port, webPort, token }: CrowdPlan, index: number): Promise<void> {
  const place = Math.floor(index / PER_ADDRESS);
  const localAddress = `127.1.${place >> 8}.${place & 255}`;
  const isWeb = index % 2 === 1;
  const socket = connect({ host: '127.0.0.1', port: isWeb ? webPort : port, localAddress, noDelay: true });
  const { promise: opened, resolve, reject } = Promise.withResolvers<void>();
  const failed = (error: Error) => {
    reject(error);
    report({ type: 'failed', message: error.message });
  };
  socket.on('error', failed);
  socket.on('close', () => failed(new Error('the server closed a connection')));
  const decoder = new FrameDecoder(DEFAULT_MAX_FRAME_BYTES);
  let send = (frame: Uint8Array): void => void socket.write(frame);
  const take = (chunk: Buffer) => {
    decoder.push(chunk);
    for (let frame = decoder.next(); frame !== undefined; frame = decoder.next()) {
      if (frame.type === FRAME.welcome) resolve();
      else if (frame.type === FRAME.error) failed(new Error(decodeError(frame.payload).message));
      else if (frame.type === FRAME.ping) send(encodeFrame({ type: FRAME.pong, payload: frame.payload }));
    }
  };
  if (isWeb) {
    const peer = await WebSocketPeer.upgrade(socket, take);
    send = (frame) => peer.send(frame);
  } else socket.on('data', take);
  const stream = randomBytes(16).toString('hex');
  const hello = encodeHello({ v: 1, token, stream, oldest: new Map(), agent: 'syncline-bench' });
  send(encodeFrame({ type: FRAME.hello, payload: hello }));
  await opened;
}

function report(message: CrowdReport): void {
  process.send?.(message);
}
