import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, describe, expect, test } from 'vitest';
import type { Place } from '../core/stream.ts';
import { FrameDecoder } from '../protocol/frame-decoder.ts';
import { FRAME, encodeFrame, frameCrc } from '../protocol/frame.ts';
import { type Disk, nodeDisk } from './disk.ts';
import { openFileSpool } from './file-spool.ts';
import { SEGMENT_BYTES } from './generation.ts';
import { createMemorySpool } from './memory-spool.ts';
import type { Spool, SpooledFrame } from './spool.ts';

const STREAM = '00112233445566778899aabbccddeeff';
const OTHER = 'ffeeddccbbaa99887766554433221100';

const folders: string[] = [];
const spools: Spool[] = [];

afterEach(async () => {
  for (const spool of spools.splice(0)) await spool.close();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'syncline-spool-'));
  folders.push(folder);
  return folder;
}

async function open(folder: string, disk?: Disk): Promise<Spool> {
  const spool = await openFileSpool(folder, disk);
  spools.push(spool);
  return spool;
}

/** Frames of one partition, each naming the one before. */
class Chain {
  readonly frames: SpooledFrame[] = [];
  readonly #partition: number;
  readonly #bytes: number;

  constructor(partition: number, bytes = 20) {
    this.#partition = partition;
    this.#bytes = bytes;
  }

