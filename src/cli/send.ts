import { createReadStream, statSync } from 'node:fs';
import { extname, resolve } from 'node:path';
import type { Client } from '../client/client.ts';
import { readText } from '../config/file.ts';
import { loadConfig } from '../config/load.ts';
import { nearest } from '../config/nearest.ts';
import { parseBytes } from '../config/option.ts';
import { OPS, type Op } from '../core/change.ts';
import { messageOf, SyncError } from '../core/errors.ts';
import { describeError, EXIT, integerFlag, parseFlags, UsageError, type Command, type Terminal } from './command.ts';
import { givenToken } from './given-token.ts';
import { ownServer, type OwnServer } from './own-server.ts';
import { parseTypes, readRows, type InputFormat } from './input/rows.ts';
import { describeResult } from './send-report.ts';
import { Sending, type SendEnd } from './sending.ts';

export const send: Command = { name: 'send', summary: 'send rows from a file or from standard input', help, run };

const FLAGS = {
  table: { type: 'string', short: 't' },
  op: { type: 'string', default: 'upsert' },
  key: { type: 'string', short: 'k' },
  format: { type: 'string', short: 'f' },
  types: { type: 'string' },
  delimiter: { type: 'string' },
  url: { type: 'string', short: 'u' },
  'token-file': { type: 'string' },
  'tls-ca': { type: 'string' },
  'tls-cert': { type: 'string' },
  'tls-key': { type: 'string' },
  batch: { type: 'string' },
  'give-up': { type: 'string' },
  quiet: { type: 'boolean', short: 'q', default: false },
  config: { type: 'string', short: 'c' },
} as const;

type Flags = ReturnType<typeof parseFlags<typeof FLAGS>>['values'];

const READ_BYTES = 256 * 1024;
const BATCH_BYTES = [256, 16 * 1024 * 1024] as const;
/** How long the first connection may take, over all attempts. */
const CONNECT_TIMEOUT_MS = 5000;

async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values, positionals } = parseFlags(args, FLAGS);
  const [name, ...others] = positionals;
  if (name === undefined || others.length > 0) throw new UsageError('send takes one file, or - for standard input.');
  const format = formatOf(name, values);
  const { own, ...target } = targetOf(values, terminal);
  const tls = tlsOf(values, target.url, terminal);
  const batchBytes = batchBytesOf(values.batch);
  const input = openInput(name, terminal);

  // Loaded here: the other commands and every --help do without the client.
  const [{ connect }, { createTcpDialer }] = await Promise.all([import('../client/client.ts'), import('../client/tcp-dialer.ts')]);
  let client: Client;
  try {
    client = await connect({
      ...target,
      ...(tls === undefined ? {} : { tls }),
      ...(own?.tls === undefined ? {} : { dialer: createTcpDialer({ ...own, tls: { ...own.tls, ...tls } }) }),
      ...(batchBytes === undefined ? {} : { batchBytes }),
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
      agent: 'syncline-cli',
    });
  } catch (error) {
    if (error instanceof TypeError) throw new UsageError(`${error.message}.`);
    if (!(error instanceof SyncError)) throw error;
    terminal.err(`syncline: not connected: ${describeError(error)}\n`);
    return EXIT.unreachable;
  }
  const sending = new Sending(client, {
    key: values.key?.split(','),
    totalBytes: input.totalBytes,
    giveUpMs: integerFlag('give-up', values['give-up'], 0, [0, 1_000_000]) * 1000,
    columns: terminal.errColumns,
    write: values.quiet ? undefined : (text) => terminal.err(text),
  });
  const end = await sending.run((countBytes) => readRows(counted(input.bytes, countBytes), format), terminal.stop);
  terminal.out(describeResult(end.result, end.refusals));
  if (end.refusals.unsentCount > 0 && values.key === undefined)
    terminal.out('--key names the key columns of a table that the server does not know yet\n');
  return report(end, terminal);
}

function report({ trouble, interrupted, refusals, result }: SendEnd, terminal: Terminal): number {
  if (interrupted) return EXIT.interrupted;
  if (trouble !== undefined) terminal.err(`syncline: ${trouble}\n`);
  return trouble === undefined && refusals.total === 0 && result.unconfirmed === 0 ? EXIT.ok : EXIT.failed;
}

function formatOf(name: string, flags: Flags): InputFormat {
  const op = OPS.find((one) => one === flags.op);
  if (op === undefined) throw new UsageError(`--op is ${OPS.join(', ')}, not ${flags.op}${suggestion(flags.op, OPS)}`);
  const format = flags.format ?? FORMAT_OF_EXTENSION[extname(name).toLowerCase()] ?? 'ndjson';
  if (format !== 'ndjson' && format !== 'json' && format !== 'csv') throw new UsageError(`--format is ndjson, json or csv, not ${format}.`);
  if (format === 'csv' && flags.table === undefined) throw new UsageError('CSV needs --table.');
  if (format !== 'csv' && (flags.types ?? flags.delimiter) !== undefined) throw new UsageError('--types and --delimiter are for CSV.');
  const delimiter = flags.delimiter ?? (extname(name).toLowerCase() === '.tsv' ? '\t' : ',');
  if (delimiter.length !== 1 || '"\r\n'.includes(delimiter)) throw new UsageError('--delimiter is one character.');
  return { format, table: flags.table, op: op satisfies Op, delimiter, types: typesOf(flags.types) };
}

