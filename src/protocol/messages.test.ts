import { Packr } from 'msgpackr';
import { describe, expect, test } from 'vitest';
import { PRE_AUTH_FRAME_BYTES } from './frame.ts';
import {
  MAX_LEFT_STREAMS,
  decodeCredit,
  decodeError,
  decodeGoaway,
  decodeHello,
  decodeRefusal,
  decodeRejected,
  decodeRewind,
  decodeWelcome,
  encodeCredit,
  encodeError,
  encodeGoaway,
  encodeHello,
  encodeRefusal,
  encodeRejected,
  encodeRewind,
  encodeWelcome,
  type Hello,
  type Welcome,
} from './messages.ts';

const STREAM = '00112233445566778899aabbccddeeff';
const packr = new Packr({ useRecords: false, variableMapSize: true });

const hello: Hello = {
  v: 1,
  token: 'id.secret',
  stream: STREAM,
  oldest: new Map([
    [0, 1],
    [255, 2 ** 53 - 1],
  ]),
  agent: 'test/1',
};
const welcome: Welcome = {
  v: 1,
  node: 'a',
  producer: 'shop',
  partitions: 16,
  maxFrameBytes: 1 << 22,
  creditBytes: 1 << 23,
  heartbeatMs: 10_000,
  stored: new Map([[3, { seq: 7, crc: 0xffff_ffff }]]),
  tables: new Map([
    ['orders', { key: ['id'], partitionBy: { group: 'order', columns: ['id'] } }],
    ['lines', { key: ['id'], partitionBy: { group: 'order', columns: ['order'] }, dependent: true }],
    ['users', { key: ['id'], dependent: true }],
    ['constructor', { key: [] }],
  ]),
};

describe('messages come back as they were encoded', () => {
  test('HELLO', () => {
    expect(decodeHello(encodeHello(hello))).toEqual(hello);
    const leaving = { ...hello, left: ['0'.repeat(32), 'f'.repeat(32)] };
    expect(decodeHello(encodeHello(leaving))).toEqual(leaving);
    expect(encodeHello({ ...hello, left: [] })).toEqual(encodeHello(hello));
  });
  test('WELCOME, also with a table named like a forbidden key', () => expect(decodeWelcome(encodeWelcome(welcome))).toEqual(welcome));
  test('REWIND', () => expect(decodeRewind(encodeRewind({ reason: 'gap' }))).toEqual({ reason: 'gap' }));
  test('REJECTED', () => {
    const rejected = { sink: 'main', code: 'too_long', message: 'x', changes: [0, 70_000] };
    expect(decodeRejected(encodeRejected(rejected))).toEqual(rejected);
  });
  test('CREDIT with and without a reason', () => {
    expect(decodeCredit(encodeCredit({ bytes: 0, reason: 'queue full' }))).toEqual({ bytes: 0, reason: 'queue full' });
    expect(decodeCredit(encodeCredit({ bytes: 5 }))).toEqual({ bytes: 5 });
  });
  test('GOAWAY', () =>
    expect(decodeGoaway(encodeGoaway({ reason: 'stop', retryAfterMs: 5 }))).toEqual({ reason: 'stop', retryAfterMs: 5 }));
  test.each([
    { code: 'bad_crc', message: 'm' },
    {
      code: 'sink_regressed',
      message: 'm',
      missing: new Map([
        [0, 1],
        [255, 2 ** 53 - 1],
      ]),
    },
  ])('ERROR %j', (notice) => {
    expect(decodeError(encodeError(notice))).toEqual(notice);
  });
  test('a refusal', () => expect(decodeRefusal(encodeRefusal({ code: 'c', message: 'm' }))).toEqual({ code: 'c', message: 'm' }));
});

