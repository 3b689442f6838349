import { parseArgs, type ParseArgsOptionsConfig } from 'node:util';
import { messageOf } from '../../src/core/errors.ts';

type Values<T extends ParseArgsOptionsConfig> = ReturnType<typeof parseArgs<{ options: T }>>['values'];

/** The options of this process' command line. Ends it with 2, and `usage` on its standard error, if there are others or `--help` is one. */
export function commandLine<const T extends ParseArgsOptionsConfig>(usage: string, options: T): Values<T> {
  try {
    return parseArgs({ options }).values;
  } catch (error) {
    const isAsked = process.argv.includes('--help');
    console.error(isAsked ? usage : `${messageOf(error)}\n${usage}`);
    process.exit(2);
  }
}
