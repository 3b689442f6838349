import type { IndexKey } from './keys.ts';
import { SUPREMUM, type LockMode, type LockWait } from './locks.ts';
import { SqlError } from './sql-error.ts';
import type { Entry, ForeignKey, Index, IndexRecord, Table } from './table.ts';
import type { Transaction } from './transaction.ts';
import type { TimedUserLockWait } from './user-locks.ts';
import type { Row } from './values.ts';

/** A place between two rows where another thread of the server may run. */
export const BETWEEN_ROWS = Symbol('between rows');

/** Work that stops where it has to wait for a lock, and goes on when it is granted; and where others may run. */
export type Work<T> = Generator<Pause, T, void>;

/** Why work stops for a while. */
export type Pause = LockWait | TimedUserLockWait | typeof BETWEEN_ROWS;

/** A row that has the same value in a unique index. */
export interface Duplicate {
  readonly index: Index;
  readonly entry: Entry;
  readonly key: IndexKey;
}

/** A row that is locked. */
export interface Locked {
  readonly entry: Entry;
  /** Whether it was not locked like this before. */
  readonly isNewLock: boolean;
}

/**
 * Rows with their locks, as InnoDB at READ COMMITTED writes and locks them.
 */
export class Rows {
  readonly #transaction: Transaction;
  readonly #database: string;

  constructor(transaction: Transaction, database: string) {
    this.#transaction = transaction;
    this.#database = database;
  }

