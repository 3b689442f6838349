import type { Status } from '../admin/status.ts';
import { loadConfig } from '../config/load.ts';
import { messageOf } from '../core/errors.ts';
import { EXIT, integerFlag, parseFlags, UsageError, type Command, type Terminal } from './command.ts';
import { count, duration, printable, size, textTable } from './text.ts';

export const status: Command = { name: 'status', summary: 'show queue, lag, sessions and dead letters of a running server', help, run };

const TIMEOUT_MS = 10_000;
const SHOWN_ADDRESSES = 5;

async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values, positionals } = parseFlags(args, {
    json: { type: 'boolean', default: false },
    url: { type: 'string' },
    config: { type: 'string', short: 'c' },
    timeout: { type: 'string' },
  });
  if (positionals.length > 0) throw new UsageError(`status takes no ${positionals[0]}.`);
  const { url, token } = targetOf(values, terminal);
  const timeoutMs = integerFlag('timeout', values.timeout, TIMEOUT_MS / 1000, [1, 600]) * 1000;
  let answer: Status;
  try {
    answer = await fetchStatus(url, token, AbortSignal.any([AbortSignal.timeout(timeoutMs), terminal.stop]));
  } catch (error) {
    terminal.err(`syncline: no status from ${url}: ${reasonOf(error)}\n`);
    return EXIT.unreachable;
  }
  terminal.out(values.json ? `${JSON.stringify(answer, null, 2)}\n` : describeStatus(answer));
  return EXIT.ok;
}

/**
 * Whom to ask and with which token. A URL that was given gets no token from a configuration file, which may be meant for
 * another server.
 */
function targetOf(flags: { url?: string; config?: string }, terminal: Terminal): { url: string; token: string | undefined } {
  if (flags.url !== undefined) return { url: flags.url, token: terminal.env['SYNCLINE_ADMIN_TOKEN'] || undefined };
  const { host, port, token } = loadConfig({ file: flags.config, env: terminal.env, cwd: terminal.cwd }).listen.admin;
  const reachable = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  return { url: `http://${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}`, token };
}

async function fetchStatus(url: string, token: string | undefined, signal: AbortSignal): Promise<Status> {
  const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const response = await fetch(new URL('/api/v1/status', url), { headers, signal });
  if (response.status === 401)
    throw new TokenRefused(`it ${token === undefined ? 'asks for a token' : 'knows another token'}; set SYNCLINE_ADMIN_TOKEN`);
  if (!response.ok) throw new Error(`it answers ${response.status}`);
  return (await response.json()) as Status;
}

class TokenRefused extends Error {}

function reasonOf(error: unknown): string {
  if (error instanceof TokenRefused) return error.message;
  const cause = error instanceof Error ? error.cause : undefined;
  const reason = error instanceof DOMException && error.name === 'TimeoutError' ? 'no answer in time' : messageOf(cause ?? error);
  return `${reason}; is the server running, and is this its admin address?`;
}

/** A status as a page of text. */
export function describeStatus(status: Status): string {
  const { queue, lag, sessions, sinks, deadLetters, partitions } = status;
  const producers = Object.entries(sessions.producers).map(([name, open]) => `${name} ${count(open)}`);
  const from = describeAddresses(sessions.addresses);
  const lines: [string, string][] = [
    ['node', `${status.node}, version ${status.version}, up ${duration(status.uptimeMs)}`],
    ['ready', status.ready ? 'yes' : `no: ${status.obstacles.join('; ')}`],
    ...clusterLines(status),
    [
      'queue',
      `${queue.kind}, ${queue.admission === 'open' ? 'open' : 'producers held back'}${queue.detail === undefined ? '' : ` (${queue.detail})`}, ${count(queue.batches)} batches, ${size(queue.bytes)}`,
    ],
    ['lag', lag.batches === 0 ? 'none' : `${count(lag.batches)} batches, the oldest ${duration(lag.ms)} old`],
    ['sessions', `${count(sessions.open)}${producers.length === 0 ? '' : `: ${producers.join(', ')}`}${from}`],
    ...sinks.map(({ name, kind, guarantee, failure }): [string, string] => [
      'sink',
      `${name}: ${kind}, ${guarantee}${failure === undefined ? '' : `, failing (${failure})`}`,
    ]),
    [
      'dead letters',
      deadLetters.open === undefined
        ? `unknown (${deadLetters.failure ?? ''})`
        : `${count(deadLetters.open)}${deadLetters.open > 0 ? ' open; see: syncline dead-letters list' : ''}`,
    ],
  ];
  const page = lines.map(([name, value]) => `${name.padEnd(13)} ${printable(value)}`).join('\n');
  const busy = partitions.filter(({ batches, state }) => batches > 0 || (state !== 'applying' && state !== 'elsewhere'));
  if (busy.length === 0) return `${page}\n`;
  const rows = busy.map((one) => [
    String(one.partition),
    count(one.batches),
    size(one.bytes),
    duration(one.oldestAgeMs),
    one.state,
    printable(one.detail),
  ]);
  return `${page}\n\n${textTable(['partition', 'batches', 'bytes', 'oldest', 'state', ''], rows)}\n`;
}

/** The addresses that most come from. */
function describeAddresses(addresses: Status['sessions']['addresses']): string {
  const all = Object.entries(addresses).sort(([, a], [, b]) => b - a);
  if (all.length === 0) return '';
  const shown = all.slice(0, SHOWN_ADDRESSES).map(([address, open]) => `${address} ${count(open)}`);
  return `, from ${shown.join(', ')}${all.length > shown.length ? ` and ${count(all.length - shown.length)} more addresses` : ''}`;
}

/** What a node of several says of its place among them. */
function clusterLines({ node, cluster }: Status): [string, string][] {
  if (cluster === undefined) return [];
  const { mode, leader, members, held, clockDifferenceMs } = cluster;
  const leads = mode === 'active' ? '' : leader === undefined ? ', nobody leads' : `, ${leader === node ? 'this node' : leader} leads`;
  const off = Math.abs(clockDifferenceMs ?? 0) < 1000 ? '' : `, clock ${duration(Math.abs(clockDifferenceMs ?? 0))} off the queue's`;
  return [
    ['cluster', `${mode}${leads}, applies ${count(held.length)} partitions here${off}`],
    ...members.map(({ name, state, version, admin }): [string, string] => [
      'member',
      `${name}: ${state}, version ${version}${admin === '' ? '' : `, admin ${admin}`}`,
    ]),
  ];
}

function help(): string {
  return `Usage: syncline status [--json] [--url URL] [--config FILE] [--timeout SECONDS]

Asks a running server how it is: queue, lag, sessions, sinks, dead letters, and the partitions that have something to do.

Options:
  --json              print the answer as JSON
  --url URL           admin address, such as http://127.0.0.1:9500, with the token in SYNCLINE_ADMIN_TOKEN if it asks for
                      one; without it address and token of the configuration
  --config, -c FILE   read FILE instead of ./syncline.yaml
  --timeout SECONDS   how long to wait for the answer (${TIMEOUT_MS / 1000})

Exit code: 0 answered, 3 no answer.
`;
}
