import { describe, expect, test } from 'vitest';
import { createWorld, FrameChain, smallBatch, TestPeer } from '../../test/support/ingest-world.ts';
import { VirtualClock } from '../../test/support/virtual-clock.ts';
import type { Connection } from '../core/network.ts';
import { encodeFrame, FRAME, type Frame } from '../protocol/frame.ts';
import { CHUNK_BYTES, Intake } from './intake.ts';

/** A payload of about `bytes`. */
const padding = (bytes: number) => smallBatch('x'.repeat(bytes));

describe('what waits to be handled', () => {
  const streams = ['a', 'b', 'c', 'd'].map((letter) => letter.repeat(32));
  const settings = { maxFrameBytes: 250_000 };
  /** As much of each may wait as comes from a socket at a time, without being counted. */
  const most = 300_000 - 3 * CHUNK_BYTES;

  test('is bounded: of unfinished frames the one whose rest has been owed longest is cut off, and nobody else', async () => {
    const world = createWorld({ settings, maxInFlightBytes: most });
    const peers = await Promise.all(streams.map((stream) => world.open({ stream })));
    const frame = new FrameChain(0, 0).add(padding(200_000));
    for (const peer of peers.slice(0, 2)) {
      peer.sendBytes(frame.subarray(0, 100_000));
      await world.clock.advance(10);
    }
    peers[0]!.sendBytes(frame.subarray(100_000, 110_000));
    peers[2]!.sendBytes(frame.subarray(0, 90_000));
    peers[3]!.sendBytes(frame.subarray(0, CHUNK_BYTES));
    expect(peers.map(({ isClosed }) => isClosed)).toEqual([false, false, false, false]);
    peers[2]!.sendBytes(frame.subarray(90_000, 90_001));
    expect(peers.map(({ isClosed }) => isClosed)).toEqual([true, false, false, false]);
    expect(peers[0]!.take()).toEqual(['WELCOME', 'ERROR frame_unfinished']);
    peers[1]!.sendBytes(frame.subarray(100_000));
    await world.clock.settle();
    expect(peers[1]!.take()).toEqual(['WELCOME', 'STORED 0:1']);
  });

  test('is bounded when it comes in long messages: who asks without end goes before who sends a frame', async () => {
    const world = createWorld({ settings, maxInFlightBytes: most });
    const peers = await Promise.all(streams.map((stream) => world.open({ stream })));
    const frame = new FrameChain(0, 0).add(padding(200_000));
    peers[0]!.sendBytes(frame.subarray(0, 80_000));
    await world.clock.advance(10);
    const ping = encodeFrame({ type: FRAME.ping, payload: Buffer.alloc(64) });
    const questions = Buffer.concat(Array.from({ length: 1_000 }, () => ping));
    for (const peer of peers.slice(1, 3)) peer.sendBytes(questions);
    expect(peers.map(({ isClosed }) => isClosed)).toEqual([false, false, false, false]);
    await world.clock.advance(10);
    peers[3]!.sendBytes(frame.subarray(0, 125_000));
    expect(peers.map(({ isClosed }) => isClosed)).toEqual([false, true, false, false]);
    peers[0]!.sendBytes(frame.subarray(80_000));
    await world.clock.settle();
    expect(peers[0]!.take().at(-1)).toBe('STORED 0:1');
  });

  test('is bounded while the server itself cannot go on: the one with most goes', async () => {
    const world = createWorld({ settings, maxInFlightBytes: most });
    const peers = await Promise.all(streams.map((stream) => world.open({ stream })));
    let opened = () => {};
    world.queue.gate = new Promise((resolve) => void (opened = resolve));
    const message = (partition: number, frames: number) => {
      const chain = new FrameChain(partition, 0);
      for (let i = 0; i < frames; i++) chain.add(padding(20_000));
      return chain.bytes(1, frames);
    };
    for (const [index, frames] of [9, 6, 7, 4].entries()) peers[index]!.sendBytes(message(index, frames));
    expect(peers.map(({ isClosed }) => isClosed)).toEqual([false, false, true, false]);
    expect(peers[2]!.take()).toEqual(['WELCOME', 'ERROR frame_unfinished']);
    opened();
    world.queue.gate = undefined;
    await world.clock.settle();
    expect([0, 1, 3].map((index) => peers[index]!.take().at(-1))).toEqual(['STORED 0:9', 'STORED 1:6', 'STORED 3:4']);
  });
});

