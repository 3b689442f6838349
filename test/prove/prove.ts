/** `npm run prove`: the long set of proofs; `--help` says how. */
import { prove } from './command.ts';
import type { ProofPart } from './part.ts';
import { PARTS } from './parts.ts';

/** Within this time, npm passes on what the terminal has already sent. */
const SAME_SIGNAL_MS = 1_000;

if (import.meta.main) await proveAndExit(new URL('../../', import.meta.url).pathname, PARTS);

/** Runs the command with the arguments of this process and ends it; a signal ends it soon, and a second one now. */
export async function proveAndExit(root: string, parts: readonly ProofPart[]): Promise<never> {
  const interrupted = new AbortController();
  let interruptedMs = Infinity;
  for (const event of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(event, () => {
      if (performance.now() - interruptedMs > SAME_SIGNAL_MS) process.exit(130);
      interruptedMs = Math.min(interruptedMs, performance.now());
      interrupted.abort();
    });
  }
  const print = (line: string) => console.log(line);
  process.exit(await prove({ args: process.argv.slice(2), root, parts, signal: interrupted.signal, print }));
}
