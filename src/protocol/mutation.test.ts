import { crc32 } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { type Batch, Timestamp } from '../core/change.ts';
import { SyncError } from '../core/errors.ts';
import { decodeBatch, encodeBatch } from './batch.ts';
import { expandPayload } from './expand-payload.ts';
import { FrameDecoder } from './frame-decoder.ts';
import { encodeFrame, FRAME } from './frame.ts';
import { decodeHello, decodeWelcome, encodeHello, encodeWelcome } from './messages.ts';
import { decodeValue } from './msgpack-reader.ts';
import { BatchScan, scanValue } from './scan.ts';

const batch: Batch = {
  timeMs: 1_795_000_000_000,
  origin: { file: 'x', at: [1, 2n ** 60n, null] },
  groups: [
    {
      table: 'cities',
      op: 'upsert',
      keyCount: 1,
      columns: ['id', 'name', 'lat', 'raw', 'seen', 'doc'],
      rows: [
        [1, 'Zürich', 47.36, Uint8Array.of(1, 2, 3), new Timestamp(1, 5), { a: [true, false], b: { c: 'd' } }],
        [70_000, 'a name of more than thirty-one bytes, for its header', -1.5, new Uint8Array(0), new Timestamp(-5, 0), null],
      ],
    },
    {
      table: 'orders',
      op: 'delete',
      keyCount: 2,
      columns: ['shop', 'id'],
      rows: [
        ['de', -5],
        ['at', -(2n ** 62n)],
      ],
    },
  ],
};
const payload = encodeBatch(batch);
const frames = Buffer.concat([
  encodeFrame({ type: FRAME.batch, partition: 3, seq: 1, payload }),
  encodeFrame({ type: FRAME.batch, partition: 3, seq: 2, prev: 5, payload }),
]);
const hello = encodeHello({
  v: 1,
  token: 'a.b',
  stream: 'ab'.repeat(16),
  oldest: new Map([
    [0, 1],
    [200, 70_000],
  ]),
  agent: 'x',
});
const welcome = encodeWelcome({
  v: 1,
  node: 'n',
  producer: 'p',
  partitions: 16,
  maxFrameBytes: 1 << 22,
  creditBytes: 1 << 23,
  heartbeatMs: 10_000,
  stored: new Map([[1, { seq: 300, crc: 0xdead_beef }]]),
  tables: new Map([['t', { key: ['id'], partitionBy: { group: 'g', columns: ['id'] } }]]),
});

describe('after random damage', () => {
  test('a batch is refused by the scan, or decoded, and nothing else happens', () => {
    const scan = new BatchScan();
    let accepted = 0;
    for (const bytes of damaged(payload, 60_000)) {
      if (!scan.scan(bytes)) {
        expect(scan.reason).not.toBe('');
        continue;
      }
      accepted++;
      const decoded = orSyncError(() => decodeBatch(bytes));
      if (decoded === undefined) continue;
      const rows = decoded.groups.flatMap((group) => group.rows.map((row) => row.length === group.columns.length));
      expect(rows.length).toBe(scan.changes);
      expect(rows.every(Boolean)).toBe(true);
      expect(scan.tables()).toEqual([...new Set(decoded.groups.map((group) => group.table))]);
    }
    // Most damage is to contents, which the scan cannot know to be wrong.
    expect(accepted).toBeGreaterThan(1000);
  });

  test('a value is refused by the scan, or decoded', () => {
    for (const bytes of damaged(payload, 20_000)) {
      const reason = scanValue(bytes);
      const decoded = orSyncError(() => decodeValue(bytes));
      if (reason !== undefined) expect(decoded).toBeUndefined();
    }
  });

  test('messages are refused, or decoded', () => {
    for (const bytes of damaged(hello, 10_000)) orSyncError(() => decodeHello(bytes));
    for (const bytes of damaged(welcome, 10_000)) orSyncError(() => decodeWelcome(bytes));
  });

  test('frames are refused, also when their checksum was made to fit', () => {
    let read = 0;
    for (const bytes of damaged(frames, 20_000)) {
      const decoder = new FrameDecoder(1 << 20);
      decoder.push(repairChecksum(bytes));
      orSyncError(() => {
        for (let frame = decoder.next(); frame !== undefined; frame = decoder.next()) {
          read++;
          expandPayload(frame, 1 << 20);
        }
      });
    }
    expect(read).toBeGreaterThan(1000);
  });
});

/** Copies of `bytes` with one to four bytes changed, or a piece cut out; the same in every run. */
function* damaged(bytes: Uint8Array, count: number): Generator<Buffer> {
  const random = pseudoRandom(bytes.length);
  for (let i = 0; i < count; i++) {
    const copy = Buffer.from(bytes);
    for (let change = random(4); change >= 0; change--) {
      const at = random(copy.length);
      if (random(2) === 0) copy[at]! ^= 1 << random(8);
      else copy[at] = random(3) === 0 ? NASTY[random(NASTY.length)]! : random(256);
    }
    if (random(8) > 0) yield copy;
    else {
      const from = random(copy.length);
      yield Buffer.concat([copy.subarray(0, from), copy.subarray(from + random(6))]);
    }
  }
}

/** Headers of everything that announces a length, and types that are refused. */
const NASTY = [
  0xc1, 0xc4, 0xc5, 0xc6, 0xc7, 0xc9, 0xca, 0xcb, 0xcf, 0xd3, 0xd4, 0xd6, 0xd7, 0xd9, 0xda, 0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0x81, 0x91, 0xff,
  0x7f,
];

function orSyncError<T>(run: () => T): T | undefined {
  try {
    return run();
  } catch (error) {
    if (error instanceof SyncError) return undefined;
    throw error;
  }
}

/** Makes the first frame's checksum right where its length still fits. */
function repairChecksum(bytes: Buffer): Buffer {
  const end = bytes.readUInt32BE(0) + 4;
  if (end >= 24 && end <= bytes.length) {
    bytes.writeUInt32BE(crc32(bytes.subarray(24, end), crc32(bytes.subarray(4, 20))), 20);
  }
  return bytes;
}

/** mulberry32: `random(n)` is an integer from 0 to n − 1. */
function pseudoRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000) * below) | 0;
  };
}
