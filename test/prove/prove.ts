/** `npm run prove`: the long set of proofs; `--help` says how. */
import { prove } from './command.ts';
import { PARTS } from './parts.ts';

const root = new URL('../../', import.meta.url).pathname;
/** Within this time, npm passes on what the terminal has already sent. */
const SAME_SIGNAL_MS = 1_000;

const interrupted = new AbortController();
let interruptedMs = Infinity;
for (const event of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(event, () => {
    // Whoever asks twice means now.
    if (performance.now() - interruptedMs > SAME_SIGNAL_MS) process.exit(130);
    interruptedMs = Math.min(interruptedMs, performance.now());
    interrupted.abort();
  });
}
const exitCode = await prove({
  args: process.argv.slice(2),
  root,
  parts: PARTS,
  signal: interrupted.signal,
  print: (line) => console.log(line),
});
process.exit(exitCode);
