import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { SyncError } from '../core/errors.ts';
import { audit } from './audit.ts';
import { ChaosError } from './chaos-error.ts';
import { dropLetters, readContents } from './contents.ts';
import { Crew } from './crew.ts';
import { openDatabase, type ChaosDatabase, type DatabaseAddress } from './database.ts';
import { EmbeddedServer } from './embedded-server.ts';
import { HookFailure, type Fault } from './faults.ts';
import type { Finding } from './findings.ts';
import type { ClientHistory } from './history.ts';
import { connectProbe, probe, type ServerAddress } from './probe.ts';
import { countDamage, faultResults, firstFindings, type Report, type Strike } from './report.ts';
import { Sandbox } from './sandbox.ts';
import { SeededRandom } from './seeded-random.ts';
import { TempFolder } from './temp-folder.ts';
import { changesUpTo } from './workload.ts';

export interface ChaosOptions {
  /** The server to disturb and the database of its sink; undefined starts an embedded one for the time of the run. */
  readonly target: { readonly server: ServerAddress; readonly sink: DatabaseAddress } | undefined;
  readonly clients: number;
  /** Of all clients together. */
  readonly changesPerSecond: number;
  readonly durationMs: number;
  /** After so many faults it ends before its time. */
  readonly maxFaults: number;
  /** From the recovery from one fault to the next, on average. */
  readonly everyMs: number;
  /** How long nothing may be applied before the run is given up. */
  readonly patienceMs: number;
  /** What may happen; each as often as the others. The embedded server's death is {@link KILL_SERVER}. */
  readonly faults: readonly Fault[];
  /** Decides the order of faults and what clients write. */
  readonly seed: number;
  /** Leaves the tables, and the files of an embedded server, where they are. */
  readonly keep: boolean;
  readonly version: string;
}

/** Hears what happens. */
export interface ChaosListener {
  /** A step of the run, for people. */
  news(text: string): void;
  struck(strike: Strike): void;
}

/** Stands in {@link ChaosOptions.faults} for the death of the embedded server, which only the run itself can bring about. */
export const KILL_SERVER: Fault = {
  name: 'kill-server',
  what: 'the embedded server is killed with SIGKILL and started again on its files',
  inflict: () => Promise.reject(new Error('there is no embedded server')),
};

/** A moment for the clients to have something on their way when the first fault strikes. */
const BURST_SECONDS = 5;
const MAX_BURST_STEPS = 2_000;
const MAX_RESTART_PAUSE_MS = 300;
const READ_PAUSE_MS = 1_000;

/**
 * Disturbs a server in every way that was asked for while clients write through it, then compares what they were told
 * with what is in the database. `stop` ends the disturbance early. Nothing stays behind, unless that was asked for.
 * @throws {ChaosError} when the run cannot begin.
 */
export async function runChaos(options: ChaosOptions, listener: ChaosListener, stop: AbortSignal): Promise<Report> {
  const folder = new TempFolder();
  const embedded = options.target === undefined ? new EmbeddedServer(join(folder.path, 'server')) : undefined;
  // What cannot be closed does not keep the rest open.
  const closing = new AsyncDisposableStack();
  closing.defer(() => (options.keep && embedded !== undefined ? folder.keep() : folder.remove()));
  if (embedded !== undefined) closing.defer(() => embedded.kill());
  try {
    const server = options.target?.server ?? { url: `tcp://127.0.0.1:${await startEmbedded(embedded, listener)}`, token: undefined };
    const sink = options.target?.sink ?? { url: embedded?.sink ?? '' };
    const database = await openDatabase(sink);
    closing.defer(() => database.close());
    const sandbox = await prepare(options, server, database, listener);
    closing.defer(() => cleanUp(options, sandbox, sink, listener));
    const crew = await Crew.start({
      ...options,
      server,
      tables: sandbox.names,
      folder: folder.path,
      trouble: () => (embedded?.died === true ? `the embedded server ended by itself: ${embedded.output}` : undefined),
    });
    closing.defer(() => crew.close());
    const run = new Run(options, listener, stop, { crew, embedded, sandbox, database, sink, server });
    return await run.run();
  } finally {
    await closing.disposeAsync();
  }
}

async function startEmbedded(embedded: EmbeddedServer | undefined, listener: ChaosListener): Promise<number> {
  if (embedded === undefined) throw new Error('a server was named');
  const port = await embedded.start();
  listener.news(`started an embedded server on port ${port}`);
  return port;
}

