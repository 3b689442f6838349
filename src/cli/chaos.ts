import { randomInt } from 'node:crypto';
import { accessSync, constants, existsSync, writeFileSync } from 'node:fs';
import { dirname, extname, resolve } from 'node:path';
import type { Report } from '../chaos/report.ts';
import type { ChaosOptions } from '../chaos/run.ts';
import { messageOf } from '../core/errors.ts';
import { chooseFaults, FAULT_FLAGS } from './chaos-faults.ts';
import { describeReport, describeStrike } from './chaos-report.ts';
import { chooseTarget, describePlan, mustBeConfirmed, TARGET_FLAGS } from './chaos-target.ts';
import { EXIT, integerFlag, parseFlags, UsageError, type Command, type Terminal } from './command.ts';
import { parseDuration } from './duration.ts';
import { count } from './text.ts';
import { version } from './version.ts';

export const chaos: Command = {
  name: 'chaos',
  summary: 'disturb a server of yours in every way and check every row afterwards',
  help,
  run,
};

const FLAGS = {
  ...TARGET_FLAGS,
  ...FAULT_FLAGS,
  duration: { type: 'string' },
  count: { type: 'string' },
  every: { type: 'string' },
  clients: { type: 'string' },
  rate: { type: 'string' },
  patience: { type: 'string' },
  seed: { type: 'string' },
  report: { type: 'string', multiple: true },
  keep: { type: 'boolean', default: false },
  yes: { type: 'boolean', default: false },
} as const;

type Flags = ReturnType<typeof parseFlags<typeof FLAGS>>['values'];

const SECOND = 1000;
const HOUR = 3_600_000;
const DURATION_MS = 60 * SECOND;
const EVERY_MS = 2 * SECOND;
const PATIENCE_MS = 60 * SECOND;
const CLIENTS = 4;
const RATE = 600;
/** The audit holds a run in memory. */
const MAX_CHANGES = 3_000_000;
const MAX_FAULTS = 1_000_000;
const MAX_SEED = 2 ** 31;

async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values, positionals } = parseFlags(args, FLAGS);
  if (positionals.length > 0) throw new UsageError(`chaos takes no ${positionals[0]}.`);
  const target = chooseTarget(values, terminal);
  const options = {
    target,
    ...amountsOf(values),
    faults: await chooseFaults(values, target),
    seed: integerFlag('seed', values.seed, randomInt(1, MAX_SEED), [1, MAX_SEED]),
    keep: values.keep,
    version: version(),
  };
  const files = (values.report ?? []).map((file) => reportFile(file, terminal.cwd));
  if (target !== undefined) {
    const plan = describePlan(target, options);
    if (!values.yes && mustBeConfirmed(target)) throw new UsageError(`${plan}\nIf that is what you want, add --yes.`);
    terminal.err(`${plan}\n`);
  }

  // Loaded here: the other commands and every --help do without it.
  const { runChaos } = await import('../chaos/run.ts');
  const { ChaosError } = await import('../chaos/chaos-error.ts');
  const startedMs = Date.now();
  const listener = {
    news: (text: string) => terminal.out(`${text}\n`),
    struck: (strike: Parameters<typeof describeStrike>[0]) => terminal.out(`${describeStrike(strike, startedMs)}\n`),
  };
  let report: Report;
  try {
    report = await runChaos(options, listener, terminal.stop);
  } catch (error) {
    if (!(error instanceof ChaosError)) throw error;
    terminal.err(`syncline: ${error.message}\n`);
    return error.reason === 'unreachable' ? EXIT.unreachable : EXIT.failed;
  }
  terminal.out(`\n${describeReport(report)}`);
  const written = files.map(({ path, format }) =>
    write(path, format === 'json' ? `${JSON.stringify(report, null, 2)}\n` : describeReport(report), terminal),
  );
  if (!report.ok || !written.every(Boolean)) return EXIT.failed;
  return report.interrupted ? EXIT.interrupted : EXIT.ok;
}

