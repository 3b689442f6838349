import type { Report, Strike } from '../chaos/report.ts';
import { count, duration, printable, textTable } from './text.ts';

/** One line about a fault that has just been survived, or not. `startedMs`: wall clock. */
export function describeStrike({ fault, beganWallMs, detail, recoveryMs, stuck, failure }: Strike, startedMs: number): string {
  const at = `${((beganWallMs - startedMs) / 1000).toFixed(1)} s`.padStart(9);
  const outcome =
    stuck === undefined
      ? recoveryMs === undefined
        ? 'then the run was ended'
        : `acknowledged again after ${duration(recoveryMs)}`
      : `NOT ACKNOWLEDGED AGAIN: ${printable(stuck)}`;
  return `${at}  ${fault.padEnd(14)} ${printable(failure === undefined ? detail : `FAILED: the command ${failure}`)}; ${outcome}`;
}

/** A report as a page of text. */
export function describeReport(report: Report): string {
  const { totals, damage, findings, hookFailures, notes } = report;
  const lines = [
    `${report.interrupted ? 'ended early' : 'done'} after ${duration(report.durationMs)}: server ${report.server}, sink ${report.sink}, ${count(report.clients)} clients, seed ${report.seed}`,
    '',
    ...(report.faults.length === 0 ? ['no fault was injected'] : [faultTable(report)]),
    '',
    `sent                 ${count(totals.sent)} changes, ${count(totals.refused)} of them such as had to be refused, by clients that were started ${count(totals.lives)} times`,
    `faults               ${count(totals.faults)}${hookFailures.length === 0 ? '' : `; the commands of ${count(hookFailures.length)} failed`}`,
    ...Object.entries(damage).map(([kind, number]) => `${kind.padEnd(20)} ${count(number)}`),
    ...(report.triggers === true ? [] : [`triggers             none: ${report.triggers}`]),
    ...notes.slice(0, MAX_NOTES).map((note) => `note                 ${printable(note)}`),
    ...(notes.length > MAX_NOTES ? [`note                 ${count(notes.length - MAX_NOTES)} more`] : []),
    ...hookFailures.slice(0, MAX_NOTES).map(({ fault, failure }) => `failed               ${fault}: the command ${printable(failure)}`),
    '',
    ...findings.map(({ kind, text }) => `${kind}: ${printable(text)}`),
    ...verdict(report),
  ];
  return `${lines.join('\n')}\n`;
}

const MAX_NOTES = 10;

function faultTable({ faults }: Report): string {
  const failing = faults.some(({ failed }) => failed > 0);
  const damaging = faults.some(({ other }) => other > 0);
  const head = [
    'fault',
    'times',
    ...(failing ? ['failed'] : []),
    'again after',
    'at worst',
    'lost',
    'duplicated',
    'out of order',
    ...(damaging ? ['other'] : []),
  ];
  const rows = faults.map(({ fault, count: times, failed, recoveryMs, lost, duplicated, outOfOrder, other }) => [
    fault,
    count(times),
    ...(failing ? [count(failed)] : []),
    recoveryMs === undefined ? '-' : duration(recoveryMs.median),
    recoveryMs === undefined ? '-' : duration(recoveryMs.worst),
    ...[lost, duplicated, outOfOrder, ...(damaging ? [other] : [])].map(count),
  ]);
  return textTable(head, rows);
}

function verdict({ ok, damage, findings, interrupted, totals, seed }: Report): string[] {
  const damaged = Object.values(damage).reduce((sum, number) => sum + number, 0);
  if (damaged > 0) {
    const more = damaged - findings.length;
    return [
      ...(more > 0 ? [`and ${count(more)} more`] : []),
      '',
      `WRONG: ${count(damaged)} ${damaged === 1 ? 'finding' : 'findings'}. Run it again with --seed ${seed} --keep to look into the tables.`,
    ];
  }
  if (!ok) return ['No damage, but commands failed: those faults may not have happened.'];
  if (totals.faults === 0) return ['Nothing was wrong, and no fault was injected.'];
  return [`Nothing was wrong: every change was applied exactly once and in order${interrupted ? ', as far as it went' : ''}.`];
}
