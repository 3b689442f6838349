/** A process that is thousands of hostile peers; see {@link file://./flood.ts}. */
import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { encodeBatch } from '../../src/protocol/batch.ts';
import { encodeFrame, FRAME } from '../../src/protocol/frame.ts';
import { encodeHello } from '../../src/protocol/messages.ts';
import type { FloodCommand, FloodPlan, FloodReport, Kind } from './flood-messages.ts';

const TICK_MS = 10;
const DRIP_MS = 1_000;
/** Whoever was cut off comes back after this. */
const BACK_MS = 200;
/** As many come at a time; a server takes 64 from one address before they have said HELLO. */
const PER_ADDRESS = 30;
const ADDRESSES_OF_GUESSERS = 400;
/** What asks for answers that nobody reads: much at first, so that the buffers of the system are full, and then a little. */
const PINGS_AT_ONCE = 200;
const PINGS = Buffer.concat(Array.from({ length: PINGS_AT_ONCE }, () => encodeFrame({ type: FRAME.ping, payload: new Uint8Array(64) })));
/** Most of a frame, which its peer never ends; whoever was cut off for it comes back after a while. */
const UNFINISHED = frame(3_900_000).subarray(0, 3_000_000);
const UNFINISHED_BACK_MS = 5_000;
const FILLING_TICKS = 60;
const FILLING_MS = 100;
const READERS_COME_MS = 30_000;

let plan: FloodPlan | undefined;
let counts: Record<Kind, number> = none();
let slowReaders = 0;
const sockets = new Set<Socket>();
/** Ends what is being done. */
let stop = new AbortController();

process.on('disconnect', () => process.exit(0));
process.on('message', (command: FloodCommand) => {
  if (command.type === 'plan') plan = command.plan;
  else if (command.type === 'do') begin(command.kinds);
  else rest();
});

function begin(kinds: readonly Kind[]): void {
  counts = none();
  slowReaders = 0;
  stop = new AbortController();
  const { dripFeeders, unfinished, readers } = plan!;
  if (kinds.includes('wrong tokens')) guess();
  if (kinds.includes('drip feeders')) for (let i = 0; i < dripFeeders; i++) drip(i);
  if (kinds.includes('unfinished frames')) for (let i = 0; i < unfinished; i++) leaveUnfinished(i);
  if (kinds.includes('readers that never read'))
    for (let i = 0; i < readers; i++) later(stop.signal, () => neverRead(i), (i / readers) * READERS_COME_MS);
}

function rest(): void {
  stop.abort();
  for (const socket of sockets) socket.resetAndDestroy();
  const report: FloodReport = { events: counts, slowReaders };
  process.send?.(report);
}

/** So many connections in a second, each with a token of its own. */
function guess(): void {
  const startedMs = performance.now();
  let begun = 0;
  const timer = setInterval(() => {
    const due = Math.floor(((performance.now() - startedMs) / 1000) * plan!.wrongTokensPerSecond);
    for (; begun < due; begun++) {
      const socket = dial(`127.5.${Math.floor((begun % ADDRESSES_OF_GUESSERS) / 200)}.${1 + (begun % 200)}`);
      socket.write(hello(`shop.${randomBytes(8).toString('hex')}`));
      socket.on('data', () => counts['wrong tokens']++);
      socket.on('end', () => socket.destroy());
    }
  }, TICK_MS);
  stop.signal.addEventListener('abort', () => clearInterval(timer));
}

/** Every other one never comes to the end of its HELLO; the others say it, and never come to the end of a frame. */
function drip(index: number): void {
  const { signal } = stop;
  const socket = dial(addressOf(6, index));
  const bytes = index % 2 === 0 ? hello(plan!.token) : frame(4_000);
  if (index % 2 === 1) socket.write(hello(plan!.token));
  let at = 0;
  const timer = setInterval(() => {
    if (!socket.writable) return;
    socket.write(bytes.subarray(at, ++at));
    counts['drip feeders']++;
  }, DRIP_MS);
  socket.resume();
  socket.on('close', () => {
    clearInterval(timer);
    later(signal, () => drip(index));
  });
}

/** Sends most of a large frame, and then nothing, until it is cut off. */
function leaveUnfinished(index: number): void {
  const { signal } = stop;
  const socket = dial(addressOf(8, index));
  socket.write(hello(plan!.token));
  // A frame so large is taken only of who was let in.
  socket.once('data', () => {
    socket.write(UNFINISHED);
    counts['unfinished frames']++;
  });
  socket.on('close', () => later(signal, () => leaveUnfinished(index), UNFINISHED_BACK_MS));
}

/** Asks for answers until it is cut off. */
function neverRead(index: number): void {
  const { signal } = stop;
  const socket = dial(addressOf(7, index));
  socket.write(hello(plan!.token));
  socket.pause();
  let ticks = 0;
  const ask = () => {
    if (socket.writable && socket.writableLength === 0) {
      socket.write(PINGS);
      counts['readers that never read'] += PINGS_AT_ONCE;
    }
    timer = setTimeout(ask, ++ticks < FILLING_TICKS ? FILLING_MS : DRIP_MS);
  };
  let timer = setTimeout(ask, FILLING_MS);
  socket.on('close', () => {
    clearTimeout(timer);
    if (signal.aborted) return;
    slowReaders++;
    later(signal, () => neverRead(index));
  });
}

function dial(localAddress: string): Socket {
  const socket = connect({ host: '127.0.0.1', port: plan!.port, localAddress, noDelay: true });
  sockets.add(socket);
  // It is meant to be thrown out.
  socket.on('error', () => {});
  socket.on('close', () => sockets.delete(socket));
  return socket;
}

function later(signal: AbortSignal, run: () => void, afterMs = BACK_MS): void {
  setTimeout(() => {
    if (!signal.aborted) run();
  }, afterMs);
}

function addressOf(net: number, index: number): string {
  const place = Math.floor(index / PER_ADDRESS);
  return `127.${net}.${place >> 7}.${1 + (place & 127)}`;
}

function hello(token: string): Buffer {
  const stream = randomBytes(16).toString('hex');
  const payload = encodeHello({ v: 1, token, stream, oldest: new Map(), agent: 'syncline-bench' });
  return Buffer.from(encodeFrame({ type: FRAME.hello, payload }));
}

function frame(bytes: number): Buffer {
  const groups = [{ table: 'item', op: 'upsert', keyCount: 1, columns: ['id', 'name'], rows: [[1, 'x'.repeat(bytes)]] }] as const;
  return Buffer.from(encodeFrame({ type: FRAME.batch, partition: 0, seq: 1, payload: encodeBatch({ groups }) }));
}

function none(): Record<Kind, number> {
  return { 'wrong tokens': 0, 'drip feeders': 0, 'unfinished frames': 0, 'readers that never read': 0 };
}