function amountsOf(
  flags: Flags,
): Pick<ChaosOptions, 'clients' | 'changesPerSecond' | 'durationMs' | 'maxFaults' | 'everyMs' | 'patienceMs'> {
  const durationMs = parseDuration('duration', flags.duration, DURATION_MS, [SECOND, 24 * HOUR]);
  const changesPerSecond = integerFlag('rate', flags.rate, RATE, [1, 5000]);
  const seconds = durationMs / 1000;
  if (changesPerSecond * seconds > MAX_CHANGES) {
    throw new UsageError(
      `${count(changesPerSecond)} changes a second for ${count(seconds)} s are ${count(changesPerSecond * seconds)}, and the audit takes ${count(MAX_CHANGES)}; use --rate ${Math.max(1, Math.floor(MAX_CHANGES / seconds))} or a shorter --duration`,
    );
  }
  return {
    clients: integerFlag('clients', flags.clients, CLIENTS, [1, 32]),
    changesPerSecond,
    durationMs,
    maxFaults: integerFlag('count', flags.count, MAX_FAULTS, [1, MAX_FAULTS]),
    everyMs: parseDuration('every', flags.every, EVERY_MS, [100, HOUR]),
    patienceMs: parseDuration('patience', flags.patience, PATIENCE_MS, [SECOND, HOUR]),
  };
}

interface ReportFile {
  readonly path: string;
  readonly format: 'json' | 'text';
}

function reportFile(written: string, cwd: string): ReportFile {
  const extension = extname(written).toLowerCase();
  if (extension !== '.json' && extension !== '.txt')
    throw new UsageError(`--report names a file that ends in .json or .txt, not ${written}`);
  const path = resolve(cwd, written);
  try {
    // Now, and not when an hour has passed.
    accessSync(existsSync(path) ? path : dirname(path), constants.W_OK);
  } catch (error) {
    throw new UsageError(`--report cannot be written: ${messageOf(error)}`);
  }
  return { path, format: extension === '.json' ? 'json' : 'text' };
}

function write(path: string, text: string, terminal: Terminal): boolean {
  try {
    writeFileSync(path, text);
    return true;
  } catch (error) {
    terminal.err(`syncline: the report cannot be written: ${messageOf(error)}\n`);
    return false;
  }
}

function help(): string {
  return `Usage: syncline chaos [OPTIONS]
       syncline chaos --url URL --sink URL [OPTIONS]

Starts clients that write through a server, kills, pauses and cuts them off again and again, then compares every row of the
database with what the clients were told: nothing lost, nothing twice, nothing out of order. Without --url it starts a
server of its own with embedded queue and sink in a temporary folder, kills that as well, and is done after a minute.

It is for servers that may be disturbed: a staging system, not production. It writes only to tables of its own
(chaos_syncline_…), which it drops at the end. docs/chaos.md says what else it does.

The server:
  --url URL            server, such as tcp://staging:9501
  --sink URL           database that this server applies to, such as mysql://user:password@db/staging or sqlite:PATH;
                       better in SYNCLINE_SINK, because other users can see arguments
  --token-file FILE    file that holds the token; without it SYNCLINE_TOKEN
  --config, -c FILE    server, token and sink of this configuration
  --yes                do it although server or database are on another machine

What happens:
  --duration TIME      how long faults are injected (1m)
  --count N            end after so many faults, before that time
  --every TIME         pause between two faults, on average (2s)
  --fault NAME         only this fault; may be repeated
  --kill-server CMD, --kill-redis CMD, --kill-database CMD
                       faults by commands of yours, such as 'ssh staging systemctl kill -s KILL syncline'; whatever they
                       kill must be started again by its service manager, or by the command
  --inject NAME=CMD    any other fault by a command of yours; may be repeated
  --clients N          clients, each a process of its own (${CLIENTS})
  --rate N             changes per second, of all clients together (${RATE})
  --patience TIME      give up when nothing was applied for so long (1m)
  --seed N             decides what is written and which faults strike in which order; printed by every run

Afterwards:
  --report FILE        write the report, as JSON to FILE.json and as text to FILE.txt; may be repeated
  --keep               leave the tables (and the files of the embedded server) where they are

Faults:
  kill-client, pause-client, burst, reset, half-close, cut, corrupt, refuse, freeze, blackhole, delay, slow, slice; and
  kill-server of the embedded server, and those that are commands

Exit code: 0 nothing was wrong, 1 something was, 2 wrong arguments, 3 server or database away, 130 ended early by Ctrl-C
and nothing was wrong.
`;
}
