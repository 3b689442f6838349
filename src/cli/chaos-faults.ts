import type { Fault } from '../chaos/faults.ts';
import type { ChaosOptions } from '../chaos/run.ts';
import { nearest } from '../config/nearest.ts';
import { UsageError } from './command.ts';

export const FAULT_FLAGS = {
  fault: { type: 'string', multiple: true },
  inject: { type: 'string', multiple: true },
  'kill-server': { type: 'string' },
  'kill-redis': { type: 'string' },
  'kill-database': { type: 'string' },
} as const;

interface FaultFlags {
  readonly fault?: string[];
  readonly inject?: string[];
  readonly 'kill-server'?: string;
  readonly 'kill-redis'?: string;
  readonly 'kill-database'?: string;
}

/** Faults that are commands for which there is an option. */
const SHORT_FORMS = ['kill-server', 'kill-redis', 'kill-database'] as const;

/** The faults that may strike: every one that is possible, or those that were chosen. @throws {UsageError} */
export async function chooseFaults(flags: FaultFlags, target: ChaosOptions['target']): Promise<readonly Fault[]> {
  const { CLIENT_FAULTS, hookFault } = await import('../chaos/faults.ts');
  const { KILL_SERVER } = await import('../chaos/run.ts');
  const hooks = commandsOf(flags);
  const [first] = hooks.keys();
  if (target === undefined && first !== undefined)
    throw new UsageError(
      `${SHORT_FORMS.some((one) => one === first) ? '--' : '--inject '}${first} is about a server of yours; name it with --url.`,
    );
  const known = new Set([...CLIENT_FAULTS, KILL_SERVER].map(({ name }) => name));
  for (const name of hooks.keys())
    if (known.has(name) && name !== KILL_SERVER.name)
      throw new UsageError(`--inject ${name} has the name of a fault that is built in; choose another.`);
  const possible = [
    ...CLIENT_FAULTS,
    ...(target === undefined ? [KILL_SERVER] : []),
    ...[...hooks].map(([name, command]) => hookFault(name, command)),
  ];
  const chosen = flags.fault ?? [];
  for (const name of chosen) checkName(name, possible);
  return chosen.length === 0 ? possible : possible.filter(({ name }) => chosen.includes(name));
}

function checkName(name: string, possible: readonly Fault[]): void {
  const names = possible.map((fault) => fault.name);
  if (names.includes(name)) return;
  if (SHORT_FORMS.some((one) => one === name)) throw new UsageError(`--fault ${name} needs to know how: give it --${name} 'COMMAND'.`);
  const near = nearest(name, names);
  throw new UsageError(`--fault is one of ${names.join(', ')}, not ${name}${near === undefined ? '' : `; did you mean ${near}?`}`);
}

function commandsOf(flags: FaultFlags): Map<string, string> {
  const commands = new Map<string, string>();
  const add = (name: string, command: string, flag: string) => {
    if (command.trim() === '') throw new UsageError(`${flag} needs a command.`);
    if (commands.has(name)) throw new UsageError(`${flag}: there are two commands named ${name}.`);
    commands.set(name, command);
  };
  for (const name of SHORT_FORMS) {
    const command = flags[name];
    if (command !== undefined) add(name, command, `--${name}`);
  }
  for (const written of flags.inject ?? []) {
    const [, name, command] = /^([a-z][a-z0-9-]{0,30})=(.*)$/s.exec(written) ?? [];
    if (name === undefined || command === undefined)
      throw new UsageError(`--inject is NAME=COMMAND, with a name of lower-case letters, digits and dashes, not ${written}`);
    add(name, command, `--inject ${name}`);
  }
  return commands;
}
