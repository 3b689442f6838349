import { Redis } from 'ioredis';
import { readFrame } from '../../src/protocol/frame.ts';
import { decodeElement, apartOf, type ListedElement } from '../../src/queue/element.ts';
import { QueueKeys } from '../../src/queue/redis/keys.ts';
import type { RedisServer } from '../../test/support/redis-server.ts';
import { PARTITIONS } from '../syncline/installation.ts';

const KEYS = new QueueKeys('syncline:');
const SINK = 'main';
const BLOCK = 500;

/** Reads the lists of all partitions. @throws {Error} when they do not hold exactly the frames that were sent, whole. */
export async function checkQueue({ port }: RedisServer, expected: { readonly frames: number; readonly crcSum: number }): Promise<void> {
  const redis = new Redis({ host: '127.0.0.1', port, lazyConnect: true });
  let [frames, crcSum] = [0, 0];
  try {
    for (let partition = 0; partition < PARTITIONS; partition++) {
      for (let from = 0; ; from += BLOCK) {
        const elements = await redis.lrangeBuffer(KEYS.list(SINK, partition), from, from + BLOCK - 1);
        for (const element of elements) crcSum += readFrame(await frameOf(redis, partition, decodeElement(element))).crc;
        frames += elements.length;
        if (elements.length < BLOCK) break;
      }
    }
  } finally {
    redis.disconnect();
  }
  if (frames !== expected.frames || crcSum !== expected.crcSum)
    throw new Error(`the queue holds ${frames} frames with CRC sum ${crcSum}; ${expected.frames} with ${expected.crcSum} were sent`);
}

async function frameOf(redis: Redis, partition: number, element: ListedElement): Promise<Uint8Array> {
  if (element.kind !== 'apart') return element.frame;
  const { offset, length } = element.place;
  return redis.getrangeBuffer(KEYS.frames(SINK, partition, apartOf(element.identity)!), offset, offset + length - 1);
}
