import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../core/clock.ts';
import { openSink } from './registry.ts';

const options = { name: 'main', schema: 'evolve', clock: systemClock } as const;

describe('a sink', () => {
  test('of an unknown scheme is refused by naming the known ones, never the URL', async () => {
    const opened = openSink({ ...options, url: 'oracle://user:secret@host/db' });
    await expect(opened).rejects.toMatchObject({
      code: 'sink_unsuitable',
      message: expect.stringMatching(/oracle: .*sqlite:, mysql:, mariadb:/),
    });
    await expect(opened).rejects.not.toMatchObject({ message: expect.stringContaining('secret') });
    for (const url of ['', 'data.db', 'constructor:x'])
      await expect(openSink({ ...options, url })).rejects.toMatchObject({ code: 'sink_unsuitable' });
  });

  test('sqlite: is a file in the data folder, or the path that follows', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'syncline-registry-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    for (const url of ['sqlite:', `sqlite:${join(folder, 'a.db')}`, `sqlite://${join(folder, 'b.db')}`]) {
      const sink = await openSink({ ...options, url, folder });
      await sink.prepare({ partitions: 1, mapping: '' });
      await sink.close();
    }
    expect(['data.db', 'a.db', 'b.db'].filter((name) => !existsSync(join(folder, name)))).toEqual([]);
    await expect(openSink({ ...options, url: 'sqlite:' })).rejects.toMatchObject({ code: 'sink_unsuitable' });
  });

  test('memory: works without anything', async () => {
    const sink = await openSink({ ...options, url: 'memory:' });
    await sink.prepare({ partitions: 1, mapping: '' });
    expect(sink.tables()).toEqual([]);
  });
});
