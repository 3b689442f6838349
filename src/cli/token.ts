import { randomBytes } from 'node:crypto';
import { resolve } from 'node:path';
import { loadConfig } from '../config/load.ts';
import { tokenDigest } from '../config/resolve.ts';
import { changeTokens, readTokens, type TokenEntry } from '../config/tokens-file.ts';
import { SyncError } from '../core/errors.ts';
import { EXIT, parseFlags, UsageError, type Command, type Terminal } from './command.ts';
import { parseDuration } from './duration.ts';
import { printable, textTable } from './text.ts';

export const token: Command = { name: 'token', summary: 'make, list or revoke tokens of producers', help, run };

const SECRET_BYTES = 32;
const ID_BYTES = 4;
const DAY_MS = 86_400_000;
const EXPIRES_RANGE = [60_000, 3_650 * DAY_MS] as const;
const MAX_NOTE_CHARS = 200;

const FLAGS = {
  config: { type: 'string', short: 'c' },
  file: { type: 'string' },
  producer: { type: 'string', short: 'p' },
  expires: { type: 'string' },
  note: { type: 'string' },
  json: { type: 'boolean', default: false },
} as const;

type Flags = ReturnType<typeof parseFlags<typeof FLAGS>>['values'];

async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values, positionals } = parseFlags(args, FLAGS);
  const [action, ...rest] = positionals;
  switch (action) {
    case 'create':
      return create(values, rest, terminal);
    case 'list':
      if (rest.length > 0) throw new UsageError('list takes no names.');
      return list(values, terminal);
    case 'revoke':
      if (rest.length === 0) throw new UsageError('give the id of a token, as syncline token list shows it.');
      return revoke(values, rest, terminal);
    default:
      throw new UsageError('say what to do with tokens: create NAME, list or revoke ID.');
  }
}

function create(flags: Flags, names: readonly string[], terminal: Terminal): number {
  const producer = flags.producer ?? names[0];
  if (producer === undefined || names.length + (flags.producer === undefined ? 0 : 1) !== 1)
    throw new UsageError('give a name, as in: syncline token create shop.');
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(producer))
    throw new UsageError('a name has letters, digits, dots, dashes and underscores, 64 at most.');
  const file = placeForNew(flags, producer, terminal);
  const secret = randomBytes(SECRET_BYTES).toString('base64url');
  if (file === undefined) {
    if (flags.expires !== undefined || flags.note !== undefined)
      throw new UsageError('--expires and --note are kept in a token file: set tokensFile, or name one with --file.');
    printForConfig(producer, `${producer}.${secret}`, terminal);
    return EXIT.ok;
  }
  const entry = newEntry(flags, producer, secret);
  changeTokens(file, (entries) => [...entries, entry]);
  const until = entry.expires === undefined ? '' : `, until ${entry.expires}`;
  terminal.out(`token of ${producer}, shown this once; the producer keeps it:

  ${entry.id}.${secret}

${file} keeps only its digest, as ${entry.id}; servers that use it take the token within two seconds${until}.
To take it back: syncline token revoke ${entry.id}
`);
  return EXIT.ok;
}

function newEntry({ expires, note }: Flags, producer: string, secret: string): TokenEntry {
  if (note !== undefined && note.length > MAX_NOTE_CHARS) throw new UsageError(`--note has ${MAX_NOTE_CHARS} characters at most.`);
  const id = `${producer}-${randomBytes(ID_BYTES).toString('hex')}`;
  const nowMs = Date.now();
  const untilMs = nowMs + parseDuration('expires', expires, 0, EXPIRES_RANGE);
  return {
    id,
    producer,
    sha256: tokenDigest(`${id}.${secret}`).slice('sha256:'.length),
    created: new Date(nowMs).toISOString(),
    ...(expires === undefined ? {} : { expires: new Date(untilMs).toISOString() }),
    ...(note === undefined ? {} : { note }),
  };
}

function printForConfig(producer: string, whole: string, terminal: Terminal): void {
  terminal.out(`token of ${producer}, shown this once; the producer keeps it:

  ${whole}

for syncline.yaml of the server, which keeps only its digest:

producers:
  - name: ${producer}
    tokens: ["${tokenDigest(whole)}"]
`);
}

