/**
 * Runs one installation under load for a long time, with a fault every 20 seconds, and looks for what is lost and for what grows:
 *
 *     node test/soak/run.ts --minutes 45 [--seed S] [--json FILE]
 *
 * Ends with 1 when a promise was broken or something grows.
 */
import { writeFileSync } from 'node:fs';
import { missingFor } from '../fault/fault-world.ts';
import { commandLine } from '../support/command-line.ts';
import { soak } from './soak.ts';
import { summaryOf } from './soak-report.ts';

const USAGE = 'usage: npm run soak -- [--minutes M] [--seed S] [--json FILE]';

const values = commandLine(USAGE, {
  minutes: { type: 'string', default: '45' },
  seed: { type: 'string', default: '1' },
  json: { type: 'string' },
});
const stop = new AbortController();
// Whoever interrupts it is told what there was; processes that were started end with this one, and this one with whoever listens to it.
process.on('SIGINT', () => stop.abort());
for (const event of ['SIGTERM', 'disconnect'] as const) process.on(event, () => process.exit(143));
process.exit(await main());

async function main(): Promise<number> {
  const [minutes, seed] = [Number(values.minutes), Number(values.seed)];
  const missing = missingFor('services');
  if (missing !== undefined || !(minutes > 0) || !Number.isInteger(seed)) {
    console.error(missing ?? USAGE);
    return 2;
  }
  const report = await soak({
    minutes,
    seed,
    signal: stop.signal,
    note: (line) => console.error(line),
    progress: (done) => process.send?.(done),
  });
  console.log(summaryOf(report));
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(report, undefined, 2)}\n`);
  return report.violations.length > 0 ? 1 : 0;
}
