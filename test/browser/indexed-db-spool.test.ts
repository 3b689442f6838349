import 'fake-indexeddb/auto';
import { forceCloseDatabase } from 'fake-indexeddb';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { openIndexedDbSpool } from '../../src/client/browser/indexed-db-spool.ts';
import type { Spool } from '../../src/client/spool.ts';
import { describeSpool } from '../contract/spool.contract.ts';
import { FrameChain, heldOf } from '../support/frame-chain.ts';

const STREAM = '00112233445566778899aabbccddeeff';
const OTHER = 'ffeeddccbbaa99887766554433221100';

const spools: Spool[] = [];
let count = 0;

afterEach(async () => {
  vi.restoreAllMocks();
  for (const spool of spools.splice(0)) await spool.close();
});

function newName(): string {
  count += 1;
  return `spool ${count}`;
}

async function open(name: string): Promise<Spool> {
  const spool = await openIndexedDbSpool(name);
  spools.push(spool);
  return spool;
}

/** The database of a spool as others may find or damage it. */
function database(name: string): Promise<IDBDatabase> {
  const request = indexedDB.open(`syncline spool ${name}`);
  return new Promise((resolve, reject) => {
    request.addEventListener('success', () => resolve(request.result));
    request.addEventListener('error', () => reject(request.error!));
  });
}

async function change(name: string, run: (store: (name: string) => IDBObjectStore) => void): Promise<void> {
  const opened = await database(name);
  const transaction = opened.transaction(['frames', 'assigned', 'notes'], 'readwrite');
  run((store) => transaction.objectStore(store));
  await new Promise((resolve) => transaction.addEventListener('complete', resolve));
  opened.close();
}

describeSpool('a spool in IndexedDB', () => {
  const name = newName();
  return Promise.resolve({ open: () => open(name) });
});

describe('a spool in IndexedDB', () => {
  test('asks that frames and streams be on the disk before they count as kept', async () => {
    const transaction = vi.spyOn(IDBDatabase.prototype, 'transaction');
    const spool = await open(newName());
    const durabilities = () => transaction.mock.calls.splice(0).map(([, mode, options]) => `${mode} ${options?.durability}`);
    durabilities();
    await spool.reset(STREAM, [], []);
    await spool.append(new FrameChain(0).next(1));
    await spool.remember('a note');
    expect(durabilities()).toEqual(['readwrite strict', 'readwrite strict', 'readwrite strict']);
  });

  test('deletes what is applied without being asked again', async () => {
    const name = newName();
    const spool = await open(name);
    const chain = new FrameChain(4);
    await spool.reset(STREAM, [], []);
    await spool.append(chain.next(5));
    spool.applied(4, chain.place(4));
    await vi.waitFor(async () => {
      const opened = await database(name);
      const keys = opened.transaction('frames').objectStore('frames').getAllKeys();
      await new Promise((resolve) => keys.addEventListener('success', resolve));
      opened.close();
      expect(keys.result).toEqual([[4, 5]]);
    });
  });

  test('is free when the client that had it has closed', async () => {
    const name = newName();
    await (await open(name)).close();
    await expect(open(name)).resolves.toBeDefined();
  });

  test('stores a view without the memory around it', async () => {
    const name = newName();
    const spool = await open(name);
    const [frame] = new FrameChain(0).next(1);
    const around = new Uint8Array(1 << 20);
    around.set(frame!.bytes, 1000);
    await spool.reset(STREAM, [{ ...frame!, bytes: around.subarray(1000, 1000 + frame!.bytes.length) }], []);
    await spool.close();
    const { bytes } = (await open(name)).restored.held[0]!;
    expect(bytes.buffer.byteLength).toBe(frame!.bytes.length);
  });
});

