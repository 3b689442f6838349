import { expect, test } from 'vitest';
import { VirtualClock } from '../../test/support/virtual-clock.ts';
import type { Logger } from '../admin/log.ts';
import type { Refusal } from '../ingest/failed-attempts.ts';
import { AuthLog } from './auth-log.ts';

const refusal = (address: string, reason: Refusal['reason'] = 'unknown_token', producer?: string): Refusal => ({
  ...{ address, reason, producer },
  claimedId: 'claimed',
});

function watch() {
  const clock = new VirtualClock();
  const lines: object[] = [];
  const logger = { warn: (fields: object, message: string) => void lines.push({ ...fields, message }) } as unknown as Logger;
  return { clock, lines, log: new AuthLog(clock, logger) };
}

test('the first of each address and reason is written at once, and those after it together', async () => {
  const { clock, lines, log } = watch();
  for (let i = 0; i < 1_000; i++) log.refused(refusal('10.0.0.1'));
  log.refused(refusal('10.0.0.1', 'address', 'shop'));
  expect(lines).toEqual([
    expect.objectContaining({ address: '10.0.0.1', reason: 'unknown_token', count: 1 }),
    expect.objectContaining({ address: '10.0.0.1', reason: 'address', producer: 'shop', count: 1 }),
  ]);
  await clock.advance(30_000);
  expect(lines.slice(2)).toEqual([expect.objectContaining({ reason: 'unknown_token', count: 999 })]);
  expect(JSON.stringify(lines)).not.toContain('claimed');
});

test('a flood from many addresses takes few lines', async () => {
  const { clock, lines, log } = watch();
  for (let i = 0; i < 1_000; i++) log.refused(refusal(`10.0.${i >> 8}.${i & 255}`));
  await clock.advance(30_000);
  expect(lines).toHaveLength(33);
  expect(lines.at(-1)).toMatchObject({ count: 968 });
});

test('what was gathered is written at the end', () => {
  const { clock, lines, log } = watch();
  for (let i = 0; i < 3; i++) log.refused(refusal('10.0.0.1'));
  log.flush();
  expect(lines.at(-1)).toMatchObject({ count: 2 });
  expect(clock.timerCount).toBe(0);
});
