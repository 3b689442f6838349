import { spawn } from 'node:child_process';

/** How a command of the user ended. */
export interface HookResult {
  /** Undefined when it ended with exit code 0. */
  readonly failure: string | undefined;
}

const MAX_OUTPUT = 4000;
const MAX_SHOWN = 300;

/**
 * Runs a command in the shell and waits for its end. It is a process group of its own, so that Ctrl-C does not interrupt
 * half of a fault, and it is killed as a whole when it takes longer than `timeoutMs`.
 */
export function runHook(command: string, timeoutMs: number): Promise<HookResult> {
  return new Promise((resolve) => {
    let output = '';
    let timedOut = false;
    const child = spawn(command, { shell: true, detached: process.platform !== 'win32', stdio: ['ignore', 'pipe', 'pipe'] });
    const endAll = () => {
      try {
        if (child.pid !== undefined) process.kill(process.platform === 'win32' ? child.pid : -child.pid, 'SIGKILL');
      } catch {
        // It has ended meanwhile.
      }
    };
    process.on('exit', endAll);
    const timer = setTimeout(() => {
      timedOut = true;
      endAll();
    }, timeoutMs);
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => (output = `${output}${chunk.toString()}`.slice(-MAX_OUTPUT)));
    const done = (failure: string | undefined) => {
      clearTimeout(timer);
      process.off('exit', endAll);
      resolve({ failure });
    };
    child.on('error', (error) => done(`it cannot be run: ${error.message}`));
    // Not 'close': what the command started and left running may keep its output open.
    child.on('exit', (code, signal) => {
      if (code === 0) return done(undefined);
      const how = timedOut
        ? `did not end within ${timeoutMs / 1000} s`
        : code === null
          ? `ended with ${signal}`
          : `ended with exit code ${code}`;
      const said = output.trim().split('\n').slice(-2).join(' ').slice(-MAX_SHOWN);
      done(`${how}${said === '' ? '' : `: ${said}`}`);
    });
  });
}
