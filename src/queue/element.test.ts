import { describe, expect, test } from 'vitest';
import { decodeElement, elementLength, stampElement, writeElement, type ElementDraft } from './element.ts';

const DRAFT: ElementDraft = { kind: 'refusal', stream: '00112233445566778899aabbccddeeff', producer: 'büro', frame: Buffer.from('frame') };
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
        '01',
        '01',
        '00066517289a6240',
        '0000000000000102',
        '0102030405060708',
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
    const element = decodeElement(bytes);
    expect(element).toMatchObject({
      kind: 'refusal',
      stream: DRAFT.stream,
      producer: 'büro',
      storedAtUs: Number.MAX_SAFE_INTEGER,
      ordinal: Number.MAX_SAFE_INTEGER - 1,
    });
    expect(String(element.frame)).toBe('frame');
    expect(element.identity).toEqual(new Uint8Array(bytes.subarray(2, 26)));
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

  test('of another format, of an unknown kind or cut short is refused', () => {
    const bytes = encode(DRAFT);
    const changed = (at: number, value: number) => Buffer.from(bytes).fill(value, at, at + 1);
    for (const broken of [changed(0, 2), changed(1, 2), changed(42, 255), bytes.subarray(0, 44), Buffer.alloc(0)]) {
      expect(() => decodeElement(broken)).toThrow(expect.objectContaining({ code: 'corrupt_element' }));
    }
  });

  test('needs a stream id of 128 bits and a producer of at most 255 bytes', () => {
    expect(() => encode({ ...DRAFT, stream: 'ab' })).toThrow(RangeError);
    expect(() => encode({ ...DRAFT, producer: 'ü'.repeat(128) })).toThrow(RangeError);
  });
});
