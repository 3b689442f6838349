/**
 * `node test/model/run.ts`: goes through every state of a small world in which the rules of `docs/protocol.md` are lived, and
 * through every order of events and every place for faults. Prints how many states there are, and the shortest way to one
 * that breaks a promise; ends with 1 if there is one.
 *
 *     --streams 1    clients, each with a stream      --faults 1      that strike, at most
 *     --batches 2    that each client makes           --kinds a,b     of these kinds only: `faults.ts`
 *     --nodes 1      that may apply, and take clients --without a,b   rules that are left out: `rules.ts`
 *     --sinks 1      all of them required             --limit 1e7     states, then it gives up
 *     --cases        all rules in turn, as the tests leave them out: `cases.ts`
 *
 * **What is modelled.** One partition. Clients with a spool; connections that deliver in order, and old ones whose frames come
 * late; sessions, with reading sinks and queue as two steps; the scripts of the queue, each as one step; appliers of
 * every node and sink, with lease, setting streams back, and slices in the steps fetch, commit, news, trim; sinks as the log of
 * their commits. Any step of anybody may come before any other, so standing still, being slow and being a zombie need nothing
 * of their own. `world.ts` says what a state is, `actors` what happens in it.
 *
 * **What is promised.** `properties.ts`, in every state. And from every state, wherever its faults have led, there is a way
 * without another fault on which every batch is applied or a dead letter, in order, and its client has been told of it.
 *
 * **What is not.** Bytes, credit, heartbeats and times: what happens after 5 s may happen at any time. Other partitions, and
 * with them rule 10. Joining sinks, expiry of streams, HTTP. Acknowledgements that the client has not read are told once, with
 * their newest state, and of connections that a client gave up only the newest is remembered. A slice takes the
 * whole list. A transaction of a slice is one step, as its locks make it. Two live clients with one stream are not modelled; a spool that
 * was restored, while what its former owner sent still arrives, is.
 */
import { commandLine } from '../support/command-line.ts';
import { type Case, CASES, modelOf, SMALL } from './cases.ts';
import { type Exploration, explore } from './explore.ts';
import { ALL_FAULTS } from './faults.ts';
import { MAX_BATCHES } from './place.ts';
import { RULES } from './rules.ts';
import type { Model } from './world.ts';

const USAGE = `usage: npm run model -- [--streams N] [--batches N] [--nodes N] [--sinks N] [--faults N] [--kinds A,B] [--without A,B] [--limit N]
       npm run model -- --cases

kinds: ${ALL_FAULTS.join(', ')}
rules: ${Object.keys(RULES).join(', ')}`;

const values = commandLine(USAGE, {
  streams: { type: 'string', default: String(SMALL.clients) },
  batches: { type: 'string', default: String(SMALL.batches) },
  nodes: { type: 'string', default: String(SMALL.nodes) },
  sinks: { type: 'string', default: String(SMALL.sinks) },
  faults: { type: 'string', default: String(SMALL.faults) },
  kinds: { type: 'string', default: ALL_FAULTS.join(',') },
  without: { type: 'string', default: '' },
  limit: { type: 'string', default: 'Infinity' },
  cases: { type: 'boolean', default: false },
});

if (values.cases) for (const one of CASES) runCase(one);
else process.exitCode = run(modelOf(asked())) ? 0 : 1;

function asked(): Omit<Case, 'expected'> {
  const size = {
    clients: Number(values.streams),
    batches: Number(values.batches),
    nodes: Number(values.nodes),
    sinks: Number(values.sinks),
    faults: Number(values.faults),
  };
  if (size.clients * size.batches > MAX_BATCHES) throw new Error(`there are at most ${MAX_BATCHES} batches, over all streams`);
  return { out: chosen(values.without, Object.keys(RULES)) as Case['out'], kinds: chosen(values.kinds, ALL_FAULTS) as Case['kinds'], size };
}

function chosen(list: string, all: readonly string[]): string[] {
  const names = list.split(',').filter((name) => name !== '');
  for (const name of names) if (!all.includes(name)) throw new Error(`there is no "${name}" among ${all.join(', ')}`);
  return names;
}

function runCase(one: Case): void {
  console.log(`without ${one.out.join(', ')} (${RULES[one.out[0]!]}), ${one.kinds.join(', ')}:`);
  run(modelOf(one));
}

/** Whether nothing was found in all there is. */
function run(model: Model): boolean {
  const startedMs = performance.now();
  const result = explore(model, Number(values.limit));
  for (const line of result.found?.trace ?? []) console.log(`  ${line}`);
  const seconds = (performance.now() - startedMs) / 1000;
  console.log(`${verdictOf(result)}: ${result.states} states, ${result.steps} steps, depth ${result.depth}, ${seconds.toFixed(1)} s`);
  return result.found === undefined && result.isComplete;
}

function verdictOf({ found, isComplete }: Exploration): string {
  return found?.violation ?? (isComplete ? 'nothing is wrong' : 'nothing found, and not all seen');
}
