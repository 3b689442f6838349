import { messageOf, SyncError } from '../../core/errors.ts';
import type { Place, StreamId } from '../../core/stream.ts';

/** Of the layout that `indexed-db-spool.ts` describes; browsers refuse to open a database of a higher one. */
const VERSION = 1;

export interface StoredFrame {
  /** Place among all frames of the spool, in the order in which they were appended. */
  readonly order: number;
  readonly bytes: Uint8Array;
}

/** Everything that is there. */
export interface Contents {
  readonly stream: StreamId | undefined;
  readonly left: readonly StreamId[];
  readonly note: string | undefined;
  readonly assigned: ReadonlyMap<number, Place>;
  /** By partition, then by seq. */
  readonly frames: readonly { readonly partition: number; readonly seq: number; readonly frame: StoredFrame }[];
}

/** What a change writes to; nothing of it is kept unless all of it is. */
export interface Stores {
  readonly frames: IDBObjectStore;
  readonly assigned: IDBObjectStore;
  readonly notes: IDBObjectStore;
}

/**
 * The database of one spool. It is opened when it is needed: browsers close databases on their own, after an error of the
 * disk or when they need the memory, and then a new connection helps. One that holds something else than before does not.
 */
export class Database {
  readonly #name: string;
  #opened: IDBDatabase | undefined;
  /** What the first connection found. */
  #identity: string | undefined;

  constructor(name: string) {
    this.#name = name;
  }

  read(): Promise<Contents> {
    return this.#attempt(async () => {
      const { transaction, stores } = await this.#begin('readonly', 'relaxed');
      const stream = stores.notes.get('stream') as IDBRequest<StreamId | undefined>;
      const left = stores.notes.get('left') as IDBRequest<readonly StreamId[] | undefined>;
      const note = stores.notes.get('note') as IDBRequest<string | undefined>;
      const partitions = stores.assigned.getAllKeys() as IDBRequest<number[]>;
      const places = stores.assigned.getAll() as IDBRequest<Place[]>;
      const keys = stores.frames.getAllKeys();
      const frames = stores.frames.getAll() as IDBRequest<StoredFrame[]>;
      await ended(transaction);
      return {
        stream: stream.result,
        left: left.result ?? [],
        note: note.result,
        assigned: new Map(partitions.result.map((partition, i) => [partition, places.result[i]!])),
        frames: (keys.result as [number, number][]).map(([partition, seq], i) => ({ partition, seq, frame: frames.result[i]! })),
      };
    });
  }

  /**
   * Runs `change` in one transaction. Resolves when it is on the disk, with `relaxed` when the system has it.
   * @throws {SyncError} `spool_unavailable`; nothing was kept.
   */
  write(durability: 'strict' | 'relaxed', change: (stores: Stores) => void): Promise<void> {
    return this.#attempt(async () => {
      const { transaction, stores } = await this.#begin('readwrite', durability);
      const end = ended(transaction);
      try {
        change(stores);
      } catch (error) {
        transaction.abort();
        await end.catch(() => {});
        throw error;
      }
      await end;
    });
  }

  close(): void {
    this.#opened?.close();
    this.#opened = undefined;
  }

  async #begin(mode: 'readonly' | 'readwrite', durability: 'strict' | 'relaxed') {
    const database = (this.#opened ??= await this.#open());
    let transaction: IDBTransaction;
    try {
      transaction = database.transaction(['frames', 'assigned', 'notes'], mode, { durability });
    } catch (error) {
      // It was closed, and nobody has said so yet: the next attempt opens it again.
      this.close();
      throw error;
    }
    const store = (name: string) => transaction.objectStore(name);
    return { transaction, stores: { frames: store('frames'), assigned: store('assigned'), notes: store('notes') } };
  }

  async #open(): Promise<IDBDatabase> {
    const opening = indexedDB.open(`syncline spool ${this.#name}`, VERSION);
    opening.addEventListener('upgradeneeded', () => {
      const database = opening.result;
      database.createObjectStore('frames');
      database.createObjectStore('assigned');
      database.createObjectStore('notes').put(crypto.randomUUID(), 'identity');
    });
    const database = await succeeded(opening);
    database.addEventListener('close', () => {
      if (this.#opened === database) this.#opened = undefined;
    });
    const identity = await succeeded<unknown>(database.transaction('notes').objectStore('notes').get('identity'));
    this.#identity ??= identity as string;
    if (identity === this.#identity) return database;
    database.close();
    throw new Error('what it held was deleted, with the data of this site; load the page again');
  }

  /** Runs `work`; what the browser refuses becomes an error of ours. */
  async #attempt<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      const name = error instanceof DOMException ? `${error.name}: ` : '';
      throw new SyncError('spool_unavailable', `spool indexeddb:${this.#name} cannot be read or written: ${name}${messageOf(error)}`, {
        cause: error,
      });
    }
  }
}

function succeeded<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.addEventListener('success', () => resolve(request.result));
    request.addEventListener('error', () => reject(request.error!));
  });
}

function ended(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.addEventListener('complete', () => resolve());
    transaction.addEventListener('abort', () => reject(transaction.error ?? new Error('the browser ended the transaction')));
  });
}