describe('what waits although its peer had to wait', () => {
  const settings = { maxFrameBytes: 250_000 };
  const streams = ['a', 'b', 'c'].map((letter) => letter.repeat(32));
  const batch = new FrameChain(0, 0).add(padding(200_000));

  test('before WELCOME goes before the frame of somebody else, as many as there have to', async () => {
    const world = createWorld({ settings, maxInFlightBytes: 150_000 });
    const good = await world.open({ stream: 'd'.repeat(32) });
    good.sendBytes(batch.subarray(0, CHUNK_BYTES + 10_000));
    world.progress.gate = new Promise(() => {});
    const early = streams.map((stream) => {
      const peer = world.connect();
      peer.hello({ stream });
      return peer;
    });
    await world.clock.settle();
    early[0]!.sendBytes(batch);
    expect(early[0]!.isClosed).toBe(false);
    early[1]!.sendBytes(batch);
    expect(early.map(({ isClosed }) => isClosed)).toEqual([true, false, false]);
    early[2]!.sendBytes(batch);
    expect(early.map(({ isClosed }) => isClosed)).toEqual([true, true, false]);
    good.sendBytes(batch.subarray(CHUNK_BYTES + 10_000));
    await world.clock.settle();
    expect(good.take().at(-1)).toBe('STORED 0:1');
  });

  test('is owed by as many as have to go, who owed it longest first', async () => {
    const world = createWorld({ settings, maxInFlightBytes: 150_000 });
    const peers = await Promise.all(streams.map((stream) => world.open({ stream })));
    for (const peer of peers.slice(0, 2)) peer.sendBytes(batch.subarray(0, CHUNK_BYTES + 20_000));
    await world.clock.advance(10);
    peers[2]!.sendBytes(batch.subarray(0, CHUNK_BYTES + 134_000));
    expect(peers.map(({ isClosed }) => isClosed)).toEqual([true, true, false]);
  });
});

describe('memory', () => {
  /** What an intake hands on of `chunk`. */
  function framesOf(chunk: Uint8Array): Frame[] {
    const frames: Frame[] = [];
    const nothing = () => {};
    const connection: Connection = new TestPeer('10.0.0.1').serverSide;
    const events = {
      frame: (frame: Frame) => void frames.push(frame),
      failed: (error: unknown) => expect(error).toBeUndefined(),
      paused: nothing,
      resumed: nothing,
      waiting: nothing,
    };
    new Intake(connection, new VirtualClock(), settings.maxFrameBytes, events).received(chunk);
    return frames;
  }
  const settings = { maxFrameBytes: 250_000 };
  const pongs = Buffer.concat(Array.from({ length: 100 }, () => encodeFrame({ type: FRAME.pong, payload: Buffer.alloc(64) })));
  const isIn = (frame: Frame | undefined, chunk: Uint8Array) => frame?.bytes.buffer === chunk.buffer;

  test.each<[string, (batch: Uint8Array) => Uint8Array[]]>([
    ['before it', (batch) => [pongs, batch]],
    ['behind it', (batch) => [batch, pongs]],
    ['around it', (batch) => [pongs, batch, pongs]],
    ['and the beginning of a frame behind it', (batch) => [batch, new FrameChain(0, 1).add(padding(9_000)).subarray(0, 8_000)]],
  ])('a batch among much else is kept without that: %s', (_, among) => {
    const batch = new FrameChain(0, 0).add();
    const chunk = Uint8Array.from(Buffer.concat(among(batch)));
    const kept = framesOf(chunk).find(({ type }) => type === FRAME.batch);
    expect(Buffer.from(kept!.bytes)).toEqual(Buffer.from(batch));
    expect(isIn(kept, chunk)).toBe(false);
  });

  test('batches that follow one another are not copied', () => {
    const chain = new FrameChain(0, 0);
    const chunk = Uint8Array.from(Buffer.concat([encodeFrame({ type: FRAME.ping }), chain.add(), chain.add(), chain.add()]));
    expect(framesOf(chunk).map((frame) => isIn(frame, chunk))).toEqual([true, true, true, true]);
  });
});

describe('unfinished frames', () => {
  test('are not waited for when they hardly grow, although PONGs arrive: a length that was damaged on the way swallows them', async () => {
    const world = createWorld();
    const peer = await world.open();
    const frame = new FrameChain(0, 0).add(padding(60_000));
    peer.sendBytes(frame.subarray(0, 100));
    for (let i = 0; i < 3; i++) {
      await world.clock.advance(10_000);
      peer.sendBytes(frame.subarray(100 + i * 24, 124 + i * 24));
    }
    await world.clock.advance(10_000);
    expect(peer.take().at(-1)).toBe('ERROR frame_unfinished');
    expect(peer.isClosed).toBe(true);
  });

  test('may take long on a slow line', async () => {
    const world = createWorld();
    const peer = await world.open();
    const frame = new FrameChain(0, 0).add(padding(60_000));
    for (let at = 0; at < frame.length; at += 1_100) {
      peer.sendBytes(frame.subarray(at, at + 1_100));
      await world.clock.advance(1_000);
    }
    expect(peer.take().at(-1)).toBe('STORED 0:1');
  });

  test('of peers that went away do not count', async () => {
    const world = createWorld({ settings: { maxFrameBytes: 250_000 }, maxInFlightBytes: 100_000 });
    const frame = new FrameChain(0, 0).add(padding(200_000));
    for (let i = 0; i < 10; i++) {
      const peer = await world.open({ stream: String(i).repeat(32) });
      peer.sendBytes(frame.subarray(0, 140_000));
      peer.vanish();
    }
    expect(world.sessions.counters.errors.get('frame_unfinished')).toBeUndefined();
  });
});
