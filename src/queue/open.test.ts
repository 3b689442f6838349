import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openQueue, openQueueReader } from './open.ts';

const SETTINGS = { partitions: 2, sinks: [{ name: 'main', required: true }], mapping: '' };

test('an unknown scheme is refused with those that are known', async () => {
  const wanted = {
    code: 'bad_config',
    message:
      'queue.url has the unknown scheme kafka:; known are sqlite: redis: rediss: redis+sentinel: rediss+sentinel: redis+cluster: rediss+cluster:',
  };
  await expect(openQueue({ url: 'kafka://host' }, SETTINGS, { folder: tmpdir() })).rejects.toMatchObject(wanted);
  await expect(openQueueReader({ url: 'kafka://host' }, { folder: tmpdir() })).rejects.toMatchObject(wanted);
  await expect(openQueue({ url: 'localhost' }, SETTINGS, { folder: tmpdir() })).rejects.toMatchObject({
    code: 'bad_config',
    message: expect.stringContaining('no scheme'),
  });
});

test('sqlite: lies in the data folder, sqlite:<folder> in that folder', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'syncline-open-'));
  try {
    const inside = await openQueue({ url: 'sqlite:' }, SETTINGS, { folder });
    const beside = await openQueue({ url: `sqlite:${join(folder, 'beside')}` }, SETTINGS, { folder });
    expect(inside.partitionCount + beside.partitionCount).toBe(4);
    await inside.close();
    await beside.close();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
