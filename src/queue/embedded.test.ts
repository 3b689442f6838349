import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statfsSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { eventually } from '../../test/support/eventually.ts';
import { openEmbeddedQueue } from './embedded.ts';
import { openEmbeddedReader } from './embedded/reader.ts';
import type { AppendEntry, Queue } from './queue.ts';

const SETTINGS = { partitions: 4, sinks: [{ name: 'main', required: true }], mapping: '' };
const STREAM = 'a'.repeat(32);
const LEASE = { sink: 'main', partition: 1, token: '1'.repeat(32) };

function frames(from: number, to: number, bytes = 10): AppendEntry[] {
  return Array.from({ length: to - from + 1 }, (_, i) => ({
    stream: STREAM,
    producer: 'shop',
    seq: from + i,
    prev: from + i - 1,
    crc: from + i,
    frame: Buffer.alloc(bytes, i),
    kind: 'frame' as const,
  }));
}

async function drain(queue: Queue): Promise<void> {
  await queue.acquire(LEASE, 'node', 60_000, 'steal');
  for (;;) {
    const elements = await queue.fetch('main', 1, { elements: 256, bytes: 8 << 20 });
    const last = elements.at(-1);
    if (last === undefined) return;
    expect(await queue.trim(LEASE, elements.length, last.identity, [])).toBe(true);
  }
}

