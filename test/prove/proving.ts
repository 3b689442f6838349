import { messageOf } from '../../src/core/errors.ts';
import { count, duration } from '../../src/cli/text.ts';
import { thisMachine, type LedgerEntry } from './ledger-entry.ts';
import type { Ledger } from './ledger.ts';
import { LiveLine } from './live-line.ts';
import type { PartResult, ProofPart } from './part.ts';
import { readSourceState, type SourceState } from './source-state.ts';
import { firstGap, settle, tallyOf, type Gap } from './tally.ts';

export interface ProvingOptions {
  /** The clone whose source is proved. */
  readonly root: string;
  readonly parts: readonly ProofPart[];
  /** What others found: what is there is not done again. */
  readonly published: readonly LedgerEntry[];
  /** Where finished slices are kept; undefined when they are not, because what they prove is not committed. */
  readonly ledger: Ledger | undefined;
  /** How many more items of each part, at most. */
  readonly maxCount: number;
  /** No slice begins later than this, in ms from the start. */
  readonly maxMs: number;
  readonly signal: AbortSignal;
  print(line: string): void;
}

/** How far a part is. */
export interface PartState {
  readonly part: ProofPart;
  readonly target: number;
  readonly state: SourceState;
  /** Of this state of the source. */
  readonly entries: readonly LedgerEntry[];
}

/**
 * Does slices of the parts, each time of the one that has the least of its full set, until all are done, a limit is reached
 * or it is aborted.
 */
export class Proving {
  readonly #options: ProvingOptions;
  readonly #line = new LiveLine();
  readonly #targets = new Map<string, number>();
  readonly #begun = new Map<string, number>();
  /** Found out in this run and not kept. */
  readonly #unkept: LedgerEntry[] = [];
  /** Parts that something went wrong with, other than a broken promise. */
  readonly failed = new Set<string>();

  constructor(options: ProvingOptions) {
    this.#options = options;
  }

  async run(): Promise<void> {
    const { signal, maxMs } = this.#options;
    const startedMs = performance.now();
    while (!signal.aborted && performance.now() - startedMs < maxMs) {
      const next = await this.#next();
      if (next === undefined) return;
      await this.#slice(next.state, next.gap);
    }
  }

  /** How far each part is, in their order. */
  async states(): Promise<PartState[]> {
    const { ledger, published, parts } = this.#options;
    const known = settle(published, [...(ledger?.read() ?? []), ...this.#unkept]);
    const states: PartState[] = [];
    for (const part of parts) states.push(await this.#stateOf(part, known));
    return states;
  }

  async #stateOf(part: ProofPart, known: readonly LedgerEntry[]): Promise<PartState> {
    const { root, ledger } = this.#options;
    const state = ledger === undefined ? UNCOMMITTED : readSourceState(root, part.sources);
    const target = this.#targets.get(part.name) ?? (typeof part.target === 'number' ? part.target : await part.target());
    this.#targets.set(part.name, target);
    return { part, target, state, entries: known.filter((entry) => entry.part === part.name && entry.source === state.source) };
  }

  async #next(): Promise<{ readonly state: PartState; readonly gap: Gap } | undefined> {
    const open = (await this.states()).flatMap((state) => {
      const { part, target, entries } = state;
      const left = this.#options.maxCount - (this.#begun.get(part.name) ?? 0);
      const gap = firstGap(entries, target);
      if (this.failed.has(part.name) || gap === undefined || left <= 0) return [];
      return [{ state, gap: { from: gap.from, count: Math.min(gap.count, part.sliceCount, left) }, share: tallyOf(entries).done / target }];
    });
    return open.toSorted((a, b) => a.share - b.share)[0];
  }

  async #slice({ part, target, state, entries }: PartState, { from, count: wanted }: Gap): Promise<void> {
    const { signal, print } = this.#options;
    const startedMs = performance.now();
    const before = tallyOf(entries).done;
    const far = (done: number) => `${part.name}: ${progressText(part, before, done, target, performance.now() - startedMs)}`;
    try {
      const result = await part.run({ from, count: wanted, signal, progress: (done) => this.#line.show(far(done)) });
      this.#line.clear();
      for (const { what, rerun } of result.violations) print(`${part.name}: BROKEN: ${what}\n  ${rerun}`);
      this.#checkUnchanged(part, state);
      // Whatever broke a promise was done.
      const done = Math.max(result.done, Math.min(result.violations.length, 1));
      if (done === 0 && !signal.aborted) throw new Error('none of them was done');
      this.#begun.set(part.name, (this.#begun.get(part.name) ?? 0) + done);
      const { source, commit } = state;
      const entry = { part: part.name, source, commit, from, count: done, target, machine: thisMachine(), ...measured(result, startedMs) };
      if (done > 0) this.#keep(entry);
      print(far(done));
    } catch (error) {
      this.#line.clear();
      if (signal.aborted) return;
      print(`${part.name}: items ${from} to ${from + wanted - 1} say nothing: ${messageOf(error)}`);
      this.failed.add(part.name);
    }
  }

  /** A slice during which the source changed proves nothing about either state. */
  #checkUnchanged(part: ProofPart, { source }: SourceState): void {
    const { root, ledger } = this.#options;
    if (ledger === undefined) return;
    const now = readSourceState(root, part.sources);
    if (now.source !== source || now.uncommitted.length > 0) throw new Error('the source was changed while it ran');
  }

  #keep(entry: LedgerEntry): void {
    const { ledger } = this.#options;
    if (ledger === undefined) this.#unkept.push(entry);
    else ledger.append(entry);
  }
}

/** It is like nothing that others did, whatever the last commit was. */
const UNCOMMITTED: SourceState = { source: 'uncommitted', commit: 'none', uncommitted: [] };

function measured(
  { violations, figures }: PartResult,
  startedMs: number,
): Pick<LedgerEntry, 'seconds' | 'violations' | 'figures' | 'date'> {
  const seconds = Math.round((performance.now() - startedMs) / 10) / 100;
  return { seconds, violations, figures, date: new Date().toISOString() };
}

function progressText({ unit }: ProofPart, before: number, done: number, target: number, tookMs: number): string {
  const soFar = `${count(before + done)} of ${count(target)} ${unit}`;
  if (done === 0) return soFar;
  const perSecond = (done / tookMs) * 1000;
  const rate = perSecond >= 1 ? `${perSecond.toFixed(1)}/s` : `${(perSecond * 60).toFixed(1)}/min`;
  const left = target - before - done;
  return `${soFar}, ${rate}${left > 0 ? `, ${duration((left / perSecond) * 1000)} to go` : ''}`;
}