async function prepare(options: ChaosOptions, server: ServerAddress, database: ChaosDatabase, listener: ChaosListener): Promise<Sandbox> {
  const client = await connectProbe(server);
  try {
    const sandbox = await Sandbox.create(database, randomBytes(3).toString('hex'), (news) => listener.news(news));
    try {
      await probe(client, server.url, database, sandbox.names, options.patienceMs);
      if (sandbox.triggers !== true)
        listener.news(`no triggers in ${database.where}, so less can be seen of changes that others overwrite: ${sandbox.triggers}`);
      return sandbox;
    } catch (error) {
      await cleanUp({ ...options, keep: false }, sandbox, undefined, listener);
      throw error;
    }
  } finally {
    await client.close({ flush: false });
  }
}

/** Without `sink`, there are no dead letters yet. */
async function cleanUp(
  { keep, target }: Pick<ChaosOptions, 'keep' | 'target'>,
  sandbox: Sandbox,
  sink: DatabaseAddress | undefined,
  listener: ChaosListener,
): Promise<void> {
  try {
    if (keep) {
      await sandbox.keep();
      const until = target === undefined ? 'nobody removes that folder but you' : 'the next run drops them';
      return listener.news(`kept the tables ${Object.values(sandbox.names).join(', ')} in ${sandbox.where}; ${until}`);
    }
    if (sink !== undefined) await dropLetters(sink, sandbox.names);
    await sandbox.drop();
  } catch (error) {
    if (!(error instanceof SyncError)) throw error;
    listener.news(`some tables of this run could not be dropped (${error.message}); the next run does that`);
  }
}

interface Parts {
  readonly crew: Crew;
  readonly embedded: EmbeddedServer | undefined;
  readonly sandbox: Sandbox;
  readonly database: ChaosDatabase;
  readonly sink: DatabaseAddress;
  readonly server: ServerAddress;
}

/** From the first change to the report. */
class Run {
  readonly #options: ChaosOptions;
  readonly #listener: ChaosListener;
  readonly #stop: AbortSignal;
  readonly #parts: Parts;
  readonly #random: SeededRandom;
  readonly #strikes: Strike[] = [];
  readonly #startedMs = Date.now();
  /** Faults of this round that are still to come. */
  #bag: Fault[] = [];

  constructor(options: ChaosOptions, listener: ChaosListener, stop: AbortSignal, parts: Parts) {
    this.#options = options;
    this.#listener = listener;
    this.#stop = stop;
    this.#parts = parts;
    this.#random = new SeededRandom(options.seed);
  }

