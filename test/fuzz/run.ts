/**
 * Sends what nobody should send, as much as one likes; the number of an input decides it:
 *
 *     node test/fuzz/run.ts --fuzz frames|sockets --inputs 1..1000000 [--json FILE]
 *
 * `frames` goes through decoders, sessions and the doors for datagrams and balancers in this process, `sockets` over TCP, WebSocket and HTTP to a real server. Ends with 1 when
 * something is wrong.
 */
import { writeFileSync } from 'node:fs';
import { commandLine } from '../support/command-line.ts';
import { fuzzFrames } from './fuzz-frames.ts';
import { fuzzSockets } from './fuzz-sockets.ts';

const PROGRESS_MS = 1_000;

const USAGE = 'usage: npm run fuzz -- --fuzz frames|sockets [--inputs FROM..TO] [--json FILE]';

const values = commandLine(USAGE, {
  fuzz: { type: 'string', default: '' },
  inputs: { type: 'string', default: '1..100000' },
  json: { type: 'string' },
});
const stop = new AbortController();
// Whoever interrupts it is told what there was; processes that were started end with this one, and this one with whoever listens to it.
process.on('SIGINT', () => stop.abort());
for (const event of ['SIGTERM', 'disconnect'] as const) process.on(event, () => process.exit(143));
process.exit(await main());

async function main(): Promise<number> {
  const [from = NaN, to = from] = values.inputs.split('..').map(Number);
  const fuzz = { frames: fuzzFrames, sockets: fuzzSockets }[values.fuzz];
  if (fuzz === undefined || !(from >= 1 && to >= from)) {
    console.error(USAGE);
    return 2;
  }
  const startedMs = performance.now();
  let toldMs = startedMs;
  const report = await fuzz(from, to - from + 1, stop.signal, (done) => {
    if (performance.now() - toldMs < PROGRESS_MS) return;
    toldMs = performance.now();
    process.send?.(done);
  });
  for (const violation of report.violations) console.log(violation);
  const seconds = (performance.now() - startedMs) / 1000;
  console.log(
    `${report.done} inputs over ${report.connections} connections in ${seconds.toFixed(1)} s, ${report.accepted} batches accepted, ` +
      `${report.grownMib.toFixed(1)} MiB more held at the end, ${report.violations.length} violations`,
  );
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(report, undefined, 2)}\n`);
  return report.violations.length > 0 ? 1 : 0;
}