  /** Locks the row of a key; undefined, and no lock, when there is none. */
  *lock(table: Table, text: string, mode: 'S' | 'X'): Work<Locked | undefined> {
    const { primary } = table;
    let isNewLock = primary.peekLocks(text)?.holds(this.#transaction, mode) !== true;
    for (;;) {
      const entry = table.entries.get(text);
      // One that was deleted for good is passed by without a lock.
      if (entry === undefined || (entry.row === undefined && entry.writer === undefined)) return undefined;
      const wait = primary.locks(text).acquire(this.#transaction, mode);
      if (wait !== undefined) {
        yield wait;
        // InnoDB does not remember of a lock that it waited for that it was new.
        isNewLock = false;
        continue;
      }
      if (entry.row !== undefined) return { entry, isNewLock };
      if (isNewLock) this.unlock(table, text, mode);
      return undefined;
    }
  }

  /** Lets go of a row that a statement locked and does not want. */
  unlock(table: Table, text: string, mode: 'S' | 'X'): void {
    table.primary.peekLocks(text)?.unlock(this.#transaction, mode);
  }

  /** Locks the record with a value in a unique index, and the row that it belongs to. */
  *lockThrough(index: Index, table: Table, key: IndexKey, mode: 'S' | 'X'): Work<Locked | undefined> {
    const text = index.textOf(key);
    const passed = new Set<IndexRecord>();
    for (;;) {
      // After a wait there may be others.
      const record = index.recordsOf(text).find((each) => !passed.has(each));
      if (record === undefined) return undefined;
      passed.add(record);
      const { entry } = record;
      // One that was deleted for good is passed by without a lock.
      if (!record.isLive && (entry.writer === undefined || entry.writer === this.#transaction)) continue;
      if (!(yield* this.#acquireRecord(record, mode))) continue;
      if (record.isLive) return yield* this.lock(table, entry.text, mode);
    }
  }

  /** Inserts a row whose values were checked, or gives the row that is in its way. */
  insert(table: Table, row: Row): Work<Duplicate | undefined> {
    return this.#whole(this.#insert(table, row));
  }

  /** Changes a row that is locked, or gives the row that is in its way. */
  update(table: Table, entry: Entry, after: Row): Work<Duplicate | undefined> {
    return this.#whole(this.#update(table, entry, after));
  }

  /** Deletes a row that is locked. */
  *delete(table: Table, entry: Entry): Work<void> {
    yield* this.#whole(this.#delete(table, entry));
  }

  /** What fails, or finds a duplicate, undoes what it has done to the row. */
  *#whole(work: Work<Duplicate | undefined>): Work<Duplicate | undefined> {
    const start = this.#transaction.length;
    try {
      const duplicate = yield* work;
      if (duplicate !== undefined) this.#transaction.undoTo(start);
      return duplicate;
    } catch (error) {
      this.#transaction.undoTo(start);
      throw error;
    }
  }

  *#insert(table: Table, row: Row): Work<Duplicate | undefined> {
    const { primary } = table;
    const key = table.hasPrimaryKey ? primary.keyOf(row) : [table.nextRowNumber++];
    const text = table.hasPrimaryKey ? primary.textOf(key) : String(key[0]);
    yield* this.#checkParents(table, primary, row);
    const duplicate = yield* this.#takeKey(table, key, text);
    if (duplicate !== undefined) return duplicate;
    const entry: Entry = table.entries.get(text) ?? { text, key, row: undefined, committed: undefined, writer: undefined };
    this.#transaction.setRow(table, entry, row);
    for (const index of table.secondary) {
      const other = yield* this.#addTo(index, table, entry, row);
      if (other !== undefined) return other;
    }
    return undefined;
  }

  *#update(table: Table, entry: Entry, after: Row): Work<Duplicate | undefined> {
    const before = entry.row as Row;
    if (table.hasPrimaryKey && table.primary.textOf(table.primary.keyOf(after)) !== entry.text) {
      yield* this.#delete(table, entry);
      return yield* this.#insert(table, after);
    }
    yield* this.#checkParents(table, table.primary, after, before);
    this.#transaction.setRow(table, entry, after);
    for (const index of table.secondary) {
      if (!hasMoved(index, before, after)) continue;
      yield* this.#removeFrom(index, entry, before);
      yield* this.#checkChildren(table, index, before);
      const other = yield* this.#addTo(index, table, entry, after, before);
      if (other !== undefined) return other;
    }
    return undefined;
  }

  *#delete(table: Table, entry: Entry): Work<undefined> {
    const before = entry.row as Row;
    this.#transaction.setRow(table, entry, undefined);
    yield* this.#checkChildren(table, table.primary, before);
    for (const index of table.secondary) {
      yield* this.#removeFrom(index, entry, before);
      yield* this.#checkChildren(table, index, before);
    }
    return undefined;
  }

  /** Gets hold of a primary key for a new row. */
  *#takeKey(table: Table, key: IndexKey, text: string): Work<Duplicate | undefined> {
    const { primary } = table;
    const transaction = this.#transaction;
    for (;;) {
      const entry = table.entries.get(text);
      let wait: LockWait | undefined;
      if (entry === undefined) {
        wait = primary.gaps.waitToInsert(transaction, () => table.next(key)?.text ?? SUPREMUM);
        // Nobody can have a lock where there is no record.
        if (wait === undefined) wait = primary.locks(text).acquire(transaction, 'write');
      } else {
        wait = primary.locks(text).acquire(transaction, this.#duplicateMode);
        if (wait === undefined && entry.row !== undefined) return { index: primary, entry, key };
        wait ??= primary.locks(text).acquire(transaction, 'write');
      }
      if (wait === undefined) return undefined;
      yield wait;
    }
  }

  /** Adds a row to a secondary index. `before` is what the row was until now, if it was there. */
  *#addTo(index: Index, table: Table, entry: Entry, row: Row, before?: Row): Work<Duplicate | undefined> {
    yield* this.#checkParents(table, index, row, before);
    const key = index.keyOf(row);
    const transaction = this.#transaction;
    const record = index.newRecord(entry, key);
    for (;;) {
      if (index.isUnique && !key.includes(null)) {
        const other = yield* this.#findDuplicate(index, record);
        if (other !== undefined) return { index, entry: other, key };
      }
      const known = index.record(record.text, entry);
      const wait =
        (known === undefined ? index.gaps.waitToInsert(transaction, () => index.next(record.position)?.lockText ?? SUPREMUM) : undefined) ??
        index.locks(record.lockText).acquire(transaction, 'write');
      if (wait === undefined) break;
      yield wait;
    }
    transaction.setRecord(record, true);
    return undefined;
  }

  /** Looks for a live record with the value of a new one in a unique index, and locks what it looks at with the gaps before. */
  *#findDuplicate(index: Index, record: IndexRecord): Work<Entry | undefined> {
    for (;;) {
      const records = index.recordsOf(record.text);
      let wait: LockWait | undefined;
      for (const each of records) {
        wait = this.#lockNextKey(each);
        if (wait !== undefined) break;
        if (each.isLive) return each.entry;
      }
      const last = records.at(-1);
      if (last === undefined) return undefined;
      if (wait === undefined) {
        // All with this value are deleted: the scan ends at the next one, and locks that too.
        const next = index.next(last.position);
        if (next === undefined) index.gaps.add(this.#transaction, this.#duplicateMode, SUPREMUM, 'next-key');
        else wait = this.#lockNextKey(next);
      }
      if (wait === undefined) return undefined;
      yield wait;
    }
  }

  #lockNextKey({ index, lockText }: IndexRecord): LockWait | undefined {
    const { gaps } = index;
    const wait = index.locks(lockText).acquire(this.#transaction, this.#duplicateMode, 'next-key');
    // Also while it waits it stands in the way of new records.
    const isNew = gaps.add(this.#transaction, this.#duplicateMode, lockText, 'next-key');
    if (wait !== undefined && isNew) wait.onWithdrawn = () => gaps.drop(this.#transaction, this.#duplicateMode, lockText, 'next-key');
    return wait;
  }

  *#removeFrom(index: Index, entry: Entry, row: Row): Work<void> {
    const record = index.record(index.textOf(index.keyOf(row)), entry) as IndexRecord;
    yield* this.#acquireRecord(record, 'write');
    this.#transaction.setRecord(record, false);
  }

  /** Parents of a new row's foreign keys must be there, and stay. */
  *#checkParents(table: Table, index: Index, row: Row, before?: Row): Work<void> {
    for (const foreignKey of table.foreignKeys) {
      if (foreignKey.childIndex !== index || (before !== undefined && !hasMoved(index, before, row))) continue;
      const key = index.keyOf(row);
      if (key.includes(null)) continue;
      this.#transaction.touch(foreignKey.parent, 'read');
      if (!(yield* this.#lockParent(foreignKey, key))) {
        throw new SqlError(1452, '23000', `Cannot add or update a child row: ${this.#failureOf(foreignKey)}`);
      }
    }
  }

  *#lockParent({ parent, parentIndex }: ForeignKey, key: IndexKey): Work<boolean> {
    const text = parentIndex.textOf(key);
    if (parentIndex === parent.primary) {
      const isThere = yield* this.#acquire(parentIndex, text, 'S', () => parent.entries.has(text));
      return isThere && parent.entries.get(text)?.row !== undefined;
    }
    const passed = new Set<IndexRecord>();
    for (;;) {
      // After a wait there may be others.
      const record = parentIndex.recordsOf(text).find((each) => !passed.has(each));
      if (record === undefined) return false;
      passed.add(record);
      if ((yield* this.#acquireRecord(record, 'S')) && record.isLive) return true;
    }
  }

  /** Children of a row that goes away from `index` must not be there, or go with it. */
  *#checkChildren(table: Table, index: Index, row: Row): Work<void> {
    for (const foreignKey of table.referencedBy) {
      if (foreignKey.parentIndex !== index) continue;
      const key = index.keyOf(row);
      if (key.includes(null)) continue;
      this.#transaction.touch(foreignKey.child, 'read');
      yield* this.#checkChildrenOf(foreignKey, key);
    }
  }

  *#checkChildrenOf(foreignKey: ForeignKey, key: IndexKey): Work<void> {
    const { child, childIndex, onDelete } = foreignKey;
    const passed = new Set<Entry>();
    for (;;) {
      const next = childrenOf(foreignKey, key).find(({ entry }) => !passed.has(entry));
      if (next === undefined) return;
      passed.add(next.entry);
      const isThere = yield* this.#acquire(childIndex, next.lockText, onDelete === 'cascade' ? 'X' : 'S', next.exists);
      if (!isThere || !next.isLive()) continue;
      if (onDelete === 'restrict')
        throw new SqlError(1451, '23000', `Cannot delete or update a parent row: ${this.#failureOf(foreignKey)}`);
      const locked = yield* this.lock(child, next.entry.text, 'X');
      if (locked === undefined) continue;
      this.#transaction.note({ op: 'delete', table: child, before: locked.entry.row, after: undefined });
      yield* this.delete(child, locked.entry);
    }
  }

  #acquireRecord(record: IndexRecord, mode: LockMode): Work<boolean> {
    const { index, text, entry, lockText } = record;
    return this.#acquire(index, lockText, mode, () => index.record(text, entry) === record);
  }

  /** Locks a record; false when it was removed while its lock was waited for. */
  *#acquire(index: Index, text: string, mode: LockMode, exists: () => boolean): Work<boolean> {
    while (exists()) {
      const wait = index.locks(text).acquire(this.#transaction, mode);
      if (wait === undefined) return true;
      yield wait;
    }
    return false;
  }

  get #duplicateMode(): 'S' | 'X' {
    return this.#transaction.takesDuplicates ? 'X' : 'S';
  }

