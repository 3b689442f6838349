import { pino } from 'pino';
import { renderLine, safeLine } from './log-line.ts';

/**
 * Structured lines for whoever runs the server. First the fields, then the message, which is a constant text: what
 * varies stands in fields. One line per change of state, not per retry.
 */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  /** A log whose every line carries `fields` too. */
  child(fields: object): Logger;
}

/** A log whose least important level can be changed while it is used. */
export interface LeveledLogger extends Logger {
  level: LogOptions['level'];
}

export interface LogOptions {
  readonly level: 'debug' | 'info' | 'warn' | 'error' | 'silent';
  /** `auto` is `pretty` on a terminal, else `json`. */
  readonly format: 'auto' | 'pretty' | 'json';
}

/** Where lines go; each ends in a line feed. */
export interface LogOutput {
  readonly isTTY?: boolean;
  write(line: string): unknown;
}

/** Fields that never appear, neither at the top nor one level down. */
const SECRET_FIELDS = ['token', 'tokens', 'password', 'passwd', 'secret', 'authorization'];

/**
 * A log that writes to `output`. Values cannot forge lines or steer a terminal, passwords in URLs and fields with the
 * names of secrets are blanked, errors show their code and message and never what a driver attached to them.
 */
export function createLogger({ level, format }: LogOptions, output: LogOutput = process.stdout): LeveledLogger {
  const pretty = format === 'pretty' || (format === 'auto' && output.isTTY === true);
  const render = pretty ? (line: string) => renderLine(line, output.isTTY ? 'color' : 'plain') : safeLine;
  const logger = pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`]), censor: '***' },
      serializers: { err: errorFields, error: errorFields },
    },
    { write: (line: string) => void output.write(render(line)) },
  );
  return logger as typeof logger & LeveledLogger;
}

/** Drivers attach statements, commands and values to their errors; none of that belongs in a log. */
function errorFields(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { name, message, stack } = error;
  const code = (error as { code?: unknown }).code;
  return {
    name,
    ...(typeof code === 'string' ? { code } : {}),
    message,
    stack,
    ...(error.cause === undefined ? {} : { cause: errorFields(error.cause) }),
  };
}
