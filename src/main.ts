/**
 * The process: arguments to a command, signals to its stop, its result to the exit code.
 * The only file that handles signals.
 */
import { constants } from 'node:os';
import { setFlagsFromString } from 'node:v8';
import { runCli } from './cli/cli.ts';

// What the process is started with is for this thread. Others have limits of their own, which it would overrule.
setFlagsFromString('--max-semi-space-size=0');

const stop = new AbortController();
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.on(signal, () => {
    // Whoever asks twice does not want to wait for what is in flight.
    if (stop.signal.aborted) process.exit(128 + constants.signals[signal]);
    stop.abort();
  });
}

// Somebody who reads our output may go away, as `head` does.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
}

const exitCode = await runCli(process.argv.slice(2), {
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  errColumns: process.stderr.isTTY ? process.stderr.columns : undefined,
  stdin: process.stdin,
  env: process.env,
  cwd: process.cwd(),
  stop: stop.signal,
  onHangUp: (run) => void process.on('SIGHUP', run),
});
// Not left to the event loop: a connection that somebody forgot to close must not keep a finished command alive.
process.exit(exitCode);
