import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { proxyHeader } from '../../test/support/proxy-header.ts';
import { SeededRandom } from '../../test/support/seeded-random.ts';
import { SyncError } from '../core/errors.ts';
import { plainAddress } from './address-ranges.ts';
import { MAX_PROXY_HEADER_BYTES, readProxyHeader } from './proxy-header.ts';

const HELLO = Buffer.from('0000002403', 'hex');

/** The header is the same whatever follows it, and every piece of it is a begin that more is waited for. */
function read(header: Buffer): ReturnType<typeof readProxyHeader> {
  for (let end = 0; end < header.length; end++) expect(readProxyHeader(header.subarray(0, end))).toBeUndefined();
  const result = readProxyHeader(header);
  expect(readProxyHeader(Buffer.concat([header, HELLO]))).toEqual(result);
  return result;
}

function refusal(bytes: Buffer): string {
  try {
    readProxyHeader(bytes);
  } catch (error) {
    if (error instanceof SyncError && error.code === 'bad_proxy_header') return error.message;
    throw error;
  }
  throw new Error('was not refused');
}

describe('version 2', () => {
  test('names the client over IPv4 and IPv6, and IPv4 in IPv6 as what it is', () => {
    expect(read(proxyHeader({ source: '203.0.113.7' }))).toEqual({ bytes: 28, source: '203.0.113.7' });
    expect(read(proxyHeader({ source: '2001:db8::7' }))).toEqual({ bytes: 52, source: '2001:db8::7' });
    expect(read(proxyHeader({ source: '0:0:0:0:0:ffff:cb00:7107' }))).toEqual({ bytes: 52, source: '203.0.113.7' });
  });

  test('names nobody where the balancer speaks for itself or does not know, whatever else it holds', () => {
    expect(read(proxyHeader({ command: 0x20 }))).toEqual({ bytes: 16, source: undefined });
    expect(read(proxyHeader({ command: 0x20, source: '203.0.113.7' }))).toEqual({ bytes: 28, source: undefined });
    const local = proxyHeader({ command: 0x20, tlvs: [[0xff, Buffer.alloc(9)]] });
    local[13] = 0x99;
    expect(read(local)).toEqual({ bytes: 28, source: undefined });
    expect(read(proxyHeader())).toEqual({ bytes: 16, source: undefined });
  });

  test('may bring TLVs, which are skipped', () => {
    const tlvs = [
      [0x01, Buffer.from('h2')],
      [0x04, Buffer.alloc(0)],
      [0x20, Buffer.alloc(300)],
    ] as const;
    expect(read(proxyHeader({ source: '203.0.113.7', tlvs }))).toEqual({ bytes: 339, source: '203.0.113.7' });
  });

  test('with a checksum must be as it was sent', () => {
    const header = proxyHeader({ source: '203.0.113.7', tlvs: [[0x01, Buffer.from('h2')]], checksum: true });
    expect(read(header)).toEqual({ bytes: 40, source: '203.0.113.7' });
    for (let at = 16; at < 28; at++) {
      const damaged = Buffer.from(header);
      damaged[at]! ^= 0x10;
      expect(refusal(damaged)).toBe('the checksum of the header is wrong');
    }
    expect(refusal(proxyHeader({ source: '203.0.113.7', tlvs: [[0x03, Buffer.alloc(3)]] }))).toContain('does not have 4 bytes');
  });

  // Sent by HAProxy 2.6 with send-proxy-v2 and proxy-v2-options crc32c.
  test('is read as HAProxy writes it', () => {
    const sent = '0d0a0d0a000d0a515549540a211100137f0000017f000001cd4e6f0f0300047ec74038';
    expect(read(Buffer.from(sent, 'hex'))).toEqual({ bytes: 35, source: '127.0.0.1' });
  });

  test.each<[string, (header: Buffer) => void, string]>([
    ['another version', (header) => void (header[12] = 0x11), 'version and command are 0x11'],
    ['another command', (header) => void (header[12] = 0x22), 'version and command are 0x22'],
    ['UDP', (header) => void (header[13] = 0x12), 'family and transport are 0x12'],
    ['a socket of one machine', (header) => void (header[13] = 0x31), 'family and transport are 0x31'],
    ['a length below its addresses', (header) => void header.writeUInt16BE(11, 14), 'its addresses end at 28'],
    ['a TLV cut off', (header) => void header.writeUInt16BE(14, 14), 'a TLV goes beyond the end'],
    ['a TLV that is too long', (header) => void header.writeUInt16BE(0xffff, 29), 'a TLV goes beyond the end'],
    ['a length that nobody needs', (header) => void header.writeUInt16BE(0xffff, 14), `at most ${MAX_PROXY_HEADER_BYTES}`],
  ])('is refused for %s', (_, change, message) => {
    const header = proxyHeader({ source: '203.0.113.7', tlvs: [[0x05, Buffer.alloc(4)]] });
    change(header);
    expect(refusal(header)).toContain(message);
  });
});

