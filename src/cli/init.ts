import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { CONFIG_FILE } from '../config/file.ts';
import { configTemplate } from '../config/template.ts';
import { messageOf } from '../core/errors.ts';
import { EXIT, parseFlags, UsageError, type Command, type Terminal } from './command.ts';

export const init: Command = { name: 'init', summary: `write a commented ${CONFIG_FILE}`, help, run };

function run(args: readonly string[], terminal: Terminal): Promise<number> {
  const { positionals } = parseFlags(args, {});
  if (positionals.length > 1) throw new UsageError('init takes one file.');
  const path = resolve(terminal.cwd, positionals[0] ?? CONFIG_FILE);
  try {
    // It may come to hold secrets, so nobody else may read it; "wx" never overwrites.
    writeFileSync(path, configTemplate(), { flag: 'wx', mode: 0o600 });
  } catch (error) {
    const exists = (error as NodeJS.ErrnoException).code === 'EEXIST';
    terminal.err(`syncline: ${exists ? `${path} exists and is left as it is; name another file or remove it` : messageOf(error)}\n`);
    return Promise.resolve(EXIT.failed);
  }
  terminal.out(`wrote ${path}: every option with its default, commented out\n`);
  return Promise.resolve(EXIT.ok);
}

function help(): string {
  return `Usage: syncline init [FILE]

Writes a configuration file (${CONFIG_FILE} in the current folder) with every option, its description and its default, all
commented out. A file that exists is left as it is.
`;
}
