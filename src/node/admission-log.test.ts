import { expect, test } from 'vitest';
import { VirtualClock } from '../../test/support/virtual-clock.ts';
import { createLogger } from '../admin/log.ts';
import { QueueEvents } from '../queue/queue-events.ts';
import { logAdmission } from './admission-log.ts';

test('the log says when producers are held back and why, once for each kind of reason, and when they may send again', async () => {
  const lines: unknown[] = [];
  const write = (line: string) => {
    const { level, msg, reason } = JSON.parse(line) as Record<string, unknown>;
    lines.push([level, msg, reason]);
  };
  const clock = new VirtualClock();
  const events = new QueueEvents({ state: 'held', reason: 'queue_unavailable: not connected yet' });
  const stop = logAdmission(events, clock, createLogger({ level: 'info', format: 'json' }, { write }));
  events.admit('queue_unavailable: ECONNREFUSED');
  events.connected();
  events.admit(undefined);
  await clock.advance(2_000);
  events.admit('queue_full: 71 % of maxmemory');
  // It takes a little now and then, and is full again.
  events.admit(undefined);
  await clock.advance(1_000);
  events.admit('queue_full: 72 % of maxmemory');
  await clock.advance(10_000);
  events.admit('queue_evicting: allkeys-lru');
  events.admit(undefined);
  await stop();
  await clock.advance(10_000);
  expect(lines).toEqual([
    ['warn', 'producers are held back', 'queue_unavailable: not connected yet'],
    ['info', 'producers may send again', undefined],
    ['warn', 'producers are held back', 'queue_full: 71 % of maxmemory'],
    ['warn', 'producers are held back', 'queue_evicting: allkeys-lru'],
  ]);
});
