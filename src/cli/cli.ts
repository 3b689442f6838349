import { nearest } from '../config/nearest.ts';
import { SyncError } from '../core/errors.ts';
import { audit } from './audit.ts';
import { chaos } from './chaos.ts';
import { checkConfig } from './check-config.ts';
import { describeError, EXIT, UsageError, type Command, type Terminal } from './command.ts';
import { deadLetters } from './dead-letters.ts';
import { drain } from './drain.ts';
import { init } from './init.ts';
import { send } from './send.ts';
import { start } from './start.ts';
import { status } from './status.ts';
import { token } from './token.ts';
import { version } from './version.ts';

export const COMMANDS: readonly Command[] = [start, send, status, drain, deadLetters, checkConfig, init, token, audit, chaos];

/** Runs `syncline` with arguments and resolves with the exit code. Rejects only for bugs. */
export async function runCli(args: readonly string[], terminal: Terminal): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined) {
    terminal.err(overview());
    return EXIT.usage;
  }
  if (name === '--version' || name === '-v') return print(terminal, `${version()}\n`);
  if (name === '--help' || name === '-h') return print(terminal, overview());
  if (name === 'help') return runCli([...rest.slice(0, 1), '--help'], terminal);

  const command = COMMANDS.find((one) => one.name === name);
  if (command === undefined) {
    const near = nearest(
      name,
      COMMANDS.map((one) => one.name),
    );
    return fail(
      terminal,
      `${sentence(`unknown command ${name}${near === undefined ? '' : `; did you mean ${near}?`}`)} See: syncline --help`,
      EXIT.usage,
    );
  }
  if (rest.includes('--help') || rest.includes('-h')) return print(terminal, command.help());
  try {
    return await command.run(rest, terminal);
  } catch (error) {
    if (error instanceof UsageError) return fail(terminal, `${sentence(error.message)} See: syncline ${name} --help`, EXIT.usage);
    if (error instanceof SyncError) return fail(terminal, describeError(error), EXIT.failed);
    throw error;
  }
}

function overview(): string {
  const width = Math.max(...COMMANDS.map(({ name }) => name.length)) + 3;
  return `Syncline ${version()}: streams row changes into databases, every one exactly once and in order.

Usage: syncline COMMAND [OPTIONS]

Commands:
${COMMANDS.map(({ name, summary }) => `  ${name.padEnd(width)}${summary}`).join('\n')}

Options:
  --help, -h      show this, or with a command what it does
  --version, -v   show the version

Without any configuration "syncline start" runs an embedded server below ./syncline-data.
`;
}

function print(terminal: Terminal, text: string): number {
  terminal.out(text);
  return EXIT.ok;
}

function sentence(text: string): string {
  return /[.?]$/.test(text) ? text : `${text}.`;
}

function fail(terminal: Terminal, message: string, code: number): number {
  terminal.err(`syncline: ${message}\n`);
  return code;
}
