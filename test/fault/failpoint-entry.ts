/** What `--import` names, after the patches, in processes with failpoints; worker threads run it too. */
import { appendFileSync, unlinkSync } from 'node:fs';
import { SyncError } from '../../src/core/errors.ts';
import { type ArmedFailpoint, parseArmed, readFailpointLog } from './failpoint-env.ts';
import { failpoint } from './failpoints.ts';

const log = process.env['FAILPOINT_LOG'];
const trigger = process.env['FAILPOINT_TRIGGER'];
const armed = process.env['FAILPOINT'] === undefined ? undefined : parseArmed(process.env['FAILPOINT']);
const visits = new Map<string, number>();
const nothing = new Int32Array(new SharedArrayBuffer(4));

/** Within this time a signal that a process sent to itself has reached all its threads. */
const SIGNAL_MS = 100;

Object.assign(globalThis, { failpoint: visit });

function visit(name: string): void {
  const count = (visits.get(name) ?? 0) + 1;
  visits.set(name, count);
  if (count === 1) note(name);
  if (armed === undefined || armed.name !== name) return;
  if (trigger !== undefined) {
    if (pulled(trigger)) act(armed);
    return;
  }
  if (armed.visit !== count) return;
  // A thread that takes the place of one that ended here counts anew, and would end here, too.
  if (log !== undefined && readFailpointLog(log).has(`${name}!`)) return;
  note(`${name}!`);
  act(armed);
}

function act({ name, action }: ArmedFailpoint): void {
  switch (action) {
    case 'kill':
      return signal('SIGKILL');
    case 'stop':
      return signal('SIGSTOP');
    case 'exit':
      return process.exit(1);
    case 'throw':
      throw new Error(`failpoint "${name}": an error that nobody foresaw`);
    case 'crash':
      setImmediate(() => {
        throw new Error(`failpoint "${name}": an error that nobody catches`);
      });
      return;
    case 'lose': {
      const { loss } = failpoint(name);
      if (loss === undefined) throw new Error(`nothing can be lost at failpoint "${name}"`);
      throw new SyncError(loss, `failpoint "${name}": the connection is lost`);
    }
    default:
      Atomics.wait(nothing, 0, 0, action);
  }
}

/** Whether the file was there; of several threads, one gets it. */
function pulled(file: string): boolean {
  try {
    unlinkSync(file);
    return true;
  } catch {
    return false;
  }
}

/** Sends a signal to this process; not one more statement runs here before it works. */
function signal(name: 'SIGKILL' | 'SIGSTOP'): void {
  process.kill(process.pid, name);
  Atomics.wait(nothing, 0, 0, SIGNAL_MS);
}

function note(line: string): void {
  if (log !== undefined) appendFileSync(log, `${line}\n`);
}
