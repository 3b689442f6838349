import { assert } from '../../core/assert.ts';
import { SyncError } from '../../core/errors.ts';
import type { Place, StreamId } from '../../core/stream.ts';
import { readFrame } from '../../protocol/frame.ts';
import type { Spool, SpooledFrame, SpoolState } from '../spool.ts';
import { type Contents, Database, type StoredFrame, type Stores } from './database.ts';
import { lockSpool, type SpoolLock } from './spool-lock.ts';

/** Marks that came with no frames to go with are written after this. */
const MARK_DELAY_MS = 200;

/**
 * Opens, or creates, a spool in IndexedDB. Frames survive the death of page and browser and, as far as browser and disk
 * keep their word, of the machine.
 *
 *     frames      [partition, seq] → the frame, and its place among all that were appended
 *     assigned    partition → the highest place that was assigned
 *     notes       "stream" → the stream, "left" → those that were left before it, "note" → what the client remembers
 *
 * @throws {SyncError} `spool_locked`, `spool_corrupt` or `spool_unavailable`.
 */
export async function openIndexedDbSpool(name: string): Promise<Spool> {
  const lock = await lockSpool(name);
  const database = new Database(name);
  try {
    const { state, nextOrder } = stateOf(await database.read(), name);
    return new IndexedDbSpool(database, lock, state, nextOrder);
  } catch (error) {
    database.close();
    lock.release();
    throw error;
  }
}

class IndexedDbSpool implements Spool {
  readonly restored: SpoolState;
  readonly #database: Database;
  readonly #lock: SpoolLock;
  #stream: StreamId | undefined;
  #nextOrder: number;
  /** By partition, what is applied and not deleted yet. */
  readonly #applied = new Map<number, number>();
  #markTimer: ReturnType<typeof setTimeout> | undefined;
  /** The newest work, which waits for what was there before. */
  #work: Promise<unknown> = Promise.resolve();
  #closing: Promise<void> | undefined;

  constructor(database: Database, lock: SpoolLock, restored: SpoolState, nextOrder: number) {
    this.#database = database;
    this.#lock = lock;
    this.restored = restored;
    this.#stream = restored.stream;
    this.#nextOrder = nextOrder;
  }

  append(frames: readonly SpooledFrame[]): Promise<void> {
    assert(this.#stream !== undefined, 'a new spool begins with a reset');
    return this.#inOrder(() => this.#write('strict', (stores) => this.#put(stores, frames)));
  }

  applied(partition: number, place: Place): void {
    this.#applied.set(partition, place.seq);
    // Lost marks are harmless: the server says again what is applied.
    this.#markTimer ??= setTimeout(() => {
      this.#markTimer = undefined;
      this.#inOrder(() => this.#mark()).catch(() => {});
    }, MARK_DELAY_MS);
  }

  reset(stream: StreamId, frames: readonly SpooledFrame[], left: readonly StreamId[]): Promise<void> {
    return this.#inOrder(async () => {
      // They are of the stream that ends.
      this.#applied.clear();
      await this.#write('strict', (stores) => {
        stores.frames.clear();
        stores.assigned.clear();
        stores.notes.put(stream, 'stream');
        stores.notes.put(left, 'left');
        this.#put(stores, frames);
      });
      this.#stream = stream;
    });
  }

  remember(note: string): Promise<void> {
    return this.#inOrder(() => this.#database.write('strict', ({ notes }) => void notes.put(note, 'note')));
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    clearTimeout(this.#markTimer);
    await this.#inOrder(() => this.#mark()).catch(() => {});
    this.#database.close();
    this.#lock.release();
  }

  async #mark(): Promise<void> {
    if (this.#applied.size > 0) await this.#write('relaxed', () => {});
  }

  /** Makes a change, and forgets with it what is applied. */
  async #write(durability: 'strict' | 'relaxed', change: (stores: Stores) => void): Promise<void> {
    const applied = new Map(this.#applied);
    await this.#database.write(durability, (stores) => {
      change(stores);
      for (const [partition, seq] of applied) stores.frames.delete(IDBKeyRange.bound([partition], [partition, seq]));
    });
    for (const [partition, seq] of applied) if (this.#applied.get(partition) === seq) this.#applied.delete(partition);
  }

  #put({ frames, assigned }: Stores, added: readonly SpooledFrame[]): void {
    for (const { partition, seq, crc, bytes } of added) {
      const stored: StoredFrame = { order: this.#nextOrder++, bytes: ownBytes(bytes) };
      frames.put(stored, [partition, seq]);
      assigned.put({ seq, crc } satisfies Place, partition);
    }
  }

  /** Runs `work` after what was asked for before. */
  #inOrder(work: () => Promise<void>): Promise<void> {
    const run = this.#work.then(work);
    this.#work = run.catch(() => {});
    return run;
  }
}

/**
 * What a client finds again, and the place of the next frame.
 * @throws {SyncError} `spool_corrupt` for frames that are not those that were appended.
 */
function stateOf(
  { stream, left, note, assigned, frames }: Contents,
  name: string,
): { readonly state: SpoolState; readonly nextOrder: number } {
  const held: { readonly frame: SpooledFrame; readonly order: number }[] = [];
  let nextOrder = 1;
  for (const [i, { partition, seq, frame }] of frames.entries()) {
    const next = frames[i + 1];
    // Applied frames are deleted from the oldest on; so a row of frames may begin anywhere, and ends at what was assigned.
    const following = next?.partition === partition ? next.seq : (assigned.get(partition)?.seq ?? 0) + 1;
    if (following !== seq + 1) throw corrupt(name, `lacks what follows seq ${seq} of partition ${partition}`);
    held.push({ frame: read(frame.bytes, partition, seq, name), order: frame.order });
    nextOrder = Math.max(nextOrder, frame.order + 1);
  }
  held.sort((a, b) => a.order - b.order);
  return { state: { stream, assigned, held: held.map(({ frame }) => frame), left, note }, nextOrder };
}

function read(bytes: Uint8Array, partition: number, seq: number, name: string): SpooledFrame {
  try {
    const frame = readFrame(bytes);
    if (frame.partition === partition && frame.seq === seq) return { partition, seq, crc: frame.crc, bytes };
  } catch (error) {
    if (!(error instanceof SyncError)) throw error;
  }
  throw corrupt(name, `holds something else than seq ${seq} of partition ${partition}`);
}

function corrupt(name: string, what: string): SyncError {
  return new SyncError(
    'spool_corrupt',
    `spool indexeddb:${name} ${what}; use another name, or delete the data of this site: then the changes in it are not sent`,
  );
}

/** Without the memory around a view, all of which would be stored. */
function ownBytes(bytes: Uint8Array): Uint8Array {
  return bytes.length === bytes.buffer.byteLength ? bytes : bytes.slice();
}
