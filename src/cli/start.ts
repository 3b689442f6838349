import { optionEntries } from '../config/catalogue.ts';
import { describeDefault } from '../config/document.ts';
import { loadConfig } from '../config/load.ts';
import { plain, wrap } from '../config/template.ts';
import { EXIT, parseFlags, UsageError, type Command, type Terminal } from './command.ts';

export const start: Command = { name: 'start', summary: 'run the server', help, run };

async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values, positionals } = parseFlags(args, { config: { type: 'string', short: 'c' } });
  if (positionals.length > 0) throw new UsageError(`start takes no ${positionals[0]}.`);
  const load = () => loadConfig({ file: values.config, env: terminal.env, cwd: terminal.cwd });
  const config = load();
  // Loaded here: the other commands and every --help do without the server.
  const { startServer } = await import('../server.ts');
  const starting = startServer(config);
  // A server that does not start says why below.
  terminal.onHangUp(
    () =>
      void starting.then(
        (server) => server.reload(load),
        () => {},
      ),
  );
  const server = await starting;
  await aborted(terminal.stop);
  if (await endsInTime(server.close())) return EXIT.ok;
  terminal.err(
    `syncline: what was in flight has not ended within ${STOP_TIMEOUT_MS / 1000} s and is left as it is: nothing is lost, and it is done again\n`,
  );
  return EXIT.failed;
}

/** Less than what service managers wait before they kill. */
const STOP_TIMEOUT_MS = 25_000;

async function endsInTime(closing: Promise<void>): Promise<boolean> {
  const late = new Promise<false>((resolve) => setTimeout(resolve, STOP_TIMEOUT_MS, false).unref());
  return Promise.race([closing.then(() => true), late]);
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

function help(): string {
  return `Usage: syncline start [--config FILE]

Runs the server until SIGTERM or SIGINT, then finishes what is in flight and ends with exit code 0, or 1 if that takes more
than ${STOP_TIMEOUT_MS / 1000} s; a second signal ends it at once. When it cannot start it says why in one line and ends with exit code 1.
At SIGHUP it reads file and variables again and goes by what can change while it runs; docs/operations.md says what.

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
