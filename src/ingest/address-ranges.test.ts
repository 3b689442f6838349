import { expect, test } from 'vitest';
import { createAddressRanges, plainAddress } from './address-ranges.ts';

test('ranges hold what is in them, of their own family', () => {
  const ranges = createAddressRanges(['10.1.0.0/16', '192.0.2.7', '2001:db8::/32', '::1']);
  for (const inside of ['10.1.0.0', '10.1.255.255', '192.0.2.7', '2001:db8:ffff::1', '::1'])
    expect(ranges.includes(inside), inside).toBe(true);
  for (const outside of ['10.2.0.0', '192.0.2.8', '2001:db9::1', '::2', '127.0.0.1', 'unknown'])
    expect(ranges.includes(outside), outside).toBe(false);
  expect(createAddressRanges([]).includes('10.1.0.0')).toBe(false);
});

test('an address has one spelling', () => {
  expect(plainAddress('::ffff:10.1.2.3')).toBe('10.1.2.3');
  expect(plainAddress('::FFFF:0a01:0203')).toBe('10.1.2.3');
  expect(plainAddress('2001:0DB8:0:0:0:0:0:1')).toBe('2001:db8::1');
  expect(plainAddress('fe80::1%eth0')).toBe('fe80::1');
  expect(plainAddress('10.1.2.3')).toBe('10.1.2.3');
});
