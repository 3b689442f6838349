import { expect, test } from 'vitest';
import { createLogger } from '../admin/log.ts';
import { VirtualClock } from '../../test/support/virtual-clock.ts';
import { DeadLetterLog } from './dead-letter-log.ts';

test('dead letters of one second share a line, and none means no line', async () => {
  const lines: unknown[] = [];
  const clock = new VirtualClock();
  const log = new DeadLetterLog(clock, createLogger({ level: 'info', format: 'json' }, { write: (line) => lines.push(JSON.parse(line)) }));
  log.added(0);
  await clock.advance(2_000);
  expect(lines).toEqual([]);
  for (let i = 0; i < 5; i++) {
    log.added(2);
    await clock.advance(100);
  }
  await clock.advance(1_000);
  expect(lines).toMatchObject([{ level: 'warn', count: 10 }]);
  log.added(1);
  log.flush();
  log.flush();
  expect(lines).toMatchObject([{ count: 10 }, { count: 1 }]);
});