  #failureOf({ name, child, childIndex, parent, parentIndex, onDelete }: ForeignKey): string {
    const list = (names: readonly string[]) => names.map((each) => `\`${each}\``).join(', ');
    return (
      `a foreign key constraint fails (\`${this.#database}\`.\`${child.name}\`, CONSTRAINT \`${name}\` FOREIGN KEY (${list(childIndex.columns)}) ` +
      `REFERENCES \`${parent.name}\` (${list(parentIndex.columns)})${onDelete === 'cascade' ? ' ON DELETE CASCADE' : ''})`
    );
  }
}

interface Child {
  readonly entry: Entry;
  readonly lockText: string;
  readonly exists: () => boolean;
  readonly isLive: () => boolean;
}

/** The records of a foreign key's index that point at a key. */
function childrenOf({ child, childIndex }: ForeignKey, key: IndexKey): Child[] {
  const text = childIndex.textOf(key);
  if (childIndex !== child.primary) {
    return childIndex.recordsOf(text).map((record) => ({
      entry: record.entry,
      lockText: record.lockText,
      exists: () => childIndex.record(text, record.entry) === record,
      isLive: () => record.isLive,
    }));
  }
  const entry = child.entries.get(text);
  return entry === undefined
    ? []
    : [{ entry, lockText: text, exists: () => child.entries.get(text) === entry, isLive: () => entry.row !== undefined }];
}

function hasMoved(index: Index, before: Row, after: Row): boolean {
  return index.textOf(index.keyOf(before)) !== index.textOf(index.keyOf(after));
}
