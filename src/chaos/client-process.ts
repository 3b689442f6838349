import { fork, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SETTINGS_VARIABLE, type Answer, type ClientSettings, type Order } from './client-messages.ts';
import { withoutOurs } from './child-environment.ts';
import { endWithUs } from './end-with-us.ts';
import { readHistory, type ClientHistory } from './history.ts';

export interface ClientProcessOptions extends Omit<ClientSettings, 'life' | 'spool' | 'notes'> {
  readonly token: string | undefined;
  /** Where its spool and its notes are kept. */
  readonly folder: string;
}

const ENTRY = fileURLToPath(new URL(`./client-entry${import.meta.filename.slice(-3)}`, import.meta.url));
const MAX_OUTPUT = 4000;
/** Longer than any fault. */
const WAKE_UP_S = 15;

/**
 * A client of the chaos run, as a process that can be killed and started again over the same spool. One that ends by
 * itself is not started again: {@link trouble} says so.
 */
export class ClientProcess {
  readonly number: number;
  readonly #options: ClientProcessOptions;
  readonly #home: string;
  #child: ChildProcess | undefined;
  #life = 0;
  #output = '';
  #finishing = false;
  /** Lets it go on if nobody else does; there is one while it stands still. */
  #wakeUp: ChildProcess | undefined;
  /** Marks that were not answered yet; a new process is asked them again. */
  readonly #marks = new Map<number, () => void>();
  #lastMark = 0;
  #appliedBefore = 0;
  #appliedNow = 0;
  /** Why it is not running although nobody ended it. */
  trouble: string | undefined;

  constructor(options: ClientProcessOptions) {
    this.number = options.client;
    this.#options = options;
    this.#home = join(options.folder, `client-${options.client}`);
    mkdirSync(this.#home, { recursive: true });
  }

  /** Changes that it was told are applied, over all lives; what was told just before a death may not be in it. */
  get applied(): number {
    return this.#appliedBefore + this.#appliedNow;
  }

  get running(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Begins a new life. */
  start(): void {
    this.#life++;
    this.#appliedBefore += this.#appliedNow;
    this.#appliedNow = 0;
    const { url, servername, seed, client, stepsPerSecond, tables, token } = this.#options;
    const settings: ClientSettings = {
      ...{ url, servername, seed, client, stepsPerSecond, tables },
      ...{ spool: join(this.#home, 'spool'), notes: this.#notesOf(this.#life), life: this.#life },
    };
    const child = fork(ENTRY, [], {
      env: {
        ...withoutOurs(process.env),
        [SETTINGS_VARIABLE]: JSON.stringify(settings),
        ...(token === undefined ? {} : { SYNCLINE_TOKEN: token }),
      },
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    child.stderr?.on('data', (chunk: Buffer) => (this.#output = `${this.#output}${chunk.toString()}`.slice(-MAX_OUTPUT)));
    child.on('message', (answer: Answer) => this.#hear(answer));
    child.on('error', (error) => (this.trouble ??= `client ${this.number} cannot be run: ${error.message}`));
    child.on('exit', (code, signal) => this.#ended(child, code, signal));
    endWithUs(child);
    this.#child = child;
  }

  /** Ends it with SIGKILL. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#endWakeUp();
    if (child === undefined || !this.running) return;
    this.#child = undefined;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  /** SIGSTOP: it stands still until {@link resume}. */
  pause(): void {
    const pid = this.#child?.pid;
    if (pid === undefined || !this.running || this.#wakeUp !== undefined) return;
    // Should this process be killed meanwhile, the client must go on, to notice that and end.
    this.#wakeUp = spawn('sh', ['-c', `sleep ${WAKE_UP_S}; kill -CONT ${pid}`], { detached: true, stdio: 'ignore' });
    this.#wakeUp.on('error', () => {
      // Without a shell there is no such safety.
    });
    this.#wakeUp.unref();
    this.#child?.kill('SIGSTOP');
  }

  resume(): void {
    if (this.#wakeUp === undefined) return;
    this.#child?.kill('SIGCONT');
    this.#endWakeUp();
  }

  /** Lets it write so many steps at once. */
  burst(steps: number): void {
    this.#tell({ type: 'burst', steps });
  }

  /** Resolves when everything that it has written by now is acknowledged as applied, however often it dies meanwhile. */
  caughtUp(): Promise<void> {
    return new Promise((resolve) => {
      const id = ++this.#lastMark;
      this.#marks.set(id, resolve);
      this.#tell({ type: 'mark', id });
    });
  }

  /** Lets it write no more; resolves when everything is applied and it has ended. */
  async finish(): Promise<void> {
    const child = this.#child;
    this.#finishing = true;
    this.resume();
    if (child === undefined || !this.running) return;
    const ended = once(child, 'exit');
    this.#tell({ type: 'finish' });
    await ended;
  }

  history(): ClientHistory {
    const texts: string[] = [];
    for (let life = 1; life <= this.#life; life++) {
      const file = this.#notesOf(life);
      if (existsSync(file)) texts.push(readFileSync(file, 'utf8'));
    }
    return readHistory(this.number, texts);
  }

  /** A file for each life: what the death of one cut off must not run into what the next one writes. */
  #notesOf(life: number): string {
    return join(this.#home, `notes-${life}`);
  }

  #endWakeUp(): void {
    const pid = this.#wakeUp?.pid;
    this.#wakeUp = undefined;
    try {
      // The shell, and the command that it waits for.
      if (pid !== undefined) process.kill(-pid, 'SIGKILL');
    } catch {
      // It has ended by itself.
    }
  }

  #hear(answer: Answer): void {
    switch (answer.type) {
      case 'ready':
        for (const id of this.#marks.keys()) this.#tell({ type: 'mark', id });
        if (this.#finishing) this.#tell({ type: 'finish' });
        break;
      case 'marked':
        this.#marks.get(answer.id)?.();
        this.#marks.delete(answer.id);
        break;
      case 'progress':
        this.#appliedNow = answer.applied;
        break;
    }
  }

  #tell(order: Order): void {
    if (this.#child?.connected !== true) return;
    this.#child.send(order, () => {
      // It ends before it reads this; the next life is asked again.
    });
  }

  #ended(child: ChildProcess, code: number | null, signal: NodeJS.Signals | null): void {
    // One that was killed on purpose is no longer ours.
    if (child !== this.#child || (this.#finishing && code === 0)) return;
    const lines = this.#output.trim().split('\n');
    const said = lines.find((line) => /error/i.test(line)) ?? lines.at(-1) ?? '';
    this.trouble = `client ${this.number} ended by itself with ${code === null ? signal : `exit code ${code}`}${said === '' ? '' : `: ${said}`}`;
  }
}
