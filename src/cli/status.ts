import type { Status } from '../admin/status.ts';
import { ADMIN_FLAGS, ADMIN_FLAGS_HELP, adminTarget, askAdmin, unreachableReason } from './admin-client.ts';
import { EXIT, integerFlag, parseFlags, UsageError, type Command, type Terminal } from './command.ts';
import { count, duration, printable, printableJson, size, textTable } from './text.ts';

export const status: Command = { name: 'status', summary: 'show queue, lag, sessions and dead letters of a running server', help, run };

const TIMEOUT_MS = 10_000;
const SHOWN_ADDRESSES = 5;

async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values, positionals } = parseFlags(args, {
    ...ADMIN_FLAGS,
    json: { type: 'boolean', default: false },
    timeout: { type: 'string' },
  });
  if (positionals.length > 0) throw new UsageError(`status takes no ${positionals[0]}.`);
  const target = adminTarget(values, terminal);
  const timeoutMs = integerFlag('timeout', values.timeout, TIMEOUT_MS / 1000, [1, 600]) * 1000;
  let answer: Status;
  try {
    const signal = AbortSignal.any([AbortSignal.timeout(timeoutMs), terminal.stop]);
    answer = (await askAdmin(target, 'GET', '/api/v1/status', signal)) as Status;
  } catch (error) {
    terminal.err(`syncline: no status from ${target.url}: ${unreachableReason(error)}\n`);
    return EXIT.unreachable;
  }
  terminal.out(values.json ? `${printableJson(answer, 2)}\n` : describeStatus(answer));
  return EXIT.ok;
}

/** A status as a page of text. */
export function describeStatus(status: Status): string {
  const { queue, lag, sessions, sinks, deadLetters, partitions, config } = status;
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
    ...certificateLines(status.certificate),
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
    ['configuration', describeConfig(config)],
    ...auditLines(status),
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

function certificateLines(certificate: Status['certificate']): [string, string][] {
  if (certificate === undefined) return [];
  const { names, expiresAtMs } = certificate;
  const leftMs = expiresAtMs - Date.now();
  const when = leftMs > 0 ? `expires in ${duration(leftMs)}` : `EXPIRED ${duration(-leftMs)} ago`;
  return [['certificate', `${names.length === 0 ? 'without a name' : names.join(', ')}, ${when}`]];
}

function describeConfig({ loadedAtMs, waiting, failure }: Status['config']): string {
  const since = `loaded ${new Date(loadedAtMs).toISOString().slice(0, 19).replace('T', ' ')}Z`;
  const pending = waiting.length === 0 ? '' : `; a restart is needed for ${waiting.join(', ')}`;
  return `${since}${pending}${failure === undefined ? '' : `; the last reload failed and changed nothing: ${failure}`}`;
}

function auditLines({ audit }: Status): [string, string][] {
  if (audit === undefined) return [];
  const { last, lost, failure } = audit;
  const gap = lost === 0 ? '' : `, ${count(lost)} events lost`;
  return [
    ['audit log', `line ${count(last.seq)}, hash ${last.hash}${gap}${failure === undefined ? '' : `, cannot be written (${failure})`}`],
  ];
}

/** What a node of several says of its place among them. */
function clusterLines({ node, cluster }: Status): [string, string][] {
  if (cluster === undefined) return [];
  const { mode, leader, members, held, clockDifferenceMs } = cluster;
  // Out of service it asks for no lease, and so does not hear who has them.
  const isAside = members.some(({ name, state }) => name === node && state === 'leaving');
  const unknown = isAside ? 'who leads is not known here' : 'nobody leads';
  const leads = mode === 'active' ? '' : `, ${leader === undefined ? unknown : `${leader === node ? 'this node' : leader} leads`}`;
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
${ADMIN_FLAGS_HELP}
  --timeout SECONDS   how long to wait for the answer (${TIMEOUT_MS / 1000})

Exit code: 0 answered, 3 no answer.
`;
}
