import type { IndexKey } from './keys.ts';
import type { LockMode, LockWait } from './locks.ts';
import { SqlError } from './sql-error.ts';
import type { Entry, ForeignKey, Index, Slot, Table } from './table.ts';
import { entryLockText, type Transaction } from './transaction.ts';
import type { Row } from './values.ts';

/** Work that stops where it has to wait for a lock, and goes on when it is granted. */
export type Work<T> = Generator<LockWait, T, void>;

/** A row that has the same value in a unique index. */
export interface Duplicate {
  readonly index: Index;
  readonly entry: Entry;
  readonly key: IndexKey;
}

/**
 * Rows with their locks, as InnoDB at READ COMMITTED writes and locks them. What a failed write leaves behind is undone
 * by its caller.
 */
export class Rows {
  readonly #transaction: Transaction;
  readonly #database: string;

  constructor(transaction: Transaction, database: string) {
    this.#transaction = transaction;
    this.#database = database;
  }

  /** Locks the row of a key; undefined, and no lock, when there is none. */
  *lock(table: Table, text: string, mode: 'S' | 'X'): Work<{ readonly entry: Entry; readonly isNewLock: boolean } | undefined> {
    const { primary } = table;
    const isNewLock = primary.peekLocks(text)?.heldBy(this.#transaction) === undefined;
    for (;;) {
      const entry = table.entries.get(text);
      if (entry === undefined && primary.peekLocks(text)?.isWantedBeside(this.#transaction) !== true) return undefined;
      const wait = primary.locks(text).acquire(this.#transaction, mode, 'explicit');
      if (wait !== undefined) {
        yield wait;
        continue;
      }
      if (entry?.row !== undefined) return { entry, isNewLock };
      if (isNewLock) this.unlock(table, text);
      return undefined;
    }
  }

  /** Lets go of a row that a statement locked and does not want. */
  unlock(table: Table, text: string): void {
    table.primary.peekLocks(text)?.release(this.#transaction);
  }

  /** Locks a value of a unique index and the row that has it. */
  *lockThrough(
    index: Index,
    table: Table,
    key: IndexKey,
    mode: 'S' | 'X',
  ): Work<{ readonly entry: Entry; readonly isNewLock: boolean } | undefined> {
    const text = index.textOf(key);
    const isNew = index.peekLocks(text)?.heldBy(this.#transaction) === undefined;
    for (;;) {
      const slot = index.slots.get(text);
      if (slot === undefined && index.peekLocks(text)?.isWantedBeside(this.#transaction) !== true) return undefined;
      const wait = index.locks(text).acquire(this.#transaction, mode, 'explicit');
      if (wait !== undefined) {
        yield wait;
        continue;
      }
      const live = slot === undefined ? undefined : liveIn(slot);
      if (live !== undefined) return yield* this.lock(table, live.text, mode);
      if (isNew) index.peekLocks(text)?.release(this.#transaction);
      return undefined;
    }
  }

  /** Inserts a row whose values were checked; gives the row that is in its way, if one is. */
  *insert(table: Table, row: Row): Work<Duplicate | undefined> {
    const { primary } = table;
    const key = table.hasPrimaryKey ? (primary.keyOf(row) as IndexKey) : [table.nextRowNumber++];
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

  /** Changes a row that is locked; gives the row that is in its way, if one is. */
  *update(table: Table, entry: Entry, after: Row): Work<Duplicate | undefined> {
    const before = entry.row as Row;
    if (table.hasPrimaryKey && table.primary.textOf(table.primary.keyOf(after) as IndexKey) !== entry.text) {
      yield* this.delete(table, entry);
      return yield* this.insert(table, after);
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

  /** Deletes a row that is locked. */
  *delete(table: Table, entry: Entry): Work<void> {
    const before = entry.row as Row;
    this.#transaction.setRow(table, entry, undefined);
    yield* this.#checkChildren(table, table.primary, before);
    for (const index of table.secondary) {
      yield* this.#removeFrom(index, entry, before);
      yield* this.#checkChildren(table, index, before);
    }
  }

  /** Gets hold of a primary key for a new row. */
  *#takeKey(table: Table, key: IndexKey, text: string): Work<Duplicate | undefined> {
    const { primary } = table;
    const transaction = this.#transaction;
    for (;;) {
      const entry = table.entries.get(text);
      const isOwnGhost = entry !== undefined && entry.row === undefined && entry.writer === transaction;
      if ((entry !== undefined && !isOwnGhost) || primary.peekLocks(text)?.isWantedBeside(transaction) === true) {
        const wait = primary.locks(text).acquire(transaction, this.#duplicateMode, 'explicit');
        if (wait !== undefined) {
          yield wait;
          continue;
        }
        if (entry?.row !== undefined) return { index: primary, entry, key };
      }
      const wait = primary.gaps.waitToInsert(transaction, key) ?? primary.locks(text).acquire(transaction, 'insert', 'implicit');
      if (wait === undefined) return undefined;
      yield wait;
    }
  }

  /** Adds a row to a secondary index. `before` is what the row was until now, if it was there. */
  *#addTo(index: Index, table: Table, entry: Entry, row: Row, before?: Row): Work<Duplicate | undefined> {
    yield* this.#checkParents(table, index, row, before);
    const key = index.keyOf(row);
    if (key === undefined) return undefined;
    const transaction = this.#transaction;
    const text = index.textOf(key);
    if (!index.isUnique) {
      const slot = index.slot(text, key);
      transaction.setSlot(index, slot, entry, true);
      yield* this.#acquire(index, entryLockText(slot, entry), 'X', 'implicit');
      return undefined;
    }
    for (;;) {
      const other = yield* this.#findDuplicate(index, key, text);
      if (other !== undefined) return { index, entry: other, key };
      const wait = index.gaps.waitToInsert(transaction, key) ?? index.locks(text).acquire(transaction, 'insert', 'implicit');
      if (wait === undefined) break;
      yield wait;
    }
    transaction.setSlot(index, index.slot(text, key), entry, true);
    return undefined;
  }

  /** Looks for a live row with the key in a unique index, and locks what it looks at with the gap before it. */
  *#findDuplicate(index: Index, key: IndexKey, text: string): Work<Entry | undefined> {
    const transaction = this.#transaction;
    for (;;) {
      const slot = index.slots.get(text);
      if (slot === undefined && index.peekLocks(text)?.isWantedBeside(transaction) !== true) return undefined;
      const wait = index.locks(text).acquire(transaction, this.#duplicateMode, 'explicit');
      if (wait !== undefined) {
        yield wait;
        continue;
      }
      const { low, high } = index.neighbours(key, index.slots.values());
      index.gaps.add({ owner: transaction, low, high: key });
      const live = slot === undefined ? undefined : liveIn(slot);
      if (live !== undefined) return live;
      // All with this value are deleted: the scan ends at the next one, and locks that too.
      index.gaps.add({ owner: transaction, low: key, high });
      if (high !== undefined) yield* this.#acquire(index, index.textOf(high), this.#duplicateMode, 'explicit');
      return undefined;
    }
  }

  *#removeFrom(index: Index, entry: Entry, row: Row): Work<void> {
    const key = index.keyOf(row);
    if (key === undefined) return;
    const slot = index.slots.get(index.textOf(key)) as Slot;
    yield* this.#acquire(index, index.isUnique ? slot.text : entryLockText(slot, entry), 'X', 'implicit');
    this.#transaction.setSlot(index, slot, entry, false);
  }

  /** Parents of a new row's foreign keys must be there, and stay. */
  *#checkParents(table: Table, index: Index, row: Row, before?: Row): Work<void> {
    for (const foreignKey of table.foreignKeys) {
      if (foreignKey.childIndex !== index || (before !== undefined && !hasMoved(index, before, row))) continue;
      const key = index.keyOf(row);
      if (key === undefined) continue;
      const { parent, parentIndex } = foreignKey;
      const text = parentIndex.textOf(key);
      this.#transaction.touch(parent, 'read');
      if (!(yield* this.#lockParent(parent, parentIndex, text))) {
        throw new SqlError(1452, '23000', `Cannot add or update a child row: ${this.#failureOf(foreignKey)}`);
      }
    }
  }

  *#lockParent(parent: Table, index: Index, text: string): Work<boolean> {
    const exists = () => (index === parent.primary ? parent.entries.has(text) : index.slots.has(text));
    const isLive = () => {
      const slot = index.slots.get(text);
      return index === parent.primary ? parent.entries.get(text)?.row !== undefined : slot !== undefined && liveIn(slot) !== undefined;
    };
    for (;;) {
      if (!exists() && index.peekLocks(text)?.isWantedBeside(this.#transaction) !== true) return false;
      const wait = index.locks(text).acquire(this.#transaction, 'S', 'explicit');
      if (wait === undefined) return isLive();
      yield wait;
    }
  }

  /** Children of a row that goes away from `index` must not be there, or go with it. */
  *#checkChildren(table: Table, index: Index, row: Row): Work<void> {
    for (const foreignKey of table.referencedBy) {
      if (foreignKey.parentIndex !== index) continue;
      const key = index.keyOf(row);
      if (key === undefined) continue;
      this.#transaction.touch(foreignKey.child, 'read');
      yield* this.#checkChildrenOf(foreignKey, key);
    }
  }

  *#checkChildrenOf(foreignKey: ForeignKey, key: IndexKey): Work<void> {
    const { child, childIndex, onDelete } = foreignKey;
    const slotText = childIndex.textOf(key);
    const passed = new Set<string>();
    for (;;) {
      const slot = childIndex === child.primary ? undefined : childIndex.slots.get(slotText);
      const entries = slot === undefined ? entriesOf(child, childIndex, slotText) : [...slot.rows.values()].map(({ entry }) => entry);
      const next = entries.find((each) => !passed.has(each.text));
      if (next === undefined) return;
      const lockText = slot === undefined || childIndex.isUnique ? slotText : entryLockText(slot, next);
      yield* this.#acquire(childIndex, lockText, onDelete === 'cascade' ? 'X' : 'S', 'explicit');
      passed.add(next.text);
      const isLive = slot === undefined ? next.row !== undefined : slot.rows.get(next.text)?.isLive === true;
      if (!isLive) continue;
      if (onDelete === 'restrict')
        throw new SqlError(1451, '23000', `Cannot delete or update a parent row: ${this.#failureOf(foreignKey)}`);
      const locked = yield* this.lock(child, next.text, 'X');
      if (locked === undefined) continue;
      this.#transaction.note({ op: 'delete', table: child, before: locked.entry.row, after: undefined });
      yield* this.delete(child, locked.entry);
    }
  }

  *#acquire(index: Index, text: string, mode: LockMode, origin: 'explicit' | 'implicit'): Work<void> {
    for (;;) {
      const wait = index.locks(text).acquire(this.#transaction, mode, origin);
      if (wait === undefined) return;
      yield wait;
    }
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

function liveIn(slot: Slot): Entry | undefined {
  for (const { entry, isLive } of slot.rows.values()) if (isLive) return entry;
  return undefined;
}

/** Where the primary key is the foreign key. */
function entriesOf(child: Table, index: Index, text: string): Entry[] {
  const entry = index === child.primary ? child.entries.get(text) : undefined;
  return entry === undefined ? [] : [entry];
}

function hasMoved(index: Index, before: Row, after: Row): boolean {
  const [a, b] = [index.keyOf(before), index.keyOf(after)];
  if (a === undefined || b === undefined) return a !== b;
  return index.textOf(a) !== index.textOf(b);
}
