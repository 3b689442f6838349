import { optionEntries } from '../config/catalogue.ts';
import { describeDefault } from '../config/document.ts';
import { loadConfig } from '../config/load.ts';
import { plain, wrap } from '../config/template.ts';
import { EXIT, parseFlags, UsageError, type Command, type Terminal } from './command.ts';

export const start: Command = { name: 'start', summary: 'run the server', help, run };

async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values, positionals } = parseFlags(args, { config: { type: 'string', short: 'c' } });
  if (positionals.length > 0) throw new UsageError(`start takes no ${positionals[0]}.`);
  const config = loadConfig({ file: values.config, env: terminal.env, cwd: terminal.cwd });
  // Loaded here: the other commands and every --help do without the server.
  const { startServer } = await import('../server.ts');
  const server = await startServer(config);
  await aborted(terminal.stop);
  await server.close();
  return EXIT.ok;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

function help(): string {
  return `Usage: syncline start [--config FILE]

Runs the server until SIGTERM or SIGINT, then finishes what is in flight and ends with exit code 0; a second signal ends it
at once. When it cannot start it says why in one line and ends with exit code 1.

Options:
  --config, -c FILE   read FILE instead of ./syncline.yaml

Each variable sets one option of the file, and wins over it:

${optionEntries()
  .flatMap((entry) => {
    if (entry.env === undefined) return [];
    const text = wrap(`${plain(entry.description ?? '')} Default: ${plain(describeDefault(entry))}.`, 108);
    return [`  ${entry.env}  (${entry.path.join('.').replace('.[]', '[0]')})`, ...text.map((line) => `      ${line}`)];
  })
  .join('\n')}

The file also holds producers and tables: see docs/configuration.md, or write one with "syncline init".
`;
}
