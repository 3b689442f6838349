import { existsSync } from 'node:fs';
import { commandsFile } from '../audit/audit-log.ts';
import { verifyAudit } from '../audit/verify.ts';
import { loadConfig } from '../config/load.ts';
import { EXIT, parseFlags, UsageError, type Command, type Terminal } from './command.ts';
import { count, printable } from './text.ts';

export const audit: Command = { name: 'audit', summary: 'verify that an audit log is as it was written', help, run };

async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values, positionals } = parseFlags(args, { config: { type: 'string', short: 'c' }, includes: { type: 'string' } });
  const [action, file, ...rest] = positionals;
  if (action !== 'verify' || rest.length > 0) throw new UsageError('say what to verify, as in: syncline audit verify audit.log.');
  const { includes } = values;
  if (includes !== undefined && !/^[0-9a-f]{64}$/.test(includes)) throw new UsageError('--includes is the hash of a line: 64 hex digits.');
  const paths = file === undefined ? configured(values.config, terminal) : [file];
  const results = await Promise.all(paths.map((path) => verifyOne(path, includes, terminal)));
  // The hash is one of the server's own log, or of the commands'.
  const isIncluded = includes === undefined || results.some((result) => result === 'includes');
  if (!isIncluded && !results.includes('broken'))
    terminal.err('syncline: no line has this hash: the end was cut off, or it is of another log\n');
  return isIncluded && !results.includes('broken') ? EXIT.ok : EXIT.failed;
}

function configured(config: string | undefined, terminal: Terminal): string[] {
  const { file } = loadConfig({ file: config, env: terminal.env, cwd: terminal.cwd }).audit;
  if (file === undefined) throw new UsageError('name a file: audit.file is not set.');
  return [file, commandsFile(file)].filter((path, i) => i === 0 || existsSync(path));
}

async function verifyOne(path: string, hash: string | undefined, terminal: Terminal): Promise<'broken' | 'whole' | 'includes'> {
  if (!existsSync(path)) {
    terminal.err(`syncline: there is no file ${printable(path)}\n`);
    return 'broken';
  }
  const result = await verifyAudit(path, hash);
  if ('reason' in result) {
    terminal.err(`syncline: ${printable(result.file)}, line ${result.line}: ${result.reason}\n`);
    return 'broken';
  }
  const { files, firstSeq, last, includesHash } = result;
  const lines = last.seq === 0 ? 'no lines' : `lines ${count(firstSeq)} to ${count(last.seq)} are as they were written`;
  terminal.out(
    `${printable(path)}: ${lines}, in ${count(files.length)} ${files.length === 1 ? 'file' : 'files'}; the last hash is ${last.hash}\n`,
  );
  return includesHash ? 'includes' : 'whole';
}

function help(): string {
  return `Usage: syncline audit verify [FILE] [--includes HASH] [--config FILE]

Reads an audit log, with the full files beside it, and says at which line of which file something was changed, removed or
added. Without FILE it is the one that audit.file names, and that of the commands beside it. It may be done while the server
writes, and on a copy.

What was cut off at the end shows only to whoever knows a hash of it: the server logs the last one when it starts and stops,
and "syncline status" shows it.

Options:
  --includes HASH     fail unless a line has this hash
  --config, -c FILE   read FILE instead of ./syncline.yaml

Exit code: 0 whole, 1 not.
`;
}
