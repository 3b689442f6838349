import { auditEffects, auditLetters, changeName, splitRepeats, staleKeys, type AuditFaults } from './audit.ts';
import type { AuditedRows } from './audited-file.ts';
import { KEYS, REFUSED_EVERY, type ProducerHistory } from './producer-process.ts';

/** What became of everything that clients sent. */
export interface Audit extends AuditFaults {
  /** Rows that the clients had made sure of. */
  readonly sent: number;
  /** Changes that took effect in the audited table; of a killed client they may be more than `sent`. */
  readonly applied: number;
  readonly deadLetters: number;
}

const NONE: ReadonlySet<string> = new Set();

/** Compares what {@link ProducerProcess}es noted with what a database holds; `repeatable` changes may have come twice. */
export function auditRows(history: ProducerHistory, rows: AuditedRows, repeatable = NONE): Audit {
  const { audit, items, plain, letters, strayLetters } = rows;
  const split = splitRepeats(audit, items, repeatable);
  const upToDate = plain.map((row) => (repeatable.has(changeName(row)) ? { ...row, n: Infinity } : row));
  const other = [
    ...staleKeys(history, upToDate, KEYS),
    ...plain.filter(({ n, padBytes }) => padBytes !== n % 200).map(({ n }) => `n ${n} of table plain is not what was sent`),
    ...(strayLetters === 0 ? [] : [`${strayLetters} changes that nothing is wrong with are dead letters`]),
  ];
  const faults = [auditEffects(history, split.audit, split.items, KEYS), auditLetters(history, letters, REFUSED_EVERY, repeatable)];
  return {
    sent: [...history.spooled.values()].reduce((sum, n) => sum + n, 0),
    applied: audit.length,
    deadLetters: letters.length,
    lost: faults.flatMap(({ lost }) => lost),
    duplicated: faults.flatMap(({ duplicated }) => duplicated),
    outOfOrder: [...split.outOfOrder, ...faults.flatMap(({ outOfOrder }) => outOfOrder)],
    other: [...faults.flatMap((one) => one.other), ...other],
  };
}