function list(flags: Flags, terminal: Terminal): number {
  const file = placeOf(flags, terminal);
  const entries = readTokens(file).filter(({ producer }) => flags.producer === undefined || producer === flags.producer);
  if (flags.json) {
    terminal.out(entries.map(({ sha256: _, ...entry }) => `${JSON.stringify(entry)}\n`).join(''));
    return EXIT.ok;
  }
  if (entries.length === 0) {
    terminal.out(`no tokens in ${file}\n`);
    return EXIT.ok;
  }
  const rows = entries.map(({ id, producer, created, expires, note }) => [
    id,
    producer,
    when(created),
    expiry(expires),
    printable(note ?? ''),
  ]);
  terminal.out(`${textTable(['id', 'producer', 'created', 'expires', 'note'], rows)}\n`);
  return EXIT.ok;
}

function revoke(flags: Flags, ids: readonly string[], terminal: Terminal): number {
  const file = placeOf(flags, terminal);
  changeTokens(file, (entries) => {
    const missing = ids.filter((id) => !entries.some((entry) => entry.id === id));
    if (missing.length > 0) throw new UsageError(`${file} has no token ${missing.join(', ')}; see: syncline token list.`);
    return entries.filter(({ id }) => !ids.includes(id));
  });
  terminal.out(`revoked: ${ids.join(', ')}. Servers that use ${file} end their connections within two seconds\n`);
  return EXIT.ok;
}

/** Where a new token goes; undefined: into a configuration, by hand. */
function placeForNew(flags: Flags, producer: string, terminal: Terminal): string | undefined {
  if (flags.file !== undefined) return resolve(terminal.cwd, flags.file);
  let config: ReturnType<typeof loadConfig>;
  try {
    config = loadConfig({ file: flags.config, env: terminal.env, cwd: terminal.cwd });
  } catch (error) {
    if (!(error instanceof SyncError)) throw error;
    // Where a token is just what is wrong with it.
    terminal.err(`syncline: the configuration cannot be used, so that the token is kept nowhere: ${error.message}\n`);
    return undefined;
  }
  const { tokensFile, producers } = config;
  const listed = producers.filter(({ name }) => name !== 'default' || config.token === undefined);
  if (tokensFile !== undefined && listed.length > 0 && !listed.some(({ name }) => name === producer))
    throw new UsageError(
      `${producer} is not among producers of the configuration, so that its token would let nobody in; add it there first.`,
    );
  return tokensFile;
}

function placeOf(flags: Flags, terminal: Terminal): string {
  if (flags.file !== undefined) return resolve(terminal.cwd, flags.file);
  const { tokensFile } = loadConfig({ file: flags.config, env: terminal.env, cwd: terminal.cwd });
  if (tokensFile === undefined) throw new UsageError('there is no token file: set tokensFile, or name one with --file.');
  return tokensFile;
}

function when(iso: string): string {
  return `${iso.slice(0, 16).replace('T', ' ')}Z`;
}

function expiry(expires: string | undefined): string {
  if (expires === undefined) return 'never';
  return Date.parse(expires) > Date.now() ? when(expires) : `${when(expires)} (expired)`;
}

function help(): string {
  return `Usage: syncline token create NAME [--expires TIME] [--note TEXT]
       syncline token list
       syncline token revoke ID...

create makes a random token for the producer NAME, shows it once, and keeps its digest in the token file (tokensFile of the
configuration). Without a token file it prints the entry for the server's configuration instead. A producer may have
several, so that one can be replaced without a gap: create another, give it to the producer, revoke the old one.
Servers that use the file notice within two seconds; connections of a token that is revoked or expired then end.

Options:
  --expires TIME       from when on it is not accepted any more: 90d, 12h, 30m; without it never
  --note TEXT          for whoever reads the list
  --producer, -p NAME  with create the same as NAME; with list only the tokens of NAME
  --json               list as one line of JSON each
  --file FILE          this token file, whatever the configuration says
  --config, -c FILE    that of this configuration
`;
}