describe('version 1', () => {
  test('names the client', () => {
    expect(read(Buffer.from('PROXY TCP4 203.0.113.7 127.0.0.1 55555 9501\r\n'))).toEqual({ bytes: 45, source: '203.0.113.7' });
    expect(read(Buffer.from('PROXY TCP6 2001:db8:0:0::7 ::1 55555 9501\r\n'))).toEqual({ bytes: 43, source: '2001:db8::7' });
    expect(read(Buffer.from('PROXY UNKNOWN\r\n'))).toEqual({ bytes: 15, source: undefined });
    expect(read(Buffer.from('PROXY UNKNOWN ffff::1 ::1 1 2\r\n'))).toEqual({ bytes: 31, source: undefined });
  });

  test.each([
    'PROXY TCP4 203.0.113.7 127.0.0.1 55555\r\n',
    'PROXY TCP4 203.0.113.700 127.0.0.1 1 2\r\n',
    'PROXY TCP4 2001:db8::7 ::1 1 2\r\n',
    'PROXY TCP6 203.0.113.7 127.0.0.1 1 2\r\n',
    'PROXY TCP4  203.0.113.7 127.0.0.1 1 2\r\n',
    'PROXY UDP4 203.0.113.7 127.0.0.1 1 2\r\n',
    'PROXY UNKNOWNS\r\n',
    'PROXY \r\n',
    `PROXY UNKNOWN ${'x'.repeat(100)}\r\n`,
    'PROXY TCP4 203.0.113.7 127.0.0.1 1 2\n'.padEnd(107),
  ])('is refused as %j', (line) => {
    expect(refusal(Buffer.from(line))).toMatch(/^the header is a line/);
  });
});

test.each(['0000002403', '00', 'PRAXY TCP4', 'GET / HTTP/1.1', '\r\n\r\n\0\r\nQUITE', 'PROXY\r'])(
  'what begins like %j is no header, which shows at once',
  (text) => {
    const bytes = text.startsWith('0') ? Buffer.from(text, 'hex') : Buffer.from(text, 'latin1');
    expect(refusal(bytes)).toContain('does not begin with a PROXY protocol header');
  },
);

describe('whatever the header', () => {
  const address = fc.oneof(fc.ipV4(), fc.uint8Array({ minLength: 16, maxLength: 16 }).map(ipv6));
  const tlv = fc.tuple(fc.integer({ min: 0x20, max: 0xff }), fc.uint8Array({ maxLength: 60 }));

  test('its address and its length come out', () => {
    fc.assert(
      fc.property(address, fc.array(tlv, { maxLength: 8 }), fc.boolean(), fc.uint8Array(), (source, tlvs, checksum, rest) => {
        const header = proxyHeader({ source, tlvs, checksum });
        expect(readProxyHeader(Buffer.concat([header, rest]))).toEqual({ bytes: header.length, source: plainAddress(source) });
      }),
    );
  });

  test('after random damage it is refused, waited for, or read within what is there', () => {
    const seeded = new SeededRandom(7);
    const random = (below: number) => seeded.below(below);
    const outcomes = { refused: 0, waiting: 0, read: 0 };
    for (let i = 0; i < 20_000; i++) {
      const source = i % 2 === 0 ? '203.0.113.7' : '2001:db8::7';
      const line = Buffer.from(`PROXY TCP${i % 4 === 2 ? 4 : 6} ${source} ${source} 1 2\r\n`);
      const header = i % 4 < 2 ? proxyHeader({ source, tlvs: [[0x20, Buffer.alloc(20)]], checksum: i % 8 < 2 }) : line;
      const damaged = Buffer.concat([header, HELLO]).subarray(0, 1 + random(header.length + 5));
      for (let change = random(3); change > 0; change--) damaged[random(damaged.length)] = random(256);
      outcomes[outcomeOf(damaged)]++;
    }
    // Of a line nearly every byte matters; of a binary header those of the addresses do not.
    expect(Math.min(...Object.values(outcomes))).toBeGreaterThan(500);
  });
});

function outcomeOf(bytes: Buffer): 'refused' | 'waiting' | 'read' {
  try {
    const header = readProxyHeader(bytes);
    if (header === undefined) {
      // Most pieces are short; none that is longer than any header is waited for.
      if (bytes.length >= MAX_PROXY_HEADER_BYTES) throw new Error('more is waited for than a header may have');
      return 'waiting';
    }
    if (header.bytes > bytes.length) throw new Error(`${header.bytes} bytes were read of ${bytes.length}`);
    return 'read';
  } catch (error) {
    if (!(error instanceof SyncError)) throw error;
    return 'refused';
  }
}

function ipv6(bytes: Uint8Array): string {
  return Buffer.from(bytes)
    .toString('hex')
    .replace(/(.{4})(?!$)/g, '$1:');
}
