import { resolve } from 'node:path';
import { readText } from '../config/file.ts';
import { UsageError, type Terminal } from './command.ts';

/**
 * The token that a command was given, in a file or in SYNCLINE_TOKEN: never as an argument, which other users of the machine can read.
 * Undefined where it was given none.
 */
export function givenToken(flags: { readonly 'token-file'?: string | undefined }, { env, cwd }: Terminal): string | undefined {
  const file = flags['token-file'];
  if (file === undefined) return env['SYNCLINE_TOKEN'] || undefined;
  const token = readText(resolve(cwd, file)).trim();
  if (token === '') throw new UsageError(`--token-file ${file} is empty.`);
  return token;
}
