import type { IndexKey } from './keys.ts';
import type { LockOwner, LockPlace, LockWait } from './locks.ts';
import type { SqlError } from './sql-error.ts';
import type { Entry, Index, Slot, Table } from './table.ts';
import type { Row } from './values.ts';

/** What a statement did to a row, as a trigger would see it. */
export interface RowEffect {
  readonly op: 'insert' | 'update' | 'delete';
  readonly table: Table;
  readonly before: Row | undefined;
  readonly after: Row | undefined;
}

type UndoStep =
  | { readonly kind: 'row'; readonly table: Table; readonly entry: Entry; readonly before: Row | undefined; readonly isNew: boolean }
  | { readonly kind: 'slot'; readonly index: Index; readonly slot: Slot; readonly entry: Entry; readonly wasLive: boolean | undefined }
  | { readonly kind: 'effect'; readonly effect: RowEffect };

/** A transaction: what it has locked, and how to undo what it did. */
export class Transaction implements LockOwner {
  wait: LockWait | undefined;
  readonly lockedAt = new Set<LockPlace>();
  takesDuplicates = false;
  /** While it waits: makes the wait end in vain. */
  fail: ((error: SqlError) => void) | undefined;
  readonly #steps: UndoStep[] = [];
  #savepoints: { readonly name: string; readonly length: number }[] = [];
  readonly #touched = new Set<string>();

  get weight(): number {
    const structures = new Map<object, Set<string>>();
    for (const place of this.lockedAt) {
      if (place.index === undefined) continue;
      const modes = structures.get(place.index) ?? new Set();
      structures.set(place.index, modes);
      for (const mode of place.structuresOf(this)) modes.add(mode);
    }
    const changed = this.#steps.filter((step) => step.kind === 'row').length;
    return [...structures.values()].reduce((sum, modes) => sum + modes.size, changed + this.#touched.size);
  }

  /** Marks for {@link undoTo}. */
  get length(): number {
    return this.#steps.length;
  }

  get hasChanges(): boolean {
    return this.#steps.length > 0;
  }

  /** Counts the lock of a table that comes before locks of its rows. */
  touch(table: Table, intent: 'read' | 'write'): void {
    this.#touched.add(`${intent} ${table.name}`);
  }

  setRow(table: Table, entry: Entry, row: Row | undefined): void {
    const isNew = table.entries.get(entry.text) !== entry;
    if (isNew) table.add(entry);
    this.#steps.push({ kind: 'row', table, entry, before: entry.row, isNew });
    entry.row = row;
    entry.writer = this;
  }

  setSlot(index: Index, slot: Slot, entry: Entry, isLive: boolean): void {
    const known = slot.rows.get(entry.text);
    this.#steps.push({ kind: 'slot', index, slot, entry, wasLive: known?.isLive });
    if (known === undefined) slot.rows.set(entry.text, { entry, isLive });
    else known.isLive = isLive;
  }

  note(effect: RowEffect): void {
    this.#steps.push({ kind: 'effect', effect });
  }

  effects(): readonly RowEffect[] {
    return this.#steps.flatMap((step) => (step.kind === 'effect' ? step.effect : []));
  }

  setSavepoint(name: string): void {
    this.#savepoints = [
      ...this.#savepoints.filter((each) => each.name !== name.toLowerCase()),
      { name: name.toLowerCase(), length: this.length },
    ];
  }

  /** Undoes what came after the savepoint; false when there is none of that name. */
  rollbackTo(name: string): boolean {
    const at = this.#savepoints.findIndex((each) => each.name === name.toLowerCase());
    if (at < 0) return false;
    this.#savepoints.length = at + 1;
    this.undoTo((this.#savepoints[at] as { length: number }).length);
    return true;
  }

  releaseSavepoint(name: string): boolean {
    const at = this.#savepoints.findIndex((each) => each.name === name.toLowerCase());
    if (at >= 0) this.#savepoints.length = at;
    return at >= 0;
  }

  /** Undoes the newest steps until `length` are left. Locks stay, except those that came with what is undone. */
  undoTo(length: number): void {
    while (this.#steps.length > length) {
      const step = this.#steps.pop() as UndoStep;
      if (step.kind === 'row') this.#undoRow(step.table, step.entry, step.before, step.isNew);
      else if (step.kind === 'slot') this.#undoSlot(step.index, step.slot, step.entry, step.wasLive);
    }
  }

  /** Makes everything durable, and lets go of all locks. */
  commit(): void {
    for (const step of this.#steps) {
      if (step.kind === 'row') {
        const { entry, table } = step;
        entry.committed = entry.row;
        entry.writer = undefined;
        if (entry.row === undefined && table.entries.get(entry.text) === entry) table.remove(entry);
      } else if (step.kind === 'slot') {
        if (step.slot.rows.get(step.entry.text)?.isLive === false) step.slot.rows.delete(step.entry.text);
        if (step.slot.rows.size === 0 && step.index.slots.get(step.slot.text) === step.slot) step.index.slots.delete(step.slot.text);
      }
    }
    this.#end();
  }

  rollback(): void {
    this.undoTo(0);
    this.#end();
  }

  #end(): void {
    this.#steps.length = 0;
    this.#savepoints = [];
    for (const place of [...this.lockedAt]) place.release(this);
  }

  #undoRow(table: Table, entry: Entry, before: Row | undefined, isNew: boolean): void {
    entry.row = before;
    if (before === entry.committed) entry.writer = undefined;
    if (!isNew) return;
    table.remove(entry);
    const waits = table.primary.peekLocks(entry.text)?.vanish() ?? [];
    inherit(table.primary, entry.key, waits, table.entries);
  }

  #undoSlot(index: Index, slot: Slot, entry: Entry, wasLive: boolean | undefined): void {
    const text = index.isUnique ? slot.text : entryLockText(slot, entry);
    if (wasLive === undefined) slot.rows.delete(entry.text);
    else (slot.rows.get(entry.text) as { isLive: boolean }).isLive = wasLive;
    const locks = index.peekLocks(text);
    const isGone = index.isUnique ? slot.rows.size === 0 : wasLive === undefined;
    if (slot.rows.size === 0) index.slots.delete(slot.text);
    if (locks === undefined) return;
    if (isGone) inherit(index, slot.key, locks.vanish(), index.slots);
    else if (locks.heldBy(this)?.isImplicit === true) locks.release(this);
  }
}

/** Those who waited to see whether a record is a duplicate keep others from inserting it before them. */
function inherit(index: Index, key: IndexKey, waits: readonly LockWait[], others: ReadonlyMap<string, { readonly key: IndexKey }>): void {
  for (const { owner, mode } of waits) {
    if (mode === (owner.takesDuplicates ? 'X' : 'S')) index.gaps.add({ owner, ...index.neighbours(key, others.values()) });
  }
}

/** Where the locks of one row's entry in an index that is not unique are. */
export function entryLockText(slot: Slot, entry: Entry): string {
  return `${slot.text.length}:${slot.text}${entry.text}`;
}
