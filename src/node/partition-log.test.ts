import { expect, test } from 'vitest';
import { createLogger } from '../admin/log.ts';
import { VirtualClock } from '../../test/support/virtual-clock.ts';
import { PartitionLog, ranges } from './partition-log.ts';

test('partitions to which the same happens share a line, with the last of their states', async () => {
  const lines: Record<string, unknown>[] = [];
  const clock = new VirtualClock();
  const log = new PartitionLog(
    clock,
    createLogger({ level: 'info', format: 'json' }, { write: (line) => lines.push(JSON.parse(line) as never) }),
  );
  for (const partition of [3, 1, 2]) log.changed(partition, 'retrying', 'sink_busy: deadlock');
  log.changed(2, 'applying', '');
  log.changed(7, 'retrying', 'sink_busy: deadlock');
  await clock.advance(60);
  expect(lines).toMatchObject([
    { level: 'warn', partitions: '1,3,7', state: 'retrying', detail: 'sink_busy: deadlock' },
    { level: 'info', partitions: '2', state: 'applying' },
  ]);
  await clock.advance(1000);
  expect(lines).toHaveLength(2);
});

test('neighbours are written as a range', () => {
  expect(ranges([5, 0, 1, 2, 7, 8])).toBe('0-2,5,7-8');
  expect(ranges([])).toBe('');
});
