import { FINDING_KINDS, type Finding, type FindingKind } from './findings.ts';

/** What came of a run. Also the format of `--report FILE.json`. */
export interface Report {
  readonly version: string;
  readonly startedAt: string;
  /** From the first fault to the last acknowledgement. */
  readonly durationMs: number;
  /** Whether it was ended before its time. */
  readonly interrupted: boolean;
  readonly seed: number;
  readonly server: string;
  readonly sink: string;
  readonly clients: number;
  readonly changesPerSecond: number;
  /** Whether triggers wrote down every effect; if not, why. */
  readonly triggers: true | string;
  readonly faults: readonly FaultResult[];
  readonly totals: Totals;
  readonly damage: Readonly<Record<FindingKind, number>>;
  /** Sentences, the first {@link MAX_SHOWN} of each kind. */
  readonly findings: readonly { readonly kind: FindingKind; readonly text: string }[];
  /** Commands of the user that failed. */
  readonly hookFailures: readonly { readonly fault: string; readonly failure: string }[];
  /** Worth knowing, and no damage. */
  readonly notes: readonly string[];
  /** Whether nothing was wrong: no damage, and no command that failed. */
  readonly ok: boolean;
}

export interface FaultResult {
  readonly fault: string;
  readonly what: string;
  readonly count: number;
  /** Of {@link count}, those whose command failed. */
  readonly failed: number;
  /** From the end of the fault until everything that was written by then was acknowledged as applied. */
  readonly recoveryMs: { readonly median: number; readonly worst: number } | undefined;
  /** Damage to what was written during the fault, or after the one before and until it. */
  readonly lost: number;
  readonly duplicated: number;
  readonly outOfOrder: number;
  readonly other: number;
}

export interface Totals {
  /** Changes that clients had made sure of. */
  readonly sent: number;
  /** Rows that had to be refused, of those. */
  readonly refused: number;
  readonly faults: number;
  /** How often clients were started. */
  readonly lives: number;
}

/** One fault that was injected. */
export interface Strike {
  readonly fault: string;
  readonly beganWallMs: number;
  readonly endedWallMs: number;
  readonly detail: string;
  /** Undefined when the clients had not caught up in time, or the run was ended before. */
  readonly recoveryMs: number | undefined;
  /** Why they had not caught up in time. */
  readonly stuck: string | undefined;
  /** Why its command failed. */
  readonly failure: string | undefined;
}

export const MAX_SHOWN = 100;

/** How much damage there is of each kind. */
export function countDamage(findings: readonly Finding[]): Record<FindingKind, number> {
  const counts = Object.fromEntries(FINDING_KINDS.map((kind) => [kind, 0])) as Record<FindingKind, number>;
  for (const { kind } of findings) counts[kind]++;
  return counts;
}

/** The first findings of each kind. */
export function firstFindings(findings: readonly Finding[]): { kind: FindingKind; text: string }[] {
  return FINDING_KINDS.flatMap((kind) =>
    findings
      .filter((finding) => finding.kind === kind)
      .slice(0, MAX_SHOWN)
      .map(({ text }) => ({ kind, text })),
  );
}

/**
 * Sums up the strikes by fault. Damage counts for the strike during which a step was begun, or for the next one: between
 * two strikes everything was acknowledged, so what was on its way when the next one came is hit by that.
 * `beganAt` gives the time at which a step was begun.
 */
export function faultResults(
  faults: readonly { readonly name: string; readonly what: string }[],
  strikes: readonly Strike[],
  findings: readonly Finding[],
  beganAt: (finding: Finding) => number | undefined,
): FaultResult[] {
  const damage = new Map<string, Record<FindingKind, number>>();
  for (const finding of findings) {
    const began = beganAt(finding);
    const strike = began === undefined ? undefined : (strikes.find(({ endedWallMs }) => began <= endedWallMs) ?? strikes.at(-1));
    if (strike === undefined) continue;
    const counts = damage.get(strike.fault) ?? countDamage([]);
    counts[finding.kind]++;
    damage.set(strike.fault, counts);
  }
  return faults.flatMap(({ name, what }) => {
    const mine = strikes.filter(({ fault }) => fault === name);
    if (mine.length === 0) return [];
    const recoveries = mine.flatMap(({ recoveryMs }) => (recoveryMs === undefined ? [] : Math.round(recoveryMs))).sort((a, b) => a - b);
    const counts = damage.get(name) ?? countDamage([]);
    return {
      fault: name,
      what,
      count: mine.length,
      failed: mine.filter(({ failure }) => failure !== undefined).length,
      recoveryMs:
        recoveries.length === 0 ? undefined : { median: recoveries[(recoveries.length - 1) >> 1] ?? 0, worst: recoveries.at(-1) ?? 0 },
      lost: counts.lost,
      duplicated: counts.duplicated,
      outOfOrder: counts['out of order'],
      other: counts['refused but applied'] + counts.unexplained + counts.other,
    };
  });
}
