import { isIPv6 } from 'node:net';

/** What a balancer would write before the bytes of a client. */
export interface ProxyHeaderFields {
  /** 0x21 unless it speaks for itself (0x20). */
  readonly command?: number;
  /** Of the client; without one there are no addresses. */
  readonly source?: string;
  readonly tlvs?: readonly (readonly [type: number, value: Uint8Array])[];
  /** Whether a checksum is added as the last TLV. */
  readonly checksum?: boolean;
}

const CRC32C = 0x03;

/** A header of version 2 for a connection from `source`. */
export function proxyHeader({ command = 0x21, source, tlvs = [], checksum = false }: ProxyHeaderFields = {}): Buffer {
  const family = source === undefined ? 0x00 : isIPv6(source) ? 0x21 : 0x11;
  const parts = [
    ...(source === undefined
      ? []
      : [addressBytes(source), addressBytes(isIPv6(source) ? '::1' : '127.0.0.1'), Buffer.from('d903251d', 'hex')]),
  ];
  for (const [type, value] of checksum ? [...tlvs, [CRC32C, Buffer.alloc(4)] as const] : tlvs) {
    parts.push(Buffer.from([type, value.length >> 8, value.length & 255]), Buffer.from(value));
  }
  const rest = Buffer.concat(parts);
  const header = Buffer.concat([Buffer.from('0d0a0d0a000d0a515549540a00000000', 'hex'), rest]);
  header[12] = command;
  header[13] = family;
  header.writeUInt16BE(rest.length, 14);
  if (checksum) header.writeUInt32BE(crc32c(header), header.length - 4);
  return header;
}

function addressBytes(address: string): Buffer {
  if (!isIPv6(address)) return Buffer.from(address.split('.').map(Number));
  const [head = '', tail = ''] = address.split('::');
  const groups = (text: string) => (text === '' ? [] : text.split(':'));
  const [front, back] = [groups(head), groups(tail)];
  const zeros = Array.from({ length: 8 - front.length - back.length }, () => '0');
  return Buffer.from([...front, ...(address.includes('::') ? zeros : []), ...back].map((group) => group.padStart(4, '0')).join(''), 'hex');
}

/** By table, where the server goes bit by bit. */
function crc32c(bytes: Uint8Array): number {
  const table = Array.from({ length: 256 }, (_, byte) => {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
    return crc >>> 0;
  });
  return (bytes.reduce((crc, byte) => (table[(crc ^ byte) & 255]! ^ (crc >>> 8)) >>> 0, 0xffffffff) ^ 0xffffffff) >>> 0;
}