  async run(): Promise<Report> {
    const { crew } = this.#parts;
    const deadlineMs = performance.now() + this.#options.durationMs;
    let trouble = await crew.caughtUp(this.#stop);
    while (trouble === undefined && (await this.#pause(deadlineMs))) trouble = await this.#strike(this.#nextFault());
    const interrupted = this.#stop.aborted;
    if (!trouble) this.#listener.news(`${interrupted ? 'ended early' : 'no more faults'}; waiting until everything is applied`);
    const unfinished = trouble || (await crew.finish());
    await Promise.all(crew.stations.map(({ client }) => client.kill()));
    return this.#report(interrupted, unfinished);
  }

  /** Waits for the next fault; false when there is none any more. */
  async #pause(deadlineMs: number): Promise<boolean> {
    if (this.#strikes.length >= this.#options.maxFaults) return false;
    const leftMs = deadlineMs - performance.now();
    const pauseMs = this.#options.everyMs * (0.5 + this.#random.fraction());
    await delay(Math.max(0, Math.min(leftMs, pauseMs)), undefined, { signal: this.#stop }).catch(() => {
      // Stopped, which is looked at below.
    });
    return !this.#stop.aborted && pauseMs < leftMs;
  }

  #nextFault(): Fault {
    if (this.#bag.length === 0) this.#bag = [...this.#options.faults];
    return this.#bag.splice(this.#random.below(this.#bag.length), 1)[0] as Fault;
  }

  /** Injects a fault and waits until it is survived; why not, if so. */
  async #strike(fault: Fault): Promise<string | undefined> {
    const { crew } = this.#parts;
    const beganWallMs = Date.now();
    let [detail, failure, trouble]: [string, string | undefined, string | undefined] = ['', undefined, undefined];
    try {
      detail = await this.#inflict(fault);
    } catch (error) {
      // A server that does not come back is what is looked for.
      if (error instanceof ChaosError) trouble = error.message;
      else if (error instanceof HookFailure) failure = error.message;
      else throw error;
    }
    const [endedMs, endedWallMs] = [performance.now(), Date.now()];
    trouble ??= await crew.caughtUp(this.#stop);
    const recoveryMs = trouble === undefined ? performance.now() - endedMs : undefined;
    const strike = { fault: fault.name, beganWallMs, endedWallMs, detail, recoveryMs, stuck: trouble || undefined, failure };
    this.#strikes.push(strike);
    this.#listener.struck(strike);
    return trouble === undefined || trouble === '' ? trouble : `not recovered from ${fault.name}: ${trouble}`;
  }

  async #inflict(fault: Fault): Promise<string> {
    const { crew, embedded } = this.#parts;
    const { changesPerSecond, clients } = this.#options;
    const random = this.#random;
    if (fault === KILL_SERVER && embedded !== undefined) {
      await embedded.kill();
      await delay(random.below(MAX_RESTART_PAUSE_MS));
      crew.retarget(await embedded.start());
      return 'the server';
    }
    const burstSteps = Math.min(MAX_BURST_STEPS, Math.ceil((changesPerSecond / clients) * BURST_SECONDS));
    return fault.inflict({ stations: crew.stations, random, burstSteps });
  }

  async #report(interrupted: boolean, unfinished: string | undefined): Promise<Report> {
    const options = this.#options;
    const strikes = this.#strikes;
    const { crew, database, sandbox, server } = this.#parts;
    const durationMs = Date.now() - this.#startedMs;
    const told = crew.histories();
    // What was not applied in time is on its way and not lost: then only what was acknowledged as applied must be there.
    const histories = unfinished === undefined ? told : told.map(onlyApplied);
    const findings = [...unfinishedFindings(unfinished), ...(await this.#audit(histories))];
    const hookFailures = strikes.flatMap(({ fault, failure }) => (failure === undefined ? [] : [{ fault, failure }]));
    const kept = told.flatMap(({ lives }) => [...lives.values()].map((life) => changesUpTo(life.kept)));
    return {
      version: options.version,
      startedAt: new Date(this.#startedMs).toISOString(),
      durationMs,
      interrupted,
      seed: options.seed,
      server: options.target === undefined ? 'embedded' : server.url,
      sink: options.target === undefined ? 'embedded' : database.where,
      clients: options.clients,
      changesPerSecond: options.changesPerSecond,
      triggers: sandbox.triggers,
      faults: faultResults(options.faults, strikes, findings, (finding) => beganAt(told, finding)),
      totals: {
        sent: kept.reduce((sum, { changes }) => sum + changes, 0),
        refused: kept.reduce((sum, { refused }) => sum + refused, 0),
        faults: strikes.length,
        lives: crew.lives,
      },
      damage: countDamage(findings),
      findings: firstFindings(findings),
      hookFailures,
      notes: [...new Set(told.flatMap(({ client, notes }) => notes.map((note) => `client ${client}: ${note}`)))],
      ok: findings.length === 0 && hookFailures.length === 0,
    };
  }

  async #audit(histories: readonly ClientHistory[]): Promise<Finding[]> {
    const { database, sink, sandbox } = this.#parts;
    // The database may still be coming back.
    const giveUpMs = performance.now() + this.#options.patienceMs;
    for (;;) {
      try {
        const contents = await readContents(database, sink, sandbox.names, sandbox.triggers === true ? 'log' : 'no log');
        return audit(this.#options.seed, histories, contents);
      } catch (error) {
        if (!(error instanceof SyncError)) throw error;
        const text = `${database.where} cannot be read, so nothing was checked: ${error.message}`;
        if (performance.now() > giveUpMs) return [{ kind: 'other', text, place: undefined }];
        await delay(READ_PAUSE_MS);
      }
    }
  }
}

function unfinishedFindings(unfinished: string | undefined): Finding[] {
  return unfinished === undefined
    ? []
    : [{ kind: 'other', text: `not everything was applied in the end: ${unfinished}`, place: undefined }];
}

function onlyApplied(history: ClientHistory): ClientHistory {
  return { ...history, lives: new Map([...history.lives].map(([number, life]) => [number, { ...life, kept: life.applied }])) };
}

/** When the client began the step that a finding is about. */
function beganAt(histories: readonly ClientHistory[], { place }: Finding): number | undefined {
  if (place === undefined) return undefined;
  const life = histories.find(({ client }) => client === place.client)?.lives.get(place.life);
  return life?.blocks.findLast(([n]) => n <= place.n)?.[1];
}
