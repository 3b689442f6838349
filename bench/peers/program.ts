import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { endWithUs } from '../../src/chaos/end-with-us.ts';

/**
 * A producer or consumer in a process of its own, as it would be in production. It prints `ready` when it has connected and
 * read what it is to send; a producer then waits for a line. It prints `done` when everything is sent, or committed.
 */
export interface Program extends AsyncDisposable {
  /** Lets a producer begin. */
  begin(): void;
  /**
   * Resolves with the time, by `performance.now()`, at which it was done.
   * @throws {Error} with what it printed, when it ends before that.
   */
  readonly done: Promise<number>;
  /** Resolves when it has ended by itself; rejects when that was with an error. */
  readonly exited: Promise<void>;
}

/** A program and its arguments. */
export type Command = readonly [program: string, ...args: string[]];

/** A script of this folder, given by its URL, run by the Node.js that runs this. */
export function nodeCommand(script: URL): Command {
  return [process.execPath, script.pathname];
}

/** Resolves when the program is ready. Variables are added to the environment. */
export async function startProgram([program, ...args]: Command, variables: Readonly<Record<string, string>>): Promise<Program> {
  const child = spawn(program, args, { env: { ...process.env, ...variables }, stdio: 'pipe' });
  endWithUs(child);
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => (errors = `${errors}${chunk.toString()}`.slice(-4000)));
  const closed = once(child, 'close') as Promise<[code: number | null]>;
  const complaint = (what: string) => new Error(`${[program, ...args].join(' ')} ${what}: ${errors}`);
  const failed = closed.then(() => Promise.reject(complaint('ended early')));
  const exited = closed.then(([code]) => {
    if (code !== 0) throw complaint(`ended with ${code}`);
  });
  const said = new Map<string, PromiseWithResolvers<number>>([
    ['ready', Promise.withResolvers()],
    ['done', Promise.withResolvers()],
  ]);
  createInterface(child.stdout).on('line', (line) => said.get(line)?.resolve(performance.now()));
  const heard = (word: string) => Promise.race([said.get(word)?.promise as Promise<number>, failed]);
  const done = heard('done');
  // Whoever asks hears of it; nobody need ask.
  for (const promise of [failed, done, exited]) promise.catch(() => {});
  await heard('ready');
  return {
    begin: () => void child.stdin.write('begin\n'),
    done,
    exited,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await closed;
    },
  };
}
