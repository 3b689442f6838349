import { beforeEach, expect, test } from 'vitest';
import { VirtualClock } from '../../test/support/virtual-clock.ts';
import { createLogger } from '../admin/log.ts';
import { CertificateWatch } from './certificate-watch.ts';

const DAY_MS = 86_400_000;
let clock: VirtualClock;
let lines: [unknown, unknown][];
let watch: CertificateWatch;

beforeEach(() => {
  clock = new VirtualClock();
  lines = [];
  const write = (line: string) => {
    const { level, msg } = JSON.parse(line) as Record<string, unknown>;
    lines.push([level, msg]);
  };
  watch = new CertificateWatch(clock, createLogger({ level: 'info', format: 'json' }, { write }));
});

const endingIn = (ms: number) => ({ names: ['DNS:sync.example'], expiresAtMs: clock.wallMs() + ms });
const told = () => lines.splice(0).map(([level, message]) => `${String(level)}: ${String(message).replace(/;.*/, '')}`);

test('a certificate that lasts is not spoken of, until three weeks are left: then every day', async () => {
  watch.watch(endingIn(22.5 * DAY_MS));
  await clock.advance(DAY_MS);
  expect(told()).toEqual([]);
  await clock.advance(DAY_MS);
  expect(told()).toEqual(['warn: the TLS certificate expires in 20 days']);
  await clock.advance(19 * DAY_MS);
  expect(told().slice(-2)).toEqual(['warn: the TLS certificate expires in 2 days', 'warn: the TLS certificate expires in 1 day']);
  await clock.advance(DAY_MS);
  expect(told()).toEqual(['warn: the TLS certificate expires in less than a day']);
  await clock.advance(2 * DAY_MS);
  expect(told()).toEqual(Array(2).fill('error: the TLS certificate has expired: clients refuse it'));
  watch.close();
  expect(clock.timerCount).toBe(0);
});

test('one that is nearly over is spoken of at once, and no more when another has taken its place', async () => {
  watch.watch(endingIn(DAY_MS));
  expect(told()).toEqual(['warn: the TLS certificate expires in 1 day']);
  watch.watch(endingIn(90 * DAY_MS));
  await clock.advance(3 * DAY_MS);
  expect(told()).toEqual([]);
  expect(clock.timerCount).toBe(1);
  watch.close();
});
