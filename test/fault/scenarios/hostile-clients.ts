import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { encodeFrame, FRAME } from '../../../src/protocol/frame.ts';
import { encodeHello, PROTOCOL_VERSION } from '../../../src/protocol/messages.ts';
import type { SeededRandom } from '../../support/seeded-random.ts';
import type { Scenario } from '../scenario.ts';

const CLIENTS = 200;
const DRIP_MS = 25;
const STAY_MS = 1_500;

/** What a bad client sends: all at once, or piece by piece every {@link DRIP_MS}. */
interface Misbehaviour {
  readonly name: string;
  /** The next piece; called until the client is gone. */
  pieces(random: SeededRandom): () => Uint8Array;
  /** Whether it leaves what it is sent unread. */
  readonly deaf?: true;
}

const MISBEHAVIOURS: readonly Misbehaviour[] = [
  { name: 'says HELLO byte by byte', pieces: (random) => byteByByte(hello(random)) },
  { name: 'sends garbage', pieces: (random) => () => randomBytes(random, 1 + random.below(4096)) },
  { name: 'announces 4 GiB', pieces: () => () => Buffer.alloc(24, 0xff) },
  { name: 'announces 4 MiB before HELLO', pieces: () => byteByByte(announcing(4 * 1024 * 1024)) },
  { name: 'sends a BATCH of 4 MiB byte by byte', pieces: (random) => afterHello(random, byteByByte(announcing(4 * 1024 * 1024 - 4))) },
  { name: 'sends a BATCH of garbage', pieces: (random) => afterHello(random, () => garbageBatch(random)) },
  { name: 'sends a wrong checksum', pieces: (random) => afterHello(random, () => spoiled(garbageBatch(random))) },
  { name: 'asks and does not listen', pieces: (random) => afterHello(random, () => PINGS), deaf: true },
];

/** Clients that are slow, broken or mean beside a good one, which must not suffer. */
export const HOSTILE_CLIENTS: readonly Scenario[] = [
  {
    name: 'hostile-clients',
    what: `${CLIENTS} clients drip bytes, send garbage, announce gigabytes, and leave answers unread`,
    installation: 'services',
    async strike(world, { random }) {
      const sockets = Array.from({ length: CLIENTS }, (_, i) => {
        const misbehaviour = MISBEHAVIOURS[i % MISBEHAVIOURS.length] as Misbehaviour;
        return misbehave(world.server.tcpPort, `127.0.1.${1 + (i % 8)}`, misbehaviour, random);
      });
      try {
        world.struck();
        await delay(STAY_MS);
        // While they are all there.
        await world.advance();
      } finally {
        for (const socket of sockets) socket.destroy();
      }
      world.struck();
    },
  },
];

function misbehave(port: number, localAddress: string, { pieces, deaf }: Misbehaviour, random: SeededRandom): Socket {
  const next = pieces(random);
  const socket = connect({ port, host: '127.0.0.1', localAddress, noDelay: true });
  // It is meant to be thrown out.
  socket.on('error', () => {});
  if (deaf === undefined) socket.resume();
  const drip = setInterval(() => {
    if (socket.writable && !socket.writableNeedDrain) socket.write(next());
  }, DRIP_MS);
  return socket.on('close', () => clearInterval(drip));
}

function hello(random: SeededRandom): Buffer {
  const stream = Buffer.from(randomBytes(random, 16)).toString('hex');
  const payload = encodeHello({ v: PROTOCOL_VERSION, token: '', stream, oldest: new Map(), agent: 'hostile' });
  return Buffer.from(encodeFrame({ type: FRAME.hello, payload }));
}

const PINGS = Buffer.concat(Array.from({ length: 500 }, () => encodeFrame({ type: FRAME.ping, payload: Buffer.alloc(64, 'p') })));

/** A frame's length and type, and no end of zeros. */
function announcing(bytes: number): Buffer {
  const start = Buffer.alloc(64);
  start.writeUInt32BE(bytes);
  start.writeUInt8(FRAME.batch, 4);
  return start;
}

function garbageBatch(random: SeededRandom): Buffer {
  return Buffer.from(encodeFrame({ type: FRAME.batch, partition: 0, seq: 1, payload: randomBytes(random, 1 + random.below(2000)) }));
}

function spoiled(frame: Buffer): Buffer {
  frame.writeUInt8(frame.readUInt8(frame.length - 1) ^ 1, frame.length - 1);
  return frame;
}

function byteByByte(bytes: Buffer): () => Uint8Array {
  let at = 0;
  return () => bytes.subarray(at % bytes.length, (at++ % bytes.length) + 1);
}

function afterHello(random: SeededRandom, next: () => Uint8Array): () => Uint8Array {
  let greeted = false;
  return () => {
    if (greeted) return next();
    greeted = true;
    return hello(random);
  };
}

function randomBytes(random: SeededRandom, length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => random.below(256)));
}
