import { count, duration, textTable } from '../../src/cli/text.ts';

/** A moment of a pair that runs, for people. */
export interface PairMoment {
  readonly mode: string;
  readonly elapsedMs: number;
  readonly processes: readonly ProcessRow[];
  readonly sentRows: number;
  readonly appliedRows: number;
  readonly sentPerSecond: number;
  readonly appliedPerSecond: number;
  /** How long a change waits now, and the longest that one did so far. */
  readonly waitingMs: number;
  readonly longestWaitMs: number;
  /** What happened last, the newest at the end. */
  readonly notes: readonly string[];
  /** What is under way, when it is not the load. */
  readonly phase: string | undefined;
}

export interface ProcessRow {
  readonly name: string;
  readonly pid: number;
  /** As in "leads", "primary", "frozen", "back in 3 s". */
  readonly state: string;
  /** What HAProxy says of it; of nodes only. */
  readonly balancer: string | undefined;
  readonly isUp: boolean;
}

/** A page for a terminal of 80 columns and 24 lines, with six notes and short ones. */
export function pageOf(moment: PairMoment): string[] {
  const { mode, elapsedMs, processes, notes, phase } = moment;
  const rows = processes.map(({ name, pid, state, balancer, isUp }) => [
    name,
    String(pid),
    state,
    balancer ?? '',
    isUp ? `kill -9 ${pid}` : '',
  ]);
  return [
    `syncline pair, ${mode}, ${clockOf(elapsedMs)}`,
    phase ?? 'Ctrl-C ends the load, compares every row and removes everything',
    '',
    ...textTable(['process', 'pid', 'state', 'HAProxy says', 'kill, or -STOP and -CONT'], rows).split('\n'),
    '',
    ...trafficOf(moment).map((line) => `  ${line}`),
    '',
    ...notes.map((note) => `  ${note}`),
  ];
}

/** The same in a line, for where there is no terminal. */
export function lineOf(moment: PairMoment): string {
  const states = moment.processes.map(({ name, state, balancer }) => `${name} ${state}${balancer === undefined ? '' : ` (${balancer})`}`);
  return `${clockOf(moment.elapsedMs)}  ${[...trafficOf(moment), states.join(', ')].join('; ')}`;
}

function trafficOf({ sentRows, appliedRows, sentPerSecond, appliedPerSecond, waitingMs, longestWaitMs }: PairMoment): string[] {
  const waiting = Math.max(0, sentRows - appliedRows);
  return [
    `sent ${count(sentRows)} rows (${count(sentPerSecond)}/s), applied ${count(appliedRows)} (${count(appliedPerSecond)}/s), waiting ${count(waiting)}`,
    `a change waits ${duration(waitingMs)} now, ${duration(longestWaitMs)} at most so far`,
  ];
}

function clockOf(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  return `${String(Math.floor(seconds / 60)).padStart(2, '0')}:${String(seconds % 60).padStart(2, '0')}`;
}
