import { expect, test } from 'vitest';
import { VirtualClock } from '../../test/support/virtual-clock.ts';
import { createLogger } from '../admin/log.ts';
import { SyncError } from '../core/errors.ts';
import { ProxyLog } from './proxy-log.ts';

test('the first refused connection of a balancer is told at once, and those after it in one line', async () => {
  const lines: unknown[] = [];
  const clock = new VirtualClock();
  const logger = createLogger({ level: 'info', format: 'json' }, { write: (line) => lines.push(JSON.parse(line)) });
  const log = new ProxyLog(clock, logger, 'listen.web.proxyFrom');
  const error = new SyncError('bad_proxy_header', 'no complete header came within 5000 ms');
  log.refused('10.0.0.5', error);
  expect(lines).toMatchObject([
    { level: 'warn', address: '10.0.0.5', code: 'bad_proxy_header', count: 1, msg: expect.stringContaining('listen.web.proxyFrom') },
  ]);
  for (let i = 0; i < 100; i++) log.refused('10.0.0.5', error);
  expect(lines.length).toBe(1);
  await clock.advance(30_000);
  expect(lines.slice(1)).toMatchObject([{ count: 100 }]);
  await clock.advance(60_000);
  log.refused('10.0.0.6', error);
  log.refused('10.0.0.6', error);
  log.flush();
  log.flush();
  expect(lines.slice(2)).toMatchObject([{ address: '10.0.0.6', count: 1 }, { count: 1 }]);
  expect(clock.timerCount).toBe(0);
});
