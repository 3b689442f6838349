import { crc32 } from 'node:zlib';
import { HEADER_BYTES } from '../../src/protocol/frame.ts';
import type { SeededRandom } from '../support/seeded-random.ts';

/** Headers of everything that announces a length, and types that are refused. */
const NASTY = [
  0x00, 0x7f, 0x80, 0x81, 0x8f, 0x90, 0x91, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc4, 0xc5, 0xc6, 0xc7, 0xc9, 0xca, 0xcb, 0xcf, 0xd3, 0xd4, 0xd6,
  0xd7, 0xd9, 0xda, 0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xff,
];
const LENGTHS = [0, 1, 19, 20, 21, 4092, 4093, 65_532, 65_533, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];
const MAX_CUT_BYTES = 8;

type Mutation = (bytes: Buffer, random: SeededRandom, other: Buffer) => Buffer;

const CONTENTS: readonly Mutation[] = [
  (bytes, random) => changed(bytes, random, (byte) => byte ^ (1 << random.below(8))),
  (bytes, random) => changed(bytes, random, () => random.pick(NASTY)),
  (bytes, random) => changed(bytes, random, () => random.below(256)),
  // A piece is missing, is there twice, or is of something else.
  (bytes, random) => {
    const at = random.below(bytes.length + 1);
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + random.below(MAX_CUT_BYTES))]);
  },
  (bytes, random) => {
    const [from, to] = range(bytes.length, random);
    return Buffer.concat([bytes.subarray(0, to), bytes.subarray(from)]);
  },
  (bytes, random, other) =>
    Buffer.concat([bytes.subarray(0, random.below(bytes.length + 1)), other.subarray(random.below(other.length + 1))]),
  (bytes, random) => bytes.subarray(0, random.below(bytes.length + 1)),
  // A number of 16 or 32 bits in the middle is another.
  (bytes, random) => {
    if (bytes.length < 5) return bytes;
    const copy = Buffer.from(bytes);
    copy.writeUInt32BE(random.pick(LENGTHS), random.below(bytes.length - 3));
    return copy;
  },
];

/** Changes what a payload holds. */
export function mutatePayload(payload: Buffer, random: SeededRandom, other: Buffer): Buffer {
  return random.pick(CONTENTS)(payload, random, other);
}

/** Changes a whole frame, whose checksum then does not fit, or whose length lies. */
export function mutateFrame(frame: Buffer, random: SeededRandom, other: Buffer): Buffer {
  if (random.chance(0.3)) {
    const copy = Buffer.from(frame);
    copy.writeUInt32BE(random.chance(0.5) ? random.pick(LENGTHS) : Math.max(0, copy.readUInt32BE(0) + random.below(9) - 4), 0);
    return copy;
  }
  return random.pick(CONTENTS)(frame, random, other);
}

/** Changes a field of the header and makes the checksum fit. */
export function mutateHeader(frame: Buffer, random: SeededRandom): Buffer {
  const copy = Buffer.from(frame);
  const at = 4 + random.below(16);
  copy[at] = random.chance(0.5) ? random.below(20) : random.below(256);
  copy.writeUInt32BE(crc32(copy.subarray(HEADER_BYTES), crc32(copy.subarray(4, 20))), 20);
  return copy;
}

function changed(bytes: Buffer, random: SeededRandom, change: (byte: number) => number): Buffer {
  if (bytes.length === 0) return bytes;
  const copy = Buffer.from(bytes);
  for (let left = random.below(4); left >= 0; left--) {
    const at = random.below(copy.length);
    copy[at] = change(copy[at] as number);
  }
  return copy;
}

function range(length: number, random: SeededRandom): readonly [number, number] {
  const [a, b] = [random.below(length + 1), random.below(length + 1)];
  return a < b ? [a, b] : [b, a];
}
