/**
 * `node test/simulation/run.ts [--seeds FROM..TO] [--step N] [--first] [--on cluster] [--trace] [--json]`: runs the histories of these seeds,
 * or of each N-th of them, and prints those that broke a promise, with `--first` only the first, and the sums. `--json` prints
 * a line for each history instead. `--on cluster`: all on a Redis Cluster, which otherwise is one in seventy. Ends with 1 if a promise was broken.
 */
import type { Figures } from '../prove/part.ts';
import { runItems, type Sums } from '../prove/run-items.ts';
import { commandLine } from '../support/command-line.ts';
import { drawInstallation } from './installation.ts';
import { simulate, type History } from './simulation.ts';

const values = commandLine('usage: npm run simulate -- [--seeds FROM..TO] [--step N] [--on cluster] [--first] [--trace] [--json]', {
  seeds: { type: 'string', default: '1..100' },
  step: { type: 'string', default: '1' },
  trace: { type: 'boolean', default: false },
  // Ends with the first seed that breaks a promise.
  first: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
  on: { type: 'string' },
});
// What the database refuses and the network loses are errors, thousands of them, whose stacks nobody reads. Those of a history
// that broke a promise are there with `--trace`.
if (!values.trace) Error.stackTraceLimit = 0;
if (values.on !== undefined && values.on !== 'cluster') throw new Error(`--on ${values.on}: there is only cluster`);
const startedMs = performance.now();
const sums = await runItems(
  {
    range: values.seeds,
    step: values.step,
    noun: 'seed',
    as: values.json ? 'lines' : 'text',
    until: values.first ? 'broken' : 'end',
  },
  async (seed) => {
    const onCluster = values.on === undefined ? {} : { installation: drawInstallation(seed, 'cluster') };
    const history = await simulate({ seed, ...onCluster, ...(values.trace ? { trace: (line: string) => console.log(line) } : {}) });
    return { violations: history.violations, figures: figuresOf(history) };
  },
);
if (!values.json) console.log(summaryOf(sums));

function figuresOf({ installation: { nodes, sentinels, cluster }, batches, changes, faults, events, virtualMs }: History): Figures {
  const kinds = {
    'of several nodes': nodes.length > 1 ? 1 : 0,
    'under Sentinels': sentinels === undefined ? 0 : 1,
    'on a cluster': cluster === undefined ? 0 : 1,
  };
  return { ...kinds, batches, changes, faults, events, 'virtual hours': virtualMs / 3_600_000 };
}

function summaryOf({ count, broken, figures }: Sums): string {
  const all = Object.entries(figures).map(([name, value]) => `${Math.round(Number(value) * 10) / 10} ${name}`);
  const rate = (count / (performance.now() - startedMs)) * 1000;
  return `${count} histories, ${broken} broken; ${all.join(', ')}; ${rate.toFixed(1)} histories/s`;
}
