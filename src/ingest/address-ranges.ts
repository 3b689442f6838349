import { BlockList, isIPv6, SocketAddress } from 'node:net';

/** A set of addresses, written down as ranges. */
export interface AddressRanges {
  /** `address` as {@link plainAddress} gives it. */
  includes(address: string): boolean;
}

/** Ranges such as `10.0.0.0/24` or `2001:db8::/32`; a single address stands for itself. They have been checked already. */
export function createAddressRanges(ranges: readonly string[]): AddressRanges {
  const list = new BlockList();
  for (const range of ranges) {
    const [address = '', prefix] = range.split('/');
    const family = familyOf(address);
    if (prefix === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(prefix), family);
  }
  return { includes: (address) => list.check(address, familyOf(address)) };
}

/** An address as it is compared and shown: IPv6 in its shortest form without a zone, and IPv4 in IPv6 as what it is. */
export function plainAddress(address: string): string {
  if (!address.includes(':') || !isIPv6(address)) return address;
  return new SocketAddress({ address, family: 'ipv6' }).address.replace(/^::ffff:(?=\d+\.)/i, '');
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIPv6(address) ? 'ipv6' : 'ipv4';
}

/** Whose limits an address counts for: an IPv4 address as it is; of an IPv6 address its /64, which is what one customer gets. */
export function networkOf(address: string): string {
  if (!address.includes(':')) return address;
  const [head = [], tail] = address.split('::').map((part) => (part === '' ? [] : part.split(':')));
  const zeros = new Array<string>(tail === undefined ? 0 : 8 - head.length - tail.length).fill('0');
  return [...head, ...zeros, ...(tail ?? [])].slice(0, IPV6_GROUPS).join(':');
}

/** Of 16 bits. */
const IPV6_GROUPS = 4;