describe('HELLO', () => {
  test('fits the limit before authentication with all 256 partitions', () => {
    const oldest = new Map(Array.from({ length: 256 }, (_, p) => [p, 2 ** 53 - 1]));
    const left = Array.from({ length: MAX_LEFT_STREAMS }, () => STREAM);
    expect(encodeHello({ ...hello, oldest, agent: 'a'.repeat(128), left }).length + 24).toBeLessThan(PRE_AUTH_FRAME_BYTES);
  });

  test('takes partitions as integers, as decimal strings and as an array', () => {
    const fields = { v: 1, token: 't', stream: Buffer.from(STREAM, 'hex') };
    const expected = new Map([
      [0, 5],
      [1, 7],
    ]);
    expect(decodeHello(packr.pack({ ...fields, oldest: { 0: 5, 1: 7 } })).oldest).toEqual(expected);
    expect(
      decodeHello(
        packr.pack({
          ...fields,
          oldest: new Map([
            [0, 5],
            [1, 7],
          ]),
        }),
      ).oldest,
    ).toEqual(expected);
    expect(decodeHello(packr.pack({ ...fields, oldest: [5, 7] })).oldest).toEqual(expected);
    expect(decodeHello(packr.pack({ ...fields, oldest: [] })).oldest).toEqual(new Map());
  });

  test('ignores fields that it does not know, and needs no agent', () => {
    const bytes = packr.pack({ v: 1, token: 't', stream: Buffer.from(STREAM, 'hex'), oldest: {}, later: { deep: [1] } });
    expect(decodeHello(bytes)).toEqual({ v: 1, token: 't', stream: STREAM, oldest: new Map(), agent: '' });
  });

  test('of another version is unsupported, whatever else it holds', () => {
    expect(() => decodeHello(packr.pack({ v: 2 }))).toThrow(
      expect.objectContaining({ code: 'unsupported_version', message: expect.stringContaining('version 2') }),
    );
  });

  const good = { v: 1, token: 't', stream: Buffer.from(STREAM, 'hex'), oldest: {} };
  test.each<[string, unknown, RegExp]>([
    ['without a version', { ...good, v: undefined }, /"v"/],
    ['with a version that is no integer', { ...good, v: '1' }, /"v"/],
    ['without a token', { ...good, token: undefined }, /"token"/],
    ['with a token that is a number', { ...good, token: 5 }, /"token"/],
    ['with a long token', { ...good, token: 't'.repeat(513) }, /"token".*512/],
    ['with a stream of 15 bytes', { ...good, stream: Buffer.alloc(15) }, /"stream".*16/],
    ['with a stream that is a string', { ...good, stream: STREAM }, /"stream"/],
    ['without oldest', { ...good, oldest: undefined }, /"oldest"/],
    ['with seq 0 as oldest', { ...good, oldest: { 0: 0 } }, /"oldest"/],
    ['with a fraction as oldest', { ...good, oldest: { 0: 1.5 } }, /"oldest"/],
    ['with partition 256', { ...good, oldest: { 256: 1 } }, /255/],
    ['with a partition that is no number', { ...good, oldest: { '01': 1 } }, /255/],
    [
      'with one partition twice',
      {
        ...good,
        oldest: new Map<unknown, number>([
          [0, 1],
          ['0', 1],
        ]),
      },
      /twice/,
    ],
    ['with a stream that was left of 15 bytes', { ...good, left: [Buffer.alloc(15)] }, /"left".*16/],
    ['with nine streams that were left', { ...good, left: Array.from({ length: 9 }, (_, i) => Buffer.alloc(16, i)) }, /"left".*8/],
    ['with its own stream as one that was left', { ...good, left: [good.stream] }, /"left" names 0/],
    ['that is an array', [1], /not a map/],
    ['that is a string', 'hello', /not a map/],
  ])('%s is refused', (_, value, message) => {
    const bytes = packr.pack(
      typeof value === 'object' && !Array.isArray(value)
        ? Object.fromEntries(Object.entries(value as object).filter(([, v]) => v !== undefined))
        : value,
    );
    expect(() => decodeHello(bytes)).toThrow(expect.objectContaining({ code: 'bad_hello', message: expect.stringMatching(message) }));
  });

  test.each<[string, string]>([
    ['an array that announces four billion entries', '81a176ddffffffff'],
    ['a map that announces four billion entries', 'dfffffffff'],
    ['a repeated field', '82a17601a17601'],
    ['an extension', '81a176d4720000'],
    ['a float as a key', '81cb000000000000000001'],
    ['a negative integer as a key', '81ff01'],
    ['bytes after the map', '8000'],
    ['nothing', ''],
  ])('with %s is refused', (_, hex) => {
    expect(() => decodeHello(Buffer.from(hex, 'hex'))).toThrow(expect.objectContaining({ code: 'bad_hello' }));
  });
});

describe('messages to the client', () => {
  test('that lack a field are bad frames', () => {
    for (const decode of [decodeWelcome, decodeRewind, decodeRejected, decodeCredit, decodeGoaway, decodeError]) {
      expect(() => decode(Buffer.from('81a17601', 'hex'))).toThrow(expect.objectContaining({ code: 'bad_frame' }));
    }
  });

  test('a refusal that cannot be read is a corrupt element', () => {
    expect(() => decodeRefusal(Buffer.from('80', 'hex'))).toThrow(expect.objectContaining({ code: 'corrupt_element' }));
  });

  test('long texts are cut and stay well-formed', () => {
    const message = decodeError(encodeError({ code: 'internal', message: '😀'.repeat(5000) })).message;
    expect(message.length).toBeLessThanOrEqual(4096);
    expect(message.isWellFormed()).toBe(true);
  });
});
