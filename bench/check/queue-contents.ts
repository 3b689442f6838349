import { Redis } from 'ioredis';
import { decodeBatch } from '../../src/protocol/batch.ts';
import { expandPayload } from '../../src/protocol/expand-payload.ts';
import { DEFAULT_MAX_FRAME_BYTES, FLAG_ZSTD, readFrame } from '../../src/protocol/frame.ts';
import { decodeElement, apartOf, type ListedElement } from '../../src/queue/element.ts';
import { QueueKeys } from '../../src/queue/redis/keys.ts';
import type { RedisServer } from '../../test/support/redis-server.ts';
import { PARTITIONS } from '../syncline/installation.ts';

const KEYS = new QueueKeys('syncline:');
const SINK = 'main';
const BLOCK = 500;

/** Reads the lists of all partitions. @throws {Error} when they do not hold exactly the frames that were sent, whole. */
export async function checkQueue(server: RedisServer, expected: { readonly frames: number; readonly crcSum: number }): Promise<void> {
  let [frames, crcSum] = [0, 0];
  await forEachFrame(server, (frame) => {
    crcSum += readFrame(frame).crc;
    frames++;
  });
  if (frames !== expected.frames || crcSum !== expected.crcSum)
    throw new Error(`the queue holds ${frames} frames with CRC sum ${crcSum}; ${expected.frames} with ${expected.crcSum} were sent`);
}

/** The same, for whoever cuts frames as it likes. @throws {Error} when there are not `expected` changes in them. */
export async function checkQueuedChanges(server: RedisServer, expected: number): Promise<void> {
  let changes = 0;
  await forEachFrame(server, (bytes) => {
    const frame = readFrame(bytes);
    const payload = (frame.flags & FLAG_ZSTD) === 0 ? frame.payload : expandPayload(frame, DEFAULT_MAX_FRAME_BYTES);
    for (const { rows } of decodeBatch(payload).groups) changes += rows.length;
  });
  if (changes !== expected) throw new Error(`the queue holds ${changes} changes; ${expected} were sent`);
}

async function forEachFrame({ port }: RedisServer, take: (frame: Uint8Array) => void): Promise<void> {
  const redis = new Redis({ host: '127.0.0.1', port, lazyConnect: true });
  try {
    for (let partition = 0; partition < PARTITIONS; partition++) {
      for (let from = 0; ; from += BLOCK) {
        const elements = await redis.lrangeBuffer(KEYS.list(SINK, partition), from, from + BLOCK - 1);
        for (const element of elements) take(await frameOf(redis, partition, decodeElement(element)));
        if (elements.length < BLOCK) break;
      }
    }
  } finally {
    redis.disconnect();
  }
}

async function frameOf(redis: Redis, partition: number, element: ListedElement): Promise<Uint8Array> {
  if (element.kind !== 'apart') return element.frame;
  const { offset, length } = element.place;
  return redis.getrangeBuffer(KEYS.frames(SINK, partition, apartOf(element.identity)!), offset, offset + length - 1);
}
