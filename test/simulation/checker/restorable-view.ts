import type { SimMariadb } from '../mariadb/server.ts';
import { type Effect, type SinkRow, type SinkView, watermarksOf } from './sink-view.ts';

/** A database as the checker sees it, of which a backup may be restored: what that undid has never happened. */
export class RestorableView implements SinkView {
  readonly takenBack = new Map<string, number>();
  /** Called when a backup was put in place of what there was. */
  onRestored: () => void = () => {};
  readonly #mariadb: SimMariadb;
  /** How many effects of the server are in {@link #effects} or undone. */
  #seen = 0;
  #effects: Effect[] = [];
  #restoreCount = 0;

  constructor(mariadb: SimMariadb) {
    this.#mariadb = mariadb;
  }

  rows(table: string): readonly SinkRow[] {
    return this.#mariadb.read(table);
  }

  /** How often a backup was restored. */
  get restoreCount(): number {
    return this.#restoreCount;
  }

  get effects(): readonly Effect[] {
    const all = this.#mariadb.effects;
    for (; this.#seen < all.length; this.#seen++) this.#effects.push(all[this.#seen]!);
    return this.#effects;
  }

  /**
   * Takes a backup, and returns how to restore it, which does nothing once another one was restored; undefined before the
   * product has made its tables.
   */
  backUp(): (() => void) | undefined {
    const snapshot = this.#mariadb.snapshot();
    if (!snapshot.tables.has('syncline_dead_letter')) return undefined;
    const count = this.#restoreCount;
    return () => {
      if (this.#restoreCount !== count) return;
      this.#restoreCount++;
      const before = watermarksOf(this);
      this.#effects = this.effects.filter(({ commit }) => commit <= snapshot.commit);
      this.#mariadb.restore(snapshot);
      const after = watermarksOf(this);
      for (const [lane, seq] of before)
        if (seq > (after.get(lane) ?? 0)) this.takenBack.set(lane, Math.max(seq, this.takenBack.get(lane) ?? 0));
      this.onRestored();
    };
  }
}
