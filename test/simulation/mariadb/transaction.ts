import { SUPREMUM, type GapLocks, type LockMode, type LockOwner, type LockPlace, type LockWait } from './locks.ts';
import type { Replaced } from './redo-log.ts';
import type { SqlError } from './sql-error.ts';
import type { Entry, IndexRecord, Table } from './table.ts';
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
  | { readonly kind: 'record'; readonly record: IndexRecord; readonly wasLive: boolean | undefined }
  | { readonly kind: 'effect'; readonly effect: RowEffect };

/** A record that is deleted for good, and still in the way of locks until it is purged. */
export type Ghost =
  | { readonly kind: 'row'; readonly table: Table; readonly entry: Entry }
  | { readonly kind: 'record'; readonly record: IndexRecord };

/** Removes a record, unless it lives again; false when it is in use, so that it is too early. */
export function purge(ghost: Ghost): boolean {
  const entry = ghost.kind === 'row' ? ghost.entry : ghost.record.entry;
  if (entry.writer !== undefined) return false;
  if (ghost.kind === 'row') {
    if (entry.row === undefined && ghost.table.entries.get(entry.text) === entry) removeEntry(ghost.table, entry);
  } else if (!ghost.record.isLive && ghost.record.index.record(ghost.record.text, entry) === ghost.record) removeRecord(ghost.record);
  return true;
}

function removeEntry(table: Table, entry: Entry): void {
  const locks = table.primary.peekLocks(entry.text)?.vanish() ?? [];
  table.remove(entry);
  inherit(table.primary.gaps, entry.text, locks, () => table.next(entry.key)?.text ?? SUPREMUM);
}

function removeRecord(record: IndexRecord): void {
  const { index } = record;
  const locks = index.peekLocks(record.lockText)?.vanish() ?? [];
  index.remove(record);
  inherit(index.gaps, record.lockText, locks, () => index.next(record.position)?.lockText ?? SUPREMUM);
}

/**
 * A record is gone: those who looked at it, or waited to, to see whether it is a duplicate, keep others from inserting
 * where it was.
 */
function inherit(
  gaps: GapLocks,
  removed: string,
  locks: readonly { readonly owner: LockOwner; readonly mode: LockMode }[],
  findNext: () => string | typeof SUPREMUM,
): void {
  if (gaps.isEmpty && locks.length === 0) return;
  const next = findNext();
  const keeps = (owner: LockOwner, mode: LockMode) => mode === (owner.takesDuplicates ? 'X' : 'S');
  for (const { owner, mode } of locks) if (keeps(owner, mode)) gaps.add(owner, mode, next, 'gap');
  gaps.merge(removed, next, keeps);
}

/** A transaction: what it has locked, and how to undo what it did. */
export class Transaction implements LockOwner {
  wait: LockWait | undefined;
  readonly lockedAt = new Set<LockPlace>();
  takesDuplicates = false;
  /** While it waits: makes the wait end in vain. */
  fail: ((error: SqlError) => void) | undefined;
  readonly #steps: UndoStep[] = [];
  #savepoints: { readonly name: string; readonly length: number; readonly hasJoined: boolean }[] = [];
  /** Whether it has used a table, with which InnoDB takes part in it. */
  hasJoined = false;
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
    if (!this.#touched.has(`write ${table.name}`)) this.#touched.add(`${intent} ${table.name}`);
  }

  setRow(table: Table, entry: Entry, row: Row | undefined): void {
    const isNew = table.entries.get(entry.text) !== entry;
    if (isNew) {
      table.add(entry);
      const { gaps } = table.primary;
      if (!gaps.isEmpty) gaps.split(entry.text, table.next(entry.key)?.text ?? SUPREMUM);
    }
    this.#steps.push({ kind: 'row', table, entry, before: entry.row, isNew });
    entry.row = row;
    entry.writer = this;
  }

  /** Makes a record of an index live, or not; it may be new. */
  setRecord(record: IndexRecord, isLive: boolean): void {
    const { index } = record;
    const known = index.record(record.text, record.entry);
    this.#steps.push({ kind: 'record', record: known ?? record, wasLive: known?.isLive });
    if (known === undefined) {
      index.add(record);
      if (!index.gaps.isEmpty) index.gaps.split(record.lockText, index.next(record.position)?.lockText ?? SUPREMUM);
    }
    (known ?? record).isLive = isLive;
    (known ?? record).entry = record.entry;
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
      { name: name.toLowerCase(), length: this.length, hasJoined: this.hasJoined },
    ];
  }

  /** Undoes what came after the savepoint; false when there is none of that name. */
  rollbackTo(name: string): boolean {
    const at = this.#savepoints.findIndex((each) => each.name === name.toLowerCase());
    if (at < 0) return false;
    this.#savepoints.length = at + 1;
    const { length, hasJoined } = this.#savepoints[at] as { length: number; hasJoined: boolean };
    this.undoTo(length);
    // What InnoDB did not know of when the savepoint was set ends there as a whole, with its locks.
    if (!hasJoined) {
      this.#releaseAll();
      this.hasJoined = false;
    }
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
      else if (step.kind === 'record') this.#undoRecord(step.record, step.wasLive);
    }
  }

  /** Shows everything to others, lets go of all locks, and returns the records that are deleted now and the rows that were replaced. */
  commit(): { readonly ghosts: readonly Ghost[]; readonly replaced: readonly Replaced[] } {
    const ghosts: Ghost[] = [];
    const replaced: Replaced[] = [];
    for (const step of this.#steps) {
      if (step.kind === 'row') {
        const { entry, table } = step;
        if (entry.committed !== entry.row) replaced.push({ table, text: entry.text, key: entry.key, before: entry.committed });
        entry.committed = entry.row;
        entry.writer = undefined;
        if (entry.row === undefined) ghosts.push({ kind: 'row', table, entry });
      } else if (step.kind === 'record' && !step.record.isLive) ghosts.push({ kind: 'record', record: step.record });
    }
    this.#end();
    return { ghosts, replaced };
  }

  rollback(): void {
    this.undoTo(0);
    this.#end();
  }

  #end(): void {
    this.#steps.length = 0;
    this.#savepoints = [];
    this.#releaseAll();
  }

  #releaseAll(): void {
    this.#touched.clear();
    for (const place of [...this.lockedAt]) place.release(this);
  }

  #undoRow(table: Table, entry: Entry, before: Row | undefined, isNew: boolean): void {
    entry.row = before;
    if (before === entry.committed) entry.writer = undefined;
    if (isNew) removeEntry(table, entry);
    else if (before === undefined) table.primary.peekLocks(entry.text)?.unwrite(this);
  }

  #undoRecord(record: IndexRecord, wasLive: boolean | undefined): void {
    if (wasLive === undefined) return removeRecord(record);
    record.isLive = wasLive;
    record.index.peekLocks(record.lockText)?.unwrite(this);
  }
}