describe('a browser that refuses', () => {
  /** The nth write from now on fails as it does when the disk is full. */
  function fullAt(nth: number): void {
    const put = IDBObjectStore.prototype.put;
    let left = nth;
    vi.spyOn(IDBObjectStore.prototype, 'put').mockImplementation(function (this: IDBObjectStore, value: unknown, key?: IDBValidKey) {
      left -= 1;
      if (left < 0) throw new DOMException('the disk is full', 'QuotaExceededError');
      return put.call(this, value, key);
    });
  }

  test.each([0, 1, 2, 3])('after %i writes of an append: nothing of it is kept, and the next attempt succeeds', async (writes) => {
    const name = newName();
    const spool = await open(name);
    const chain = new FrameChain(0);
    await spool.reset(STREAM, [], []);
    await spool.append(chain.next(2));
    const frames = chain.next(2);
    fullAt(writes);
    await expect(spool.append(frames)).rejects.toMatchObject({
      code: 'spool_unavailable',
      message: expect.stringContaining('QuotaExceededError: the disk is full') as string,
    });
    vi.restoreAllMocks();
    await spool.close();
    const again = await open(name);
    expect(heldOf(again)).toEqual(['0:1', '0:2']);
    expect(again.restored.assigned).toEqual(new Map([[0, chain.place(2)]]));
    await again.append(frames);
    await again.close();
    expect(heldOf(await open(name))).toEqual(['0:1', '0:2', '0:3', '0:4']);
  });

  test.each([0, 1, 2])('after %i writes of a reset: the old stream stays until a reset succeeds', async (writes) => {
    const name = newName();
    const spool = await open(name);
    await spool.reset(STREAM, [], []);
    await spool.append(new FrameChain(0).next(3));
    const frames = new FrameChain(5).next(1);
    fullAt(writes);
    await expect(spool.reset(OTHER, frames, [])).rejects.toMatchObject({ code: 'spool_unavailable' });
    vi.restoreAllMocks();
    await spool.close();
    const found = await open(name);
    expect(found.restored.stream).toBe(STREAM);
    expect(heldOf(found)).toEqual(['0:1', '0:2', '0:3']);
    await found.reset(OTHER, frames, []);
    await found.close();
    expect(heldOf(await open(name))).toEqual(['5:1']);
  });

  /** The connections that spools use from now on. */
  function connections(): Set<IDBDatabase> {
    const used = new Set<IDBDatabase>();
    const transaction = IDBDatabase.prototype.transaction;
    vi.spyOn(IDBDatabase.prototype, 'transaction').mockImplementation(function (this: IDBDatabase, ...args) {
      used.add(this);
      return transaction.apply(this, args);
    });
    return used;
  }

  /** As a browser closes a database on its own. */
  function close(used: Iterable<IDBDatabase>): void {
    for (const one of used) forceCloseDatabase(one as unknown as Parameters<typeof forceCloseDatabase>[0]);
  }

  test('a database that it closed is opened again', async () => {
    const used = connections();
    const name = newName();
    const spool = await open(name);
    const chain = new FrameChain(0);
    await spool.reset(STREAM, [], []);
    await spool.append(chain.next(1));
    close(used);
    await spool.append(chain.next(1));
    expect(used.size).toBe(2);
    await spool.close();
    expect(heldOf(await open(name))).toEqual(['0:1', '0:2']);
  });

  test('a database that it deleted is not taken for the spool', async () => {
    const used = connections();
    const name = newName();
    const spool = await open(name);
    const chain = new FrameChain(0);
    await spool.reset(STREAM, [], []);
    await spool.append(chain.next(1));
    close(used);
    const deleting = indexedDB.deleteDatabase(`syncline spool ${name}`);
    await new Promise((resolve) => deleting.addEventListener('success', resolve));
    await expect(spool.append(chain.next(1))).rejects.toMatchObject({
      code: 'spool_unavailable',
      message: expect.stringContaining('was deleted') as string,
    });
  });
});

describe('damage', () => {
  async function filled(): Promise<string> {
    const name = newName();
    const spool = await open(name);
    await spool.reset(STREAM, [], []);
    await spool.append(new FrameChain(0).next(3));
    await spool.append(new FrameChain(1).next(2));
    await spool.close();
    return name;
  }

  test.each<[string, (store: (name: string) => IDBObjectStore) => void]>([
    ['a frame is missing between others', (store) => store('frames').delete([0, 2])],
    ['the newest frame is missing', (store) => store('frames').delete([0, 3])],
    ['what was assigned is missing', (store) => store('assigned').delete(1)],
    ['a frame is no frame', (store) => store('frames').put({ order: 2, bytes: new Uint8Array(30) }, [0, 2])],
    ['a frame is another', (store) => store('frames').put({ order: 2, bytes: new FrameChain(7).next(1)[0]!.bytes }, [0, 2])],
  ])('%s: an error that says what to do, and the spool is free again', async (_, damage) => {
    const name = await filled();
    await change(name, damage);
    const expected = { code: 'spool_corrupt', message: expect.stringContaining('use another name') as string };
    await expect(openIndexedDbSpool(name)).rejects.toMatchObject(expected);
    await expect(openIndexedDbSpool(name)).rejects.toMatchObject(expected);
  });

  test('a database of a newer version is refused as it is', async () => {
    const name = newName();
    const newer = indexedDB.open(`syncline spool ${name}`, 2);
    await new Promise((resolve) => newer.addEventListener('success', resolve));
    newer.result.close();
    await expect(openIndexedDbSpool(name)).rejects.toMatchObject({
      code: 'spool_unavailable',
      message: expect.stringContaining('VersionError') as string,
    });
  });
});
