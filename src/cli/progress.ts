import { count, duration } from './text.ts';

/** Where a transfer is. */
export interface Progress {
  readonly readBytes: number;
  /** Undefined when nobody knows, as on standard input. */
  readonly totalBytes: number | undefined;
  readonly readRows: number;
  readonly appliedRows: number;
  readonly elapsedMs: number;
  /** Rows that were accepted and are not applied yet, and since when the oldest of them waits. */
  readonly lagRows: number;
  readonly lagMs: number;
  /** Why nothing moves, if so. */
  readonly trouble: string | undefined;
}

const BAR_WIDTH = 20;
const TERMINAL_INTERVAL_MS = 200;
const PLAIN_INTERVAL_MS = 5000;

/**
 * Shows progress until {@link ProgressDisplay.close}: one line that is written over on a terminal of `columns`, a new
 * line now and then elsewhere.
 */
export function startProgress(read: () => Progress, write: (text: string) => void, columns: number | undefined): ProgressDisplay {
  const show = () => {
    const line = progressLine(read());
    write(columns === undefined ? `${line}\n` : `\r${line.slice(0, columns - 1)}\u001b[K`);
  };
  const timer = setInterval(show, columns === undefined ? PLAIN_INTERVAL_MS : TERMINAL_INTERVAL_MS);
  return {
    close() {
      clearInterval(timer);
      if (columns !== undefined) write('\r\u001b[K');
    },
  };
}

export interface ProgressDisplay {
  /** Stops, and clears the line on a terminal. */
  close(): void;
}

export function progressLine({ readBytes, totalBytes, readRows, appliedRows, elapsedMs, lagRows, lagMs, trouble }: Progress): string {
  const share =
    totalBytes === undefined || totalBytes === 0
      ? undefined
      : Math.min(1, readBytes / totalBytes) * (readRows === 0 ? 1 : appliedRows / readRows);
  const bar =
    share === undefined
      ? ''
      : `${`${Math.floor(share * 100)}%`.padStart(4)} [${'='.repeat(Math.round(share * BAR_WIDTH)).padEnd(BAR_WIDTH)}]  `;
  const lag = lagRows === 0 ? 'no lag' : `lag ${count(lagRows)} rows, ${duration(lagMs)}`;
  const state = trouble === undefined ? '' : `  ${trouble}`;
  return `${bar}${count(appliedRows)} applied  ${count(rowsPerSecond(appliedRows, elapsedMs))} rows/s  ${lag}${state}`;
}

export function rowsPerSecond(rows: number, elapsedMs: number): number {
  return elapsedMs <= 0 ? 0 : (rows * 1000) / elapsedMs;
}
