import { expect, test } from 'vitest';
import { connectionsThatFit, descriptorWarning } from './descriptors.ts';

test('all connections fit where the limit is high enough', () => {
  expect(connectionsThatFit(1000, 20_000)).toBe(1000);
  expect(connectionsThatFit(1000, 1256)).toBe(1000);
  expect(descriptorWarning(1000, 1256)).toBeUndefined();
});

test('fewer fit where it is low, which is said with what to do', () => {
  expect(connectionsThatFit(1000, 1024)).toBe(768);
  expect(connectionsThatFit(1000, 64)).toBe(1);
  expect(descriptorWarning(1000, 1024)).toMatch(/maxConnections is 1000, but .* 1024 files: 768 connections .*ulimit -n/);
});
