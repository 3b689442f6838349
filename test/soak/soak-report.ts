import type { Audit } from '../support/rows-audit.ts';

/** In less, what grows does not show beside what a process needs at its start. */
export const MIN_MINUTES = 15;

/** What is held at one moment. */
export interface Sample {
  /** Since the beginning of the soak. */
  readonly atS: number;
  /** Nobody sends, everything is applied. */
  readonly isQuiet: boolean;
  /** Which process of the server it is, and how long that has run. */
  readonly serverPid: number;
  readonly serverAgeS: number;
  readonly serverRssMib: number;
  readonly serverDescriptors: number;
  readonly serverThreads: number;
  /** Of the clients that faults leave alone, the largest. */
  readonly clientRssMib: number;
  readonly clientDescriptors: number;
  readonly redisMib: number;
  /** Batches in the lists of Redis, as the server counts them. */
  readonly queued: number;
  /** The largest of all clients. */
  readonly spoolMib: number;
}

export interface SoakReport {
  readonly minutes: number;
  readonly seed: number;
  /** How often each fault struck. */
  readonly faults: Readonly<Record<string, number>>;
  readonly longestWaitMs: number;
  readonly audit: Pick<Audit, 'sent' | 'applied' | 'deadLetters'>;
  /** What is wrong; empty when every promise was kept and nothing grows. */
  readonly violations: readonly string[];
  readonly samples: readonly Sample[];
}

/** For people. */
export function summaryOf({ minutes, faults, longestWaitMs, audit, violations, samples }: SoakReport): string {
  const count = Object.values(faults).reduce((sum, n) => sum + n, 0);
  const range = (name: keyof Sample) => {
    const values = samples.map((sample) => Number(sample[name])).filter(Number.isFinite);
    return `${Math.round(Math.min(...values))} to ${Math.round(Math.max(...values))}`;
  };
  return [
    `${minutes.toFixed(1)} minutes, ${count} faults (${Object.entries(faults)
      .map(([name, n]) => `${name} ${n}`)
      .join(', ')})`,
    `${audit.sent} rows sent, ${audit.applied} applied, ${audit.deadLetters} refused; longest wait until applied again ${(longestWaitMs / 1000).toFixed(1)} s`,
    `the server: ${range('serverRssMib')} MiB, ${range('serverDescriptors')} descriptors; clients: ${range('clientRssMib')} MiB, ` +
      `${range('clientDescriptors')} descriptors; Redis: ${range('redisMib')} MiB; spools: ${range('spoolMib')} MiB; queued batches: ${range('queued')}`,
    violations.length > 0
      ? `${violations.length} VIOLATIONS`
      : `every promise kept, ${minutes < MIN_MINUTES ? `and ${MIN_MINUTES} minutes are needed to see whether anything grows` : 'nothing grows'}`,
    ...violations,
  ].join('\n');
}
