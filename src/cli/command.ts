import { parseArgs, type ParseArgsOptionsConfig } from 'node:util';
import { nearest } from '../config/nearest.ts';
import { ERRORS, type SyncError } from '../core/errors.ts';

/** One command of `syncline`. */
export interface Command {
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** What `--help` prints. */
  help(): string;
  /**
   * Runs it and resolves with the exit code: see {@link EXIT}.
   * @throws {UsageError} for arguments that make no sense.
   * @throws {SyncError} for what the world does; printed as one line, exit code 1.
   */
  run(args: readonly string[], terminal: Terminal): Promise<number>;
}

/** Everything a command knows of the process it runs in. */
export interface Terminal {
  out(text: string): void;
  err(text: string): void;
  /** Columns of the terminal that standard error goes to; undefined when it is none. */
  readonly errColumns: number | undefined;
  readonly stdin: AsyncIterable<Uint8Array>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** Aborted by the first SIGTERM or SIGINT: finish cleanly. */
  readonly stop: AbortSignal;
  /** Calls `run` at every SIGHUP from now on, which would otherwise end the process. */
  onHangUp(run: () => void): void;
}

export const EXIT = { ok: 0, failed: 1, usage: 2, unreachable: 3, interrupted: 130 } as const;

export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Code, message and what to do, in one line; only a configuration with several problems takes more. */
export function describeError(error: SyncError): string {
  return `${error.message} [${error.code}: ${ERRORS[error.code].remedy}]`;
}

/** Parses arguments. @throws {UsageError} naming the nearest right option. */
export function parseFlags<const Flags extends ParseArgsOptionsConfig>(args: readonly string[], options: Flags) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true });
  } catch (error) {
    throw usageErrorOf(error, Object.keys(options));
  }
}

function usageErrorOf(error: unknown, names: readonly string[]): unknown {
  if (!(error instanceof TypeError) || !('code' in error)) return error;
  if (error.code === 'ERR_PARSE_ARGS_UNKNOWN_OPTION') {
    const written = /'(--?[^'\s]+)/.exec(error.message)?.[1] ?? '';
    const near = nearest(written.replace(/^-+/, ''), names);
    return new UsageError(`unknown option ${written}${near === undefined ? '' : `; did you mean --${near}?`}`);
  }
  if (String(error.code).startsWith('ERR_PARSE_ARGS')) return new UsageError(lowerFirst(error.message.split('\n')[0] as string));
  return error;
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}

/** The number that a flag gives. @throws {UsageError} */
export function integerFlag(name: string, written: string | undefined, fallback: number, [min, max]: readonly [number, number]): number {
  if (written === undefined) return fallback;
  const value = Number(written);
  if (!/^\d+$/.test(written) || value < min || value > max)
    throw new UsageError(`--${name} must be a whole number from ${min} to ${max}, not ${written}`);
  return value;
}
