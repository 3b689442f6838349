import { expect, test } from 'vitest';
import { systemClock } from '../../core/clock.ts';
import { parseAddress } from './address.ts';
import { ConnectionSet } from './connection-set.ts';

test('questions to a database that stands still wait in a line that has an end', async () => {
  let dialled = 0;
  const connections = new ConnectionSet({
    address: parseAddress('mysql://root@127.0.0.1/shop'),
    tls: undefined,
    clock: systemClock,
    statementTimeoutMs: 1_000,
    dial: () => {
      dialled++;
      return new Promise(() => {});
    },
  });
  const ask = () => connections.use(() => Promise.resolve('an answer'));
  for (let i = 0; i < 1_008; i++) void ask();
  await expect(ask()).rejects.toMatchObject({ code: 'sink_busy' });
  expect(dialled).toBe(8);
});
