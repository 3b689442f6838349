/**
 * Starts a pair under load and shows, once a second, who leads and what moves, until SIGINT or the end of `--seconds`; then
 * compares every row. Ends with 0 only if each is there once and in order.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { count, duration } from '../../src/cli/text.ts';
import { messageOf } from '../../src/core/errors.ts';
import { faultsOf } from '../fault/run-scenario.ts';
import { PairObserver } from './pair-observer.ts';
import { lineOf, pageOf, type PairMoment } from './pair-view.ts';
import { missingForPair, type ClusterMode } from './pair-parts.ts';
import { PairWorld } from './pair-world.ts';
import { Roster } from './roster.ts';

const INTERVAL_MS = 1_000;
/** Whoever plays may leave things frozen for longer than a test would. */
const PATIENCE_MS = 180_000;
const MAX_SHOWN_FAULTS = 20;

const stop = new AbortController();
process.on('SIGINT', () => (stop.signal.aborted ? process.exit(130) : stop.abort()));
// Processes that were started end with this one, and this one with whoever started it.
for (const event of ['SIGTERM', 'SIGHUP', 'disconnect'] as const) process.on(event, () => process.exit(143));
process.exit(await main());

async function main(): Promise<number> {
  const chosen = readArguments();
  const problem = typeof chosen === 'string' ? chosen : missingForPair();
  if (typeof chosen === 'string' || problem !== undefined) {
    console.error(`pair: ${problem}`);
    return 2;
  }
  console.log('starting Redis with a replica, three Sentinels, MariaDB, two nodes and HAProxy; this takes some seconds');
  const world = await PairWorld.start({ mode: chosen.mode, patienceMs: PATIENCE_MS });
  const observer = new PairObserver(world, (note) => new Roster(world, note));
  try {
    world.struck();
    const ended = chosen.seconds === undefined ? [] : [AbortSignal.timeout(chosen.seconds * 1000)];
    await show(observer, AbortSignal.any([stop.signal, ...ended]));
    return await finish(world, observer);
  } finally {
    observer.roster.close();
    await world.close();
  }
}

/** What the command line asks for; a text is why it cannot be done. */
function readArguments(): { readonly mode: ClusterMode; readonly seconds: number | undefined } | string {
  try {
    const { values } = parseArgs({ options: { mode: { type: 'string', default: 'standby' }, seconds: { type: 'string' } } });
    const seconds = values.seconds === undefined ? undefined : Number(values.seconds);
    if (!isMode(values.mode)) return `--mode must be standby or active, not ${values.mode}`;
    if (seconds !== undefined && !(seconds > 0)) return `--seconds must be a number above 0, not ${values.seconds}`;
    return { mode: values.mode, seconds };
  } catch (error) {
    return `${messageOf(error)}\nusage: npm run pair -- [--yes] [--mode standby|active] [--seconds N]`;
  }
}

function isMode(mode: string): mode is ClusterMode {
  return mode === 'standby' || mode === 'active';
}

/** Shows moment after moment: over one another on a terminal. */
async function show(observer: PairObserver, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const nextMs = performance.now() + INTERVAL_MS;
    print(await observer.moment());
    await delay(Math.max(0, nextMs - performance.now()), undefined, { signal }).catch(() => {});
  }
}

function print(moment: PairMoment): void {
  const { isTTY, columns } = process.stdout;
  if (!isTTY) return void process.stdout.write(`${lineOf(moment)}\n`);
  const lines = pageOf(moment).map((line) => `${line.slice(0, columns - 1)}\u001b[K\n`);
  process.stdout.write(`\u001b[H${lines.join('')}\u001b[J`);
}

async function finish(world: PairWorld, observer: PairObserver): Promise<number> {
  const { longestWaitMs } = world.prober.window;
  observer.phase = 'waiting until all is applied; Ctrl-C ends it at once, without a verdict';
  observer.roster.thawAll();
  const audited = new AbortController();
  const [audit] = await Promise.all([world.audit().finally(() => audited.abort()), show(observer, audited.signal)]);
  const { sent, applied, deadLetters, lost, duplicated, outOfOrder, other } = audit;
  console.log(
    `\n${count(sent)} rows sent, ${count(applied)} applied, and ${count(deadLetters)} that the database had to refuse: ` +
      `${lost.length} lost, ${duplicated.length} duplicated, ${outOfOrder.length} out of order${other.length > 0 ? `, ${other.length} other faults` : ''}; ` +
      `the longest that a change waited was ${duration(longestWaitMs)}`,
  );
  for (const fault of faultsOf(audit).slice(0, MAX_SHOWN_FAULTS)) console.log(`  ${fault}`);
  return faultsOf(audit).length > 0 ? 1 : 0;
}
