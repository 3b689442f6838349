import { expect, test } from 'vitest';
import { RedisLink, type Driver } from './link.ts';

test('a link that was closed while it connected does not come up any more', () => {
  const listeners = new Map<string, (error?: unknown) => void>();
  const driver: Driver = {
    on: (event: string, listener: (error?: unknown) => void) => listeners.set(event, listener),
    callBuffer: () => Promise.reject(new Error('nothing is asked')),
    // As ioredis does, it becomes ready all the same, and closes then.
    disconnect: () => {},
  };
  const told: string[] = [];
  const events = { up: () => told.push('up'), down: () => told.push('down') };
  const link = new RedisLink({ url: 'redis://127.0.0.1', createDriver: () => driver }, events);
  link.close();
  listeners.get('ready')?.();
  listeners.get('close')?.();
  expect([told, link.up]).toEqual([['down'], false]);
});
