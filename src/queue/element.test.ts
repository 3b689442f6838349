import { crc32 } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import {
  apartOf,
  decodeElement,
  decodeWholeElement,
  elementLength,
  readStoreTime,
  stampElement,
  writeElement,
  type ElementDraft,
} from './element.ts';

const DRAFT: ElementDraft = { kind: 'refusal', stream: '00112233445566778899aabbccddeeff', producer: 'büro', frame: Buffer.from('frame') };
const PLACE = Buffer.from([0x80, 0, 0, 0, 0, 1, 0x11, 0x70]);
const APART: ElementDraft = { ...DRAFT, kind: 'apart', frame: PLACE };
const RANDOM = new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]);

function encode(draft: ElementDraft): Buffer {
  const bytes = Buffer.alloc(elementLength(draft));
  writeElement(bytes, 0, draft, RANDOM);
  return bytes;
}

describe('an element', () => {
  test('has the bytes that docs/queue.md describes', () => {
    const bytes = encode(DRAFT);
    stampElement(bytes, 1_800_000_000_123_456, 258);
    expect(bytes.toString('hex')).toBe(
      [
        'b2',
        'f58ed604',
        '00066517289a6240',
        '0000000000000102',
        '0102030405060708',
        '01',
        '00112233445566778899aabbccddeeff',
        '05',
        '62c3bc726f',
        Buffer.from('frame').toString('hex'),
      ].join(''),
    );
  });

  test('is read as it was written', () => {
    const bytes = encode(DRAFT);
    stampElement(bytes, Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER - 1);
    const element = decodeWholeElement(bytes);
    expect(element).toMatchObject({
      kind: 'refusal',
      stream: DRAFT.stream,
      producer: 'büro',
      storedAtUs: Number.MAX_SAFE_INTEGER,
      ordinal: Number.MAX_SAFE_INTEGER - 1,
    });
    expect(String(element.frame)).toBe('frame');
    expect(element.identity).toEqual(new Uint8Array(bytes.subarray(5, 29)));
  });

  test('has an identity of its own memory, so that it can be sent to a thread alone', () => {
    expect(decodeElement(encode(DRAFT)).identity.buffer.byteLength).toBe(24);
  });

  test('can be written into the middle of a buffer', () => {
    const bytes = Buffer.alloc(elementLength(DRAFT) + 20, 0xee);
    const end = writeElement(bytes, 10, DRAFT, RANDOM);
    expect(end).toBe(bytes.length - 10);
    expect(decodeElement(bytes.subarray(10, end)).producer).toBe('büro');
    expect(bytes[9]).toBe(0xee);
    expect(bytes[end]).toBe(0xee);
  });

  test('has the check that docs/queue.md describes, of a frame and of a refusal', () => {
    for (const [kind, end] of [
      ['frame', 52],
      ['refusal', 57],
    ] as const) {
      const bytes = encode({ ...DRAFT, kind });
      stampElement(bytes, 3 * 2 ** 32 + 4, 5 * 2 ** 32 + 6);
      expect(bytes.readUInt32BE(1)).toBe((crc32(bytes.subarray(21, end)) + 3 + 4 + 5 + 6) % 2 ** 32);
    }
  });

  test('can be stamped again, when its push came to nothing', () => {
    const bytes = encode(DRAFT);
    stampElement(bytes, Number.MAX_SAFE_INTEGER, 7);
    stampElement(bytes, 1_800_000_000_123_456, 8);
    expect(decodeElement(bytes)).toMatchObject({ kind: 'refusal', storedAtUs: 1_800_000_000_123_456, ordinal: 8 });
  });

  test.each(['frame', 'refusal'] as const)('of kind %s with any bit of its header flipped is damaged, and can be trimmed', (kind) => {
    const bytes = encode({ ...DRAFT, kind });
    stampElement(bytes, 1_800_000_000_123_456, 258);
    const frameStart = bytes.length - DRAFT.frame.length;
    for (let bit = 0; bit < 8 * bytes.length; bit++) {
      const flipped = Buffer.from(bytes);
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      const isCovered = kind === 'refusal' || bit < 8 * frameStart;
      expect(decodeElement(flipped).kind, `bit ${bit}`).toBe(isCovered ? 'damaged' : kind);
      expect(decodeElement(flipped).identity).toEqual(new Uint8Array(flipped.subarray(5, 29)));
      expect(readStoreTime(flipped)).toBe(isCovered ? 0 : 1_800_000_000_123_456);
    }
  });

  test('whose frame is kept apart says where, and is damaged by any bit that flips', () => {
    const bytes = encode(APART);
    expect(decodeElement(bytes)).toMatchObject({ kind: 'apart', stream: DRAFT.stream, place: { offset: 2 ** 31, length: 70_000 } });
    for (let bit = 0; bit < 8 * bytes.length; bit++) {
      const flipped = Buffer.from(bytes);
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      expect(decodeElement(flipped).kind, `bit ${bit}`).toBe('damaged');
    }
    expect(() => decodeWholeElement(bytes)).toThrow(expect.objectContaining({ code: 'newer_format' }));
    expect(() => decodeElement(encode({ ...APART, frame: Buffer.alloc(9) }))).toThrow(expect.objectContaining({ code: 'newer_format' }));
  });

  test('names what is kept apart for its append, whether its own frame is or not', () => {
    const identity = new Uint8Array(encode(DRAFT).subarray(5, 29));
    expect(apartOf(identity)).toBeUndefined();
    identity[23]! |= 1;
    expect(apartOf(identity)).toBe('0102030405060709');
  });

  test('that is damaged gives nothing that could be taken for another stream', () => {
    const bytes = encode(DRAFT).fill(0xff, 30, 31);
    expect(decodeElement(bytes)).toMatchObject({ stream: '', producer: '', storedAtUs: 0, ordinal: 0, frame: new Uint8Array() });
  });

  test('cut short is damaged', () => {
    const bytes = encode(DRAFT);
    for (const length of [0, 20, 46, 50, 56]) expect(decodeElement(bytes.subarray(0, length)).kind).toBe('damaged');
  });

  test('of another version is refused with what to do, and two flipped bits do not make one', () => {
    const withFormat = (format: number) => encode(DRAFT).fill(format, 0, 1);
    expect(() => decodeElement(withFormat(1))).toThrow(
      expect.objectContaining({ code: 'newer_format', message: expect.stringContaining('run the version that stored it until') }),
    );
    expect(readStoreTime(withFormat(1))).toBe(0);
    for (let a = 0; a < 8; a++)
      for (let b = 0; b < a; b++) expect(decodeElement(withFormat(0xb2 ^ (1 << a) ^ (1 << b))).kind).toBe('damaged');
  });

  test('of a kind that is to come is refused as another version’s, when it is whole, and is damaged when it is not', () => {
    const bytes = encode(DRAFT).fill(3, 29, 30);
    expect(decodeElement(bytes).kind).toBe('damaged');
    bytes.writeUInt32BE(crc32(bytes.subarray(21)), 1);
    expect(() => decodeElement(bytes)).toThrow(
      expect.objectContaining({ code: 'newer_format', message: expect.stringContaining('kind 3') }),
    );
    expect(readStoreTime(bytes)).toBe(0);
  });

  test('needs a stream id of 128 bits and a producer of at most 255 bytes', () => {
    expect(() => encode({ ...DRAFT, stream: 'ab' })).toThrow(RangeError);
    expect(() => encode({ ...DRAFT, producer: 'ü'.repeat(128) })).toThrow(RangeError);
  });
});
