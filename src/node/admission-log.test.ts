import { expect, test } from 'vitest';
import { createLogger } from '../admin/log.ts';
import { QueueEvents } from '../queue/queue-events.ts';
import { logAdmission } from './admission-log.ts';

test('the log says when producers are held back and why, once for each kind of reason, and when they may send again', async () => {
  const lines: Record<string, unknown>[] = [];
  const events = new QueueEvents({ state: 'held', reason: 'queue_unavailable: not connected yet' });
  const stop = logAdmission(events, createLogger({ level: 'info', format: 'json' }, { write: (line) => lines.push(JSON.parse(line) as never) }));
  events.admit('queue_unavailable: ECONNREFUSED');
  events.connected();
  events.admit(undefined);
  events.admit('queue_full: 71 % of maxmemory');
  events.admit('queue_evicting: allkeys-lru');
  await stop();
  events.admit(undefined);
  expect(lines.map(({ level, msg, reason }) => [level, msg, reason])).toEqual([
    ['warn', 'producers are held back', 'queue_unavailable: not connected yet'],
    ['info', 'producers may send again', undefined],
    ['warn', 'producers are held back', 'queue_full: 71 % of maxmemory'],
    ['warn', 'producers are held back', 'queue_evicting: allkeys-lru'],
  ]);
});