  /** The next `count` frames. */
  next(count: number): SpooledFrame[] {
    const added: SpooledFrame[] = [];
    for (let i = 0; i < count; i++) {
      const seq = this.frames.length + 1;
      const payload = Buffer.alloc(this.#bytes, `${this.#partition} ${seq} `);
      const bytes = encodeFrame({ type: FRAME.batch, partition: this.#partition, seq, prev: this.frames.at(-1)?.crc ?? 0, payload });
      const frame = { partition: this.#partition, seq, crc: frameCrc(bytes), bytes };
      this.frames.push(frame);
      added.push(frame);
    }
    return added;
  }

  place(seq: number): Place {
    return { seq, crc: this.frames[seq - 1]!.crc };
  }
}

/** What is held, as `partition:seq`, and the bytes of it. */
function heldOf(spool: Spool): string[] {
  return spool.restored.held.map(({ partition, seq }) => `${partition}:${seq}`);
}

function segments(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.frames'))
    .sort();
}

describe.each<[string, () => Promise<Spool>]>([
  ['memory', () => Promise.resolve(createMemorySpool())],
  ['file', () => open(newFolder())],
])('a new %s spool', (_, create) => {
  test('holds nothing, and takes frames, marks, notes and new streams', async () => {
    const spool = await create();
    expect(spool.restored).toEqual({ stream: undefined, assigned: new Map(), held: [], left: [], note: undefined });
    const chain = new Chain(1);
    await spool.reset(STREAM, [], []);
    await spool.append(chain.next(3));
    spool.applied(1, chain.place(2));
    await spool.remember('a note');
    await spool.append(chain.next(1));
    await spool.reset(OTHER, new Chain(2).next(2), []);
    await spool.append(new Chain(3).next(1));
    await spool.close();
    await spool.close();
  });
});

describe('a file spool that is opened again', () => {
  test('has the stream, the note, the frames byte for byte, and what was assigned', async () => {
    const folder = newFolder();
    const spool = await open(folder);
    const [one, two] = [new Chain(1), new Chain(250)];
    await spool.reset(STREAM, [], []);
    await spool.remember('{"a":"note"}');
    await spool.append([...one.next(2), ...two.next(1)]);
    await spool.append(one.next(1));
    await spool.close();
    const again = await open(folder);
    expect(again.restored.stream).toBe(STREAM);
    expect(again.restored.note).toBe('{"a":"note"}');
    expect(again.restored.assigned).toEqual(
      new Map([
        [1, one.place(3)],
        [250, two.place(1)],
      ]),
    );
    // In the order in which they were made.
    expect(heldOf(again)).toEqual(['1:1', '1:2', '250:1', '1:3']);
    expect(again.restored.held.map((frame) => Buffer.from(frame.bytes))).toEqual(
      [...one.frames.slice(0, 2), ...two.frames, ...one.frames.slice(2)].map((frame) => frame.bytes),
    );
  });

  test('has forgotten what was applied, but not what was assigned', async () => {
    const folder = newFolder();
    const spool = await open(folder);
    const chain = new Chain(0);
    await spool.reset(STREAM, [], []);
    await spool.append(chain.next(5));
    spool.applied(0, chain.place(3));
    await spool.close();
    const again = await open(folder);
    expect(heldOf(again)).toEqual(['0:4', '0:5']);
    again.applied(0, chain.place(5));
    await again.close();
    const last = await open(folder);
    expect(heldOf(last)).toEqual([]);
    expect(last.restored.assigned).toEqual(new Map([[0, chain.place(5)]]));
  });

  test('has only the new stream after a reset', async () => {
    const folder = newFolder();
    const spool = await open(folder);
    await spool.reset(STREAM, [], []);
    await spool.append(new Chain(0).next(4));
    const chain = new Chain(7);
    await spool.reset(OTHER, chain.next(2), [STREAM]);
    await spool.append(chain.next(1));
    await spool.close();
    const again = await open(folder);
    expect(again.restored).toMatchObject({ stream: OTHER, left: [STREAM] });
    expect(heldOf(again)).toEqual(['7:1', '7:2', '7:3']);
    expect(segments(folder)).toHaveLength(1);
  });

  test('is refused while another client uses it, and says who', async () => {
    const folder = newFolder();
    await open(folder);
    await expect(openFileSpool(folder)).rejects.toMatchObject({
      code: 'spool_locked',
      message: expect.stringContaining(`process ${process.pid}`) as string,
    });
  });

  test('is free when its owner was killed', async () => {
    const folder = newFolder();
    const script = `
      const { openFileSpool } = await import(${JSON.stringify(new URL('./file-spool.ts', import.meta.url).href)});
      const spool = await openFileSpool(${JSON.stringify(folder)});
      await spool.reset(${JSON.stringify(STREAM)}, [], []);
      console.log('open');
      setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ['--input-type=module', '--eval', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      await once(child.stdout, 'data');
      await expect(openFileSpool(folder)).rejects.toMatchObject({ code: 'spool_locked' });
    } finally {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    }
    expect((await open(folder)).restored.stream).toBe(STREAM);
  });
});

describe('segments', () => {
  test('are deleted when everything in them is applied, while what was assigned is kept', async () => {
    const folder = newFolder();
    const spool = await open(folder);
    const [big, idle] = [new Chain(0, SEGMENT_BYTES / 2), new Chain(1)];
    await spool.reset(STREAM, [], []);
    await spool.append(idle.next(1));
    spool.applied(1, idle.place(1));
    for (let i = 0; i < 6; i++) await spool.append(big.next(1));
    expect(segments(folder).length).toBeGreaterThan(2);
    spool.applied(0, big.place(6));
    await spool.append(big.next(1));
    expect(segments(folder)).toHaveLength(1);
    await spool.close();
    const again = await open(folder);
    expect(heldOf(again)).toEqual(['0:7']);
    expect(again.restored.assigned).toEqual(
      new Map([
        [1, idle.place(1)],
        [0, big.place(7)],
      ]),
    );
  });

  test('do not pile up behind one partition that is stuck', async () => {
    const folder = newFolder();
    const spool = await open(folder);
    const [big, stuck] = [new Chain(0, SEGMENT_BYTES / 4), new Chain(1)];
    await spool.reset(STREAM, [], []);
    for (let i = 1; i <= 60; i++) {
      await spool.append([...big.next(1), ...stuck.next(1)]);
      spool.applied(0, big.place(i));
    }
    const bytes = segments(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
    expect(bytes).toBeLessThan(7 * SEGMENT_BYTES);
    await spool.close();
    const again = await open(folder);
    expect(heldOf(again)).toEqual(stuck.frames.map((frame) => `1:${frame.seq}`));
    expect(again.restored.held.map((frame) => frame.crc)).toEqual(stuck.frames.map((frame) => frame.crc));
  });

  test('give frames that were carried forward back before those that followed them', async () => {
    const folder = newFolder();
    const spool = await open(folder);
    const [big, stuck, late] = [new Chain(0, SEGMENT_BYTES / 4), new Chain(1), new Chain(2)];
    await spool.reset(STREAM, [], []);
    for (let i = 1; i <= 60; i++) {
      await spool.append([...big.next(1), ...stuck.next(i % 7 === 0 ? 1 : 0), ...late.next(i > 50 ? 1 : 0)]);
      spool.applied(0, big.place(i));
    }
    await spool.close();
    const held = heldOf(await open(folder));
    for (const chain of [stuck, late]) {
      const ours = chain.frames.map(({ partition, seq }) => `${partition}:${seq}`);
      expect(held.filter((frame) => ours.includes(frame))).toEqual(ours);
    }
    expect(held.at(-1)).toBe('2:10');
  });
});

/** What whole frames at the beginning of a segment leave held. */
function wholeFrames(bytes: Buffer): string[] {
  const decoder = new FrameDecoder(1 << 24);
  decoder.push(Uint8Array.from(bytes));
  const applied = new Map<number, number>();
  const frames: { partition: number; seq: number }[] = [];
  for (let frame = decoder.next(); frame !== undefined; frame = decoder.next()) {
    if (frame.type === FRAME.batch) frames.push(frame);
    if (frame.type === FRAME.applied) applied.set(frame.partition, frame.seq);
  }
  const held = frames.filter(({ partition, seq }) => seq > (applied.get(partition) ?? 0));
  return held.map(({ partition, seq }) => `${partition}:${seq}`);
}

/** A spool of three groups: a folder with one segment, where each group ends, and what is held after each. */
async function smallSpool(): Promise<{ folder: string; path: string; ends: number[]; held: string[][] }> {
  const folder = newFolder();
  const spool = await open(folder);
  const [one, two] = [new Chain(0), new Chain(3)];
  await spool.reset(STREAM, [], []);
  const ends: number[] = [];
  const held: string[][] = [[]];
  const path = () => join(folder, segments(folder)[0]!);
  await spool.append([...one.next(2), ...two.next(1)]);
  ends.push(statSync(path()).size);
  held.push(['0:1', '0:2', '3:1']);
  spool.applied(0, one.place(1));
  await spool.append(one.next(1));
  ends.push(statSync(path()).size);
  held.push(['0:2', '3:1', '0:3']);
  await spool.append(two.next(2));
  ends.push(statSync(path()).size);
  held.push(['0:2', '3:1', '0:3', '3:2', '3:3']);
  await spool.close();
  return { folder, path: path(), ends, held };
}

describe('damage', () => {
  test('a segment cut at any byte has every frame that is whole, and takes new ones', async () => {
    const { folder, path } = await smallSpool();
    const whole = readFileSync(path);
    for (let bytes = 0; bytes <= whole.length; bytes++) {
      writeFileSync(path, whole.subarray(0, bytes));
      const spool = await openFileSpool(folder);
      await spool.close();
      expect(heldOf(spool), `cut at byte ${bytes}`).toEqual(wholeFrames(whole.subarray(0, bytes)));
      if (bytes % 20 > 0) continue;
      const copy = newFolder();
      cpSync(folder, copy, { recursive: true });
      const chain = new Chain(0);
      chain.next(spool.restored.assigned.get(0)?.seq ?? 0);
      const longer = await open(copy);
      await longer.append(chain.next(1));
      await longer.close();
      expect(heldOf(await open(copy))).toContain(`0:${chain.frames.length}`);
    }
  });

  test('a torn tail of garbage is cut off', async () => {
    const { folder, path, ends, held } = await smallSpool();
    const whole = readFileSync(path);
    writeFileSync(path, Buffer.concat([whole.subarray(0, ends[2]), Buffer.alloc(5000, 0xa5)]));
    expect(heldOf(await open(folder))).toEqual(held[3]);
    expect(statSync(path).size).toBe(ends[2]);
  });

  test('a byte that is wrong in a group that had been durable is an error, whichever byte it is', async () => {
    const { folder, path, ends } = await smallSpool();
    const whole = readFileSync(path);
    for (let at = 0; at < ends[1]!; at++) {
      const damaged = Buffer.from(whole);
      damaged[at]! ^= 0x40;
      writeFileSync(path, damaged);
      await expect(openFileSpool(folder), `byte ${at}`).rejects.toMatchObject({
        code: 'spool_corrupt',
        message: expect.stringContaining('move it away') as string,
      });
    }
    writeFileSync(path, whole);
    await open(folder);
  });

  test('a missing segment or head is an error', async () => {
    const folder = newFolder();
    const spool = await open(folder);
    const chain = new Chain(0, SEGMENT_BYTES);
    await spool.reset(STREAM, [], []);
    for (let i = 0; i < 3; i++) await spool.append(chain.next(1));
    await spool.close();
    const copy = newFolder();
    cpSync(folder, copy, { recursive: true });
    rmSync(join(folder, segments(folder)[1]!));
    await expect(openFileSpool(folder)).rejects.toMatchObject({ code: 'spool_corrupt' });
    rmSync(join(copy, 'head.json'));
    await expect(openFileSpool(copy)).rejects.toMatchObject({ code: 'spool_corrupt' });
  });

  test('what a reset that was cut short left behind is deleted', async () => {
    const { folder, held } = await smallSpool();
    writeFileSync(join(folder, '000009-00000001.frames'), 'half a frame');
    expect(heldOf(await open(folder))).toEqual(held[3]);
    expect(segments(folder)).toHaveLength(1);
  });
});

/** A disk on which everything fails that `fails` says; what was written before it failed stays half done. */
function failingDisk(fails: (operation: string) => boolean): Disk {
  const check = (operation: string) => {
    if (fails(operation)) throw Object.assign(new Error(`ENOSPC: no space left on device, ${operation}`), { code: 'ENOSPC' });
  };
  return {
    async create(path) {
      check('create');
      const file = await nodeDisk.create(path);
      return {
        async write(bytes, position) {
          if (fails('write')) {
            await file.write(bytes.subarray(0, bytes.length / 2), position);
            check('write');
          }
          await file.write(bytes, position);
        },
        async sync() {
          check('sync');
          await file.sync();
        },
        async truncate(bytes) {
          check('truncate');
          await file.truncate(bytes);
        },
        close: () => file.close(),
      };
    },
    async replace(path, content) {
      check('replace');
      await nodeDisk.replace(path, content);
    },
    remove: (path) => nodeDisk.remove(path),
  };
}

describe('a disk that fails', () => {
  test.each([['create'], ['write'], ['sync'], ['write truncate'], ['sync truncate']])(
    'at %s: nothing is kept, and the next attempt succeeds',
    async (operations) => {
      const folder = newFolder();
      let failing = false;
      const spool = await open(
        folder,
        failingDisk((operation) => failing && operations.split(' ').includes(operation)),
      );
      const chain = new Chain(0, SEGMENT_BYTES / 2 + 1);
      await spool.reset(STREAM, [], []);
      await spool.append(chain.next(2));
      failing = true;
      const frames = chain.next(2);
      await expect(spool.append(frames)).rejects.toMatchObject({ code: 'spool_unavailable' });
      await expect(spool.append(frames)).rejects.toMatchObject({ code: 'spool_unavailable' });
      failing = false;
      await spool.append(frames);
      await spool.append(chain.next(1));
      await spool.close();
      expect(heldOf(await open(folder))).toEqual(['0:1', '0:2', '0:3', '0:4', '0:5']);
    },
  );

  test('during a reset: the old stream stays until a reset succeeds', async () => {
    for (const failure of ['create', 'write', 'sync', 'replace']) {
      const folder = newFolder();
      let failing = false;
      const spool = await open(
        folder,
        failingDisk((operation) => failing && operation === failure),
      );
      await spool.reset(STREAM, [], []);
      await spool.append(new Chain(0).next(3));
      failing = true;
      const chain = new Chain(5);
      const frames = chain.next(2);
      await expect(spool.reset(OTHER, frames, [])).rejects.toMatchObject({ code: 'spool_unavailable' });
      const killed = newFolder();
      cpSync(folder, killed, { recursive: true, filter: (path) => !path.endsWith('lock') });
      const found = await open(killed);
      expect(found.restored.stream).toBe(STREAM);
      expect(heldOf(found)).toEqual(['0:1', '0:2', '0:3']);
      failing = false;
      await spool.reset(OTHER, frames, []);
      await spool.append(chain.next(1));
      await spool.close();
      const again = await open(folder);
      expect(again.restored.stream).toBe(OTHER);
      expect(heldOf(again)).toEqual(['5:1', '5:2', '5:3']);
    }
  });
});
