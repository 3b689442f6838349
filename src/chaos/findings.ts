import type { Place } from './audit.ts';

/** Kinds of damage. */
export type FindingKind =
  /** Acknowledged, and not in the database; or refused, and nobody was told. */
  | 'lost'
  | 'duplicated'
  | 'out of order'
  /** Had to be refused, or was, and is in the database. */
  | 'refused but applied'
  /** In the database, and nobody sent it so. */
  | 'unexplained'
  /** Refused although nothing is wrong with it; a client that stopped; not applied in time. */
  | 'other';

export const FINDING_KINDS: readonly FindingKind[] = ['lost', 'duplicated', 'out of order', 'refused but applied', 'unexplained', 'other'];

/** One thing that is wrong. */
export interface Finding {
  readonly kind: FindingKind;
  /** A sentence. */
  readonly text: string;
  /** The step that it is about, if it is about one. */
  readonly place: Place | undefined;
}

/** What an audit has found so far. */
export class Findings {
  readonly list: Finding[] = [];

  add(kind: FindingKind, text: string, place?: Place): void {
    this.list.push({ kind, text, place });
  }
}

/** `client 2, life 1, step 17`, as findings name it. */
export function placeName({ client, life, n }: Place): string {
  return `client ${client}, life ${life}, step ${n}`;
}