describe('the embedded queue', () => {
  let folder: string;
  const opened: Queue[] = [];
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'syncline-embedded-'));
  });
  afterEach(async () => {
    for (const queue of opened.splice(0)) await queue.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const open = async (options: { folder?: string; maxBytes?: number } = {}) => {
    const queue = await openEmbeddedQueue(SETTINGS, { folder, ...options });
    opened.push(queue);
    return queue;
  };

  test('cannot be opened twice, and can be once it is closed', async () => {
    const first = await open();
    await expect(open()).rejects.toMatchObject({ code: 'queue_locked', kind: 'startup' });
    await first.append(1, frames(1, 1));
    await first.close();
    expect((await (await open()).append(1, frames(2, 2)))[0]?.verdict).toBe('append');
  });

  test('is locked for other processes, and free as soon as its process is killed; what was acknowledged is there', async () => {
    const script = join(folder, 'child.ts');
    writeFileSync(
      script,
      `import { openEmbeddedQueue } from ${JSON.stringify(new URL('./embedded.ts', import.meta.url).href)};
       const queue = await openEmbeddedQueue(${JSON.stringify(SETTINGS)}, { folder: ${JSON.stringify(folder)} });
       for (let seq = 1; ; seq++) {
         await queue.append(1, [{ stream: '${STREAM}', producer: 'shop', seq, prev: seq - 1, crc: seq, frame: Buffer.alloc(100), kind: 'frame' }]);
         process.stdout.write(seq + '\\n');
       }`,
    );
    const child = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += String(chunk)));
    const ended = new Promise((resolve) => child.once('exit', resolve));
    try {
      await eventually(() => expect(output.split('\n').length).toBeGreaterThan(20));
      await expect(open()).rejects.toMatchObject({ code: 'queue_locked' });
    } finally {
      child.kill('SIGKILL');
      await ended;
    }
    const acknowledged = Number(output.slice(0, output.lastIndexOf('\n')).split('\n').at(-1));
    const queue = await open();
    const stored = (await queue.streams(1)).get(STREAM)?.seq as number;
    expect(stored).toBeGreaterThanOrEqual(acknowledged);
    expect((await queue.backlog('main'))[1]?.count).toBe(stored);
    expect((await queue.fetch('main', 1, { elements: 1e6, bytes: 1e9 })).map((element) => element.ordinal).at(-1)).toBe(stored);
  });

  test('commits what is asked together in fewer transactions than calls', async () => {
    const queue = await open();
    const before = commits(folder);
    await Promise.all(Array.from({ length: 200 }, (_, i) => queue.append(1, frames(i + 1, i + 1))));
    expect(commits(folder) - before).toBeLessThan(100);
  });

  test('holds producers back at 90 % of its limit, refuses at it, and opens when it has drained', async () => {
    const queue = await open({ maxBytes: 4 << 20 });
    let seq = 0;
    while (queue.admission.state === 'open') await queue.append(1, frames(++seq, seq, 100_000));
    expect(queue.admission).toMatchObject({ reason: expect.stringMatching(/^queue_full: .*90 %/) });
    expect(seq).toBeLessThan(42);
    const refused = await eventually(async () => {
      for (;;) await queue.append(1, frames(++seq, seq, 100_000));
    }, 0).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: 'queue_full', kind: 'transient' });
    await drain(queue);
    expect(queue.admission).toEqual({ state: 'open' });
    expect((await queue.append(1, frames(seq, seq)))[0]?.verdict).toBe('append');
  });

  test('reuses the space of what was trimmed, and its log stays small', async () => {
    const queue = await open();
    let seq = 0;
    const round = async () => {
      await queue.append(1, frames(seq + 1, seq + 40, 100_000));
      seq += 40;
      await drain(queue);
    };
    await round();
    const size = statSync(join(folder, 'queue.sqlite')).size;
    for (let i = 0; i < 10; i++) await round();
    expect(statSync(join(folder, 'queue.sqlite')).size).toBeLessThan(2 * Math.max(size, 5 << 20));
    expect(statSync(join(folder, 'queue.sqlite-wal')).size).toBeLessThan(64 << 20);
  });

  test('gives space back after a large backlog was drained', async () => {
    const queue = await open();
    await queue.append(1, frames(1, 900, 100_000));
    expect(statSync(join(folder, 'queue.sqlite')).size).toBeGreaterThan(85 << 20);
    await drain(queue);
    await eventually(() => expect(statSync(join(folder, 'queue.sqlite')).size).toBeLessThan(72 << 20), 25_000, 200);
  });

  test('a reader that comes before the queue finds it when it is there', async () => {
    const reader = await openEmbeddedReader({ folder });
    await expect(reader.fetch('main', 1, { elements: 1, bytes: 1 })).rejects.toMatchObject({ kind: 'transient' });
    await (await open()).append(1, frames(1, 2));
    expect(await reader.fetch('main', 1, { elements: 10, bytes: 1e6 })).toHaveLength(2);
    await reader.close();
  });

  test('closing answers what was asked and refuses what comes after', async () => {
    const queue = await open();
    const last = queue.append(1, frames(1, 100));
    await queue.close();
    expect(await last).toHaveLength(100);
    await expect(queue.append(1, frames(101, 101))).rejects.toMatchObject({ code: 'queue_unavailable' });
  });

  test('a file of a newer format is refused', async () => {
    await (await open()).close();
    const database = new DatabaseSync(join(folder, 'queue.sqlite'));
    database.exec('PRAGMA user_version = 2');
    database.close();
    await expect(open()).rejects.toMatchObject({ code: 'queue_mismatch' });
  });

  test('a file that is no database is an error, not a crash', async () => {
    writeFileSync(join(folder, 'queue.sqlite'), 'this is not a database, whatever its name says '.repeat(100));
    await expect(open()).rejects.toMatchObject({ kind: 'transient', message: expect.stringContaining('queue file') });
  });

  describe.skipIf(!canMount())('on a disk of 6 MB (needs the right to mount)', () => {
    let disk: string;
    beforeEach(() => {
      disk = join(folder, 'disk');
      mkdirSync(disk);
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=6m', 'tmpfs', disk]);
    });
    afterEach(async () => {
      for (const queue of opened.splice(0)) await queue.close();
      execFileSync('umount', [disk]);
    });

    test('leaves some of it free, for the sink that makes it shorter', async () => {
      const queue = await open({ folder: disk });
      let seq = 0;
      const refusal = await (async () => {
        for (;;) await queue.append(1, frames(seq + 1, ++seq, 50_000));
      })().catch((error: unknown) => error);
      expect(refusal).toMatchObject({ code: 'queue_full', message: expect.stringContaining('less than 1.2 MiB left') });
      expect(queue.admission).toMatchObject({ state: 'held', reason: expect.stringContaining('less than 1.2 MiB left') });
      const { bavail, bsize } = statfsSync(disk);
      expect(bavail * bsize).toBeGreaterThan(500_000);
      await drain(queue);
      expect((await queue.backlog('main'))[1]).toMatchObject({ count: 0, bytes: 0 });
    });

    test('a full disk loses nothing and holds producers back, until there is room', async () => {
      writeFileSync(join(disk, 'ballast'), Buffer.alloc(2 << 20));
      const queue = await open({ folder: disk });
      let seq = 0;
      const full = await eventually(async () => {
        for (;;) {
          await queue.append(1, frames(seq + 1, seq + 1, 50_000));
          seq++;
        }
      }, 0).catch((error: unknown) => error);
      expect(full).toMatchObject({ code: 'queue_full', kind: 'transient' });
      expect(seq).toBeGreaterThan(5);
      expect(queue.admission).toMatchObject({ state: 'held', reason: expect.stringMatching(/^queue_full: /) });
      expect((await queue.streams(1)).get(STREAM)?.seq).toBe(seq);
      expect(await queue.fetch('main', 1, { elements: 1000, bytes: 1e9 })).toHaveLength(seq);
      rmSync(join(disk, 'ballast'));
      await eventually(() => expect(queue.admission).toEqual({ state: 'open' }));
      expect((await queue.append(1, frames(seq + 1, seq + 1)))[0]?.verdict).toBe('append');
      await drain(queue);
      expect((await queue.backlog('main'))[1]).toMatchObject({ count: 0, bytes: 0 });
    });
  });
});

/** How many commits the log has seen: its frames that end a transaction. */
function commits(folder: string): number {
  const wal = readWal(join(folder, 'queue.sqlite-wal'));
  const pageBytes = wal.readUInt32BE(8);
  let count = 0;
  for (let at = 32; at + 24 + pageBytes <= wal.length; at += 24 + pageBytes) if (wal.readUInt32BE(at + 4) !== 0) count++;
  return count;
}

function readWal(file: string): Buffer {
  return execFileSync('cat', [file], { maxBuffer: 1 << 28 });
}

function canMount(): boolean {
  if (process.getuid?.() !== 0) return false;
  const probe = mkdtempSync(join(tmpdir(), 'syncline-mount-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', probe], { stdio: 'ignore' });
    execFileSync('umount', [probe]);
    return true;
  } catch {
    return false;
  } finally {
    rmSync(probe, { recursive: true, force: true });
  }
}
