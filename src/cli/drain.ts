import { setTimeout as delay } from 'node:timers/promises';
import type { DrainState } from '../admin/state.ts';
import { ADMIN_FLAGS, ADMIN_FLAGS_HELP, adminTarget, askAdmin, unreachableReason, type AdminTarget } from './admin-client.ts';
import { EXIT, integerFlag, parseFlags, UsageError, type Command, type Terminal } from './command.ts';
import { count } from './text.ts';

export const drain: Command = { name: 'drain', summary: 'take a running server out of service, and put it back', help, run };

const ANSWER_TIMEOUT_MS = 10_000;
const WAIT_TIMEOUT_S = 60;
const POLL_MS = 200;
const PATH = '/api/v1/drain';

async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values, positionals } = parseFlags(args, {
    ...ADMIN_FLAGS,
    wait: { type: 'boolean', default: false },
    undo: { type: 'boolean', default: false },
    timeout: { type: 'string' },
  });
  if (positionals.length > 0) throw new UsageError(`drain takes no ${positionals[0]}.`);
  if (values.undo && values.wait) throw new UsageError('--wait is for draining; --undo takes effect at once.');
  if (values.timeout !== undefined && !values.wait) throw new UsageError('--timeout says how long to --wait.');
  const timeoutMs = integerFlag('timeout', values.timeout, WAIT_TIMEOUT_S, [1, 3600]) * 1000;
  const target = adminTarget(values, terminal);
  try {
    const state = await ask(target, values.undo ? 'DELETE' : 'POST', terminal);
    if (values.undo) {
      terminal.out(state.duty === 'stopping' ? 'the server is stopping, and stays out of service\n' : 'in service\n');
      return state.duty === 'serving' ? EXIT.ok : EXIT.failed;
    }
    if (state.takenOver === 'nobody') terminal.err(NOBODY_TAKES_OVER);
    if (values.wait) return await untilDrained(target, state, timeoutMs, terminal);
    terminal.out(`${describe(state)}\n`);
    return EXIT.ok;
  } catch (error) {
    if (terminal.stop.aborted) return EXIT.interrupted;
    terminal.err(`syncline: no answer from ${target.url}: ${unreachableReason(error)}\n`);
    return EXIT.unreachable;
  }
}

const NOBODY_TAKES_OVER =
  'warning: this server runs alone: clients keep what they write, and nothing is applied, until "syncline drain --undo" or a restart\n';

/** Shows what is waited for whenever that changes. */
async function untilDrained(target: AdminTarget, begun: DrainState, timeoutMs: number, terminal: Terminal): Promise<number> {
  const giveUpMs = performance.now() + timeoutMs;
  let shown = '';
  for (let state = begun; ; state = await ask(target, 'GET', terminal)) {
    const text = describe(state);
    if (text !== shown) terminal.out(`${text}\n`);
    shown = text;
    if (state.duty === 'drained') return EXIT.ok;
    if (state.duty === 'serving') {
      terminal.err('syncline: somebody has put the server back into service\n');
      return EXIT.failed;
    }
    if (performance.now() >= giveUpMs) {
      terminal.err(`syncline: not drained within ${timeoutMs / 1000} s; it goes on, see syncline status\n`);
      return EXIT.failed;
    }
    await delay(POLL_MS, undefined, { signal: terminal.stop });
  }
}

async function ask(target: AdminTarget, method: 'GET' | 'POST' | 'DELETE', { stop }: Terminal): Promise<DrainState> {
  return (await askAdmin(target, method, PATH, AbortSignal.any([AbortSignal.timeout(ANSWER_TIMEOUT_MS), stop]))) as DrainState;
}

function describe({ duty, sessions, slices, leases }: DrainState): string {
  if (duty === 'drained') return 'drained: no clients, no slices, no leases';
  return `${duty}: waits for ${plural(sessions, 'client')}, ${plural(slices, 'slice')}, ${plural(leases, 'lease')}`;
}

function plural(amount: number, noun: string): string {
  return `${count(amount)} ${noun}${amount === 1 ? '' : 's'}`;
}

function help(): string {
  return `Usage: syncline drain [--wait] [--timeout SECONDS] [--url URL] [--config FILE]
       syncline drain --undo [--url URL] [--config FILE]

Takes a running server out of service: /health/ready answers 503, slices that run finish, the leases are given back, and
clients are asked to connect elsewhere. It stays up and idle until it is stopped, which is then immediate, or put back with
--undo. Draining again changes nothing. A server that runs alone has nobody who takes over.

Options:
  --wait              return when everything is handed over, and show what that waits for
  --timeout SECONDS   how long to wait (${WAIT_TIMEOUT_S})
  --undo              put it back into service
${ADMIN_FLAGS_HELP}

Exit code: 0 done, 1 not drained in time or put back by somebody else, 3 no answer.
`;
}