const FORMAT_OF_EXTENSION: Readonly<Record<string, InputFormat['format']>> = {
  '.ndjson': 'ndjson',
  '.jsonl': 'ndjson',
  '.json': 'json',
  '.csv': 'csv',
  '.tsv': 'csv',
};

function suggestion(written: string, candidates: readonly string[]): string {
  const near = nearest(written, candidates);
  return near === undefined ? '' : `; did you mean ${near}?`;
}

function typesOf(written: string | undefined): InputFormat['types'] {
  try {
    return written === undefined ? new Map() : parseTypes(written);
  } catch (error) {
    throw new UsageError(`${messageOf(error)}.`);
  }
}

function batchBytesOf(written: string | undefined): number | undefined {
  if (written === undefined) return undefined;
  const bytes = parseBytes(written);
  const [min, max] = BATCH_BYTES;
  if (typeof bytes === 'string' || bytes < min || bytes > max)
    throw new UsageError(`--batch is a size such as 64KiB, from ${min} bytes to 16 MiB, not ${written}.`);
  return bytes;
}

/**
 * Where to send and with which token. A URL that was given gets no token from a configuration file, which may be meant
 * for another server.
 */
function targetOf(flags: Flags, terminal: Terminal): { url: string; token?: string; own?: OwnServer } {
  const token = givenToken(flags, terminal);
  const url = flags.url ?? (terminal.env['SYNCLINE_URL'] || undefined);
  if (url !== undefined) return { url, ...(token === undefined ? {} : { token }) };
  const config = loadConfig({ file: flags.config, env: terminal.env, cwd: terminal.cwd });
  const own = ownServer(config);
  const chosen = flags['token-file'] === undefined ? config.token : token;
  return { url: own.url, own, ...(chosen === undefined ? {} : { token: chosen }) };
}

/** Whom to trust, and what to show to a server that asks clients for certificates; undefined where nothing is said of it. */
function tlsOf(flags: Flags, url: string, terminal: Terminal): { ca?: string; cert?: string; key?: string } | undefined {
  const given = (['ca', 'cert', 'key'] as const).flatMap((name) => {
    const file = flags[`tls-${name}`];
    return file === undefined ? [] : [{ name, file }];
  });
  if (given.length === 0) return undefined;
  if (!url.startsWith('tcps:')) throw new UsageError(`--tls-${given[0]?.name} is for tcps://, and the url is ${url}.`);
  return Object.fromEntries(given.map(({ name, file }) => [name, readText(resolve(terminal.cwd, file))]));
}

interface Input {
  readonly bytes: AsyncIterable<Uint8Array>;
  readonly totalBytes: number | undefined;
}

function openInput(name: string, terminal: Terminal): Input {
  if (name === '-') return { bytes: terminal.stdin, totalBytes: undefined };
  const path = resolve(terminal.cwd, name);
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) throw new UsageError(`${path} does not exist.`);
  if (stat.isDirectory()) throw new UsageError(`${path} is a folder.`);
  return { bytes: createReadStream(path, { highWaterMark: READ_BYTES }), totalBytes: stat.isFile() ? stat.size : undefined };
}

async function* counted(bytes: AsyncIterable<Uint8Array>, count: (bytes: number) => void): AsyncGenerator<Uint8Array> {
  for await (const chunk of bytes) {
    count(chunk.length);
    yield chunk;
  }
}

function help(): string {
  return `Usage: syncline send FILE [--table TABLE] [OPTIONS]
       syncline send - [--table TABLE] [OPTIONS] < FILE

Sends rows to a server, waits until each is applied or rejected, and says which were rejected and why. The file may be of
any size. When it is interrupted, send it again: with upsert and delete, what was applied before stays as it is.

Formats, by extension or --format:
  ndjson   one object per line (.ndjson, .jsonl, and without any other sign)
  json     an array of objects (.json)
  csv      RFC 4180 with a header line (.csv; .tsv with tabs); needs --table

With --table every object is a row. Without it every object names its table: {"table": "t", "row": {…}}, and may have
"op" and "key" (a list of columns). Numbers in JSON are sent as exact as they are written. Values in CSV are sent as text,
which the database converts; nothing between two delimiters is null, "" is an empty text.

Options:
  --table, -t TABLE    table of all rows
  --op OP              upsert (default), insert, update or delete
  --key, -k A,B        key columns, for a table that the server does not know yet
  --format, -f FORMAT  ndjson, json or csv
  --types A:TYPE,…     CSV: send these columns as int, float, bool, json or text
  --delimiter CHAR     CSV: another delimiter than a comma
  --url, -u URL        server, such as tcp://127.0.0.1:9501; without it SYNCLINE_URL, then that of the configuration
  --token-file FILE    file that holds the token; without it SYNCLINE_TOKEN, then that of the configuration
  --tls-ca FILE        tcps://: PEM file with the authority that signed the certificate of the server
  --tls-cert FILE      tcps://: PEM file with a certificate to show, where the server asks for one
  --tls-key FILE       tcps://: PEM file with the key of --tls-cert
  --batch SIZE         close batches at this size, such as 64KiB
  --give-up SECONDS    end when nothing was applied for so long; without it waits for as long as it takes
  --quiet, -q          no progress
  --config, -c FILE    read FILE instead of ./syncline.yaml

Exit code: 0 all applied, 1 some rejected or not confirmed, 2 wrong arguments, 3 no connection, 130 interrupted.
`;
}
