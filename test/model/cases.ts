import type { FaultName } from './faults.ts';
import { type RuleName, rulesWithout } from './rules.ts';
import type { Violation } from './step.ts';
import type { Model } from './world.ts';

/** Rules that are taken out, and what happens then in a small world. */
export interface Case {
  /** The rule, and behind it those that would make up for it. */
  readonly out: readonly RuleName[];
  readonly kinds: readonly FaultName[];
  /** Where it is another than {@link SMALL}. */
  readonly size?: Partial<Size>;
  readonly expected: Violation;
}

export type Size = Omit<Model, 'rules' | 'kinds'>;

export const SMALL: Size = { clients: 1, batches: 2, nodes: 1, sinks: 1, faults: 1 };

export const CASES: readonly Case[] = [
  { out: ['durableFirst'], kinds: ['client killed'], expected: 'repeat' },
  { out: ['streamOfItsOwn', 'chainAtDoor', 'chainInSlice', 'chainAtClient'], kinds: ['spool lost'], expected: 'loss' },
  { out: ['streamsApart'], kinds: ['spool lost'], expected: 'wedge' },
  { out: ['floor'], kinds: ['FLUSHALL'], expected: 'wedge' },
  { out: ['duplicateAtDoor', 'compare'], size: { nodes: 2, batches: 1 }, kinds: ['connection cut'], expected: 'repeat' },
  { out: ['gapAtDoor', 'gapInSlice'], kinds: ['FLUSHALL'], expected: 'order' },
  { out: ['staleRewind'], kinds: ['FLUSHALL'], expected: 'wedge' },
  { out: ['chainAtDoor', 'chainInSlice', 'takeover'], size: { batches: 3 }, kinds: ['spool restored'], expected: 'order' },
  { out: ['chainAtClient'], kinds: ['spool restored'], expected: 'loss' },
  { out: ['settleFirst'], kinds: ['spool restored'], expected: 'repeat' },
  { out: ['forgetAtApplied'], kinds: ['FLUSHALL'], expected: 'forgotten early' },
  { out: ['appliedFromSinks'], kinds: ['FLUSHALL'], expected: 'forgotten early' },
  { out: ['appliedByAll'], size: { sinks: 2, batches: 1 }, kinds: ['FLUSHALL'], expected: 'forgotten early' },
  { out: ['everythingAboveStored'], kinds: ['connection cut'], expected: 'wedge' },
  { out: ['identity'], kinds: ['Redis rolled back'], expected: 'unsafe trim' },
  { out: ['trimLease', 'identity'], size: { nodes: 2 }, kinds: ['lease runs out'], expected: 'unsafe trim' },
  { out: ['lock'], size: { nodes: 2, batches: 1 }, kinds: ['lease runs out'], expected: 'repeat' },
  { out: ['compare'], kinds: ['COMMIT unknown'], expected: 'repeat' },
  { out: ['gapInSlice'], kinds: ['list deleted'], expected: 'order' },
  { out: ['oneCommit'], kinds: ['node killed'], expected: 'repeat' },
  { out: ['commitUnknown'], kinds: ['COMMIT lost'], expected: 'forgotten early' },
  { out: ['gapsHeal'], kinds: ['list deleted'], expected: 'unsafe trim' },
  { out: ['emptyListHeals'], kinds: ['list deleted'], expected: 'wedge' },
  { out: ['waitIsHeard'], size: { nodes: 2, batches: 1 }, kinds: ['sink restored'], expected: 'wedge' },
  { out: ['look'], kinds: ['FLUSHALL'], expected: 'wedge' },
  { out: ['lettersWithWatermark'], size: { faults: 2 }, kinds: ['poison batch', 'node killed'], expected: 'forgotten early' },
  { out: ['deadLetters'], kinds: ['poison batch'], expected: 'forgotten early' },
  { out: ['rejectedFirst'], size: { faults: 2 }, kinds: ['poison batch', 'COMMIT unknown'], expected: 'applied before rejected' },
  { out: ['watermarkFirst'], kinds: ['poison batch'], expected: 'applied before rejected' },
  { out: ['hole'], size: { faults: 2 }, kinds: ['poison batch', 'COMMIT unknown'], expected: 'applied before rejected' },
  { out: ['regressed'], kinds: ['sink restored'], expected: 'wedge' },
];

/**
 * Rules whose absence no world of this size shows, and why they are kept: `docs/decisions/0007-rules-that-back-up-others.md`.
 * The model is asked again whether that is still so.
 */
export const SECOND_LINES: Readonly<Partial<Record<RuleName, string>>> = {
  floorCrcWins: 'a record with other content at the seq of a watermark needs more faults',
  helloAgain: 'the floor keeps a node from asking for what was applied',
  healLease: 'the floor raises again what was set back too far',
  healByOrdinal: 'the lists of a finite world become empty',
};

export function modelOf({ out, size, kinds }: Omit<Case, 'expected'>): Model {
  return { ...SMALL, ...size, kinds: new Set(kinds), rules: rulesWithout(out) };
}
