import { setTimeout as delay } from 'node:timers/promises';
import { messageOf } from '../../src/core/errors.ts';
import { FaultWorld } from '../fault/fault-world.ts';
import { faultsOf } from '../fault/run-scenario.ts';
import type { Scenario } from '../fault/scenario.ts';
import { SCENARIOS } from '../fault/scenarios.ts';
import { clearAuditedDatabase } from '../support/audited-database.ts';
import { eventually } from '../support/eventually.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { growthOf } from './flatness.ts';
import { Sampler } from './sampler.ts';
import type { SoakReport } from './soak-report.ts';

export interface SoakOptions {
  readonly minutes: number;
  readonly seed: number;
  /** Ends it at the next fault; what there was is audited. */
  readonly signal: AbortSignal;
  /** Told of every fault, and of every quiet point. */
  readonly note: (line: string) => void;
  /** Told how many minutes are over. */
  readonly progress: (minutes: number) => void;
}

const FAULT_EVERY_MS = 20_000;
const SAMPLE_EVERY_MS = 10_000;
/** From one quiet point to the next, at which everything since the last is audited. */
const PHASE_MS = 5 * 60_000;
/** Seldom: a server that is killed all the time shows no leak. */
const SERVER_KILL_EVERY_MS = 40 * 60_000;
/** Each writes some hundred rows a second, into two tables. */
const CLIENTS = 4;
const CLIENT_PAUSE_MS = 25;
const SETTLE_MS = 3_000;

/** Everything but the server itself. */
const FAULTS = [
  'client-kill',
  'client-stop',
  'redis-kill',
  'redis-lose',
  'redis-flush',
  'redis-stop',
  'mariadb-kill',
  'mariadb-stop',
  'commit-cut',
  'client-server-cut',
  'client-server-stalled',
  'client-server-torn',
  'client-server-corrupted',
  'server-redis-cut',
  'server-redis-stalled',
  'server-redis-torn',
  'server-mariadb-cut',
  'server-mariadb-stalled',
  'server-mariadb-torn',
  'hostile-clients',
].map(scenarioOf);
const SERVER_KILL = scenarioOf('server-kill');

/** One installation under load for a long time, with a fault every 20 seconds; audited, and nothing may grow. */
export async function soak(options: SoakOptions): Promise<SoakReport> {
  const world = await FaultWorld.start('services', { bystanders: CLIENTS - 1, clientEnv: { PAUSE_MS: String(CLIENT_PAUSE_MS) } });
  try {
    return await new Soak(world, options).run();
  } finally {
    await world.close();
  }
}

class Soak {
  readonly #world: FaultWorld;
  readonly #options: SoakOptions;
  readonly #random: SeededRandom;
  readonly #sampler: Sampler;
  readonly #startedMs = performance.now();
  readonly #faults: Record<string, number> = {};
  readonly #violations: string[] = [];
  readonly #audited = { sent: 0, applied: 0, deadLetters: 0 };
  #round = 0;
  #serverKilledMs = performance.now();

  constructor(world: FaultWorld, options: SoakOptions) {
    this.#world = world;
    this.#options = options;
    this.#random = new SeededRandom(options.seed);
    this.#sampler = new Sampler(world);
  }

  async run(): Promise<SoakReport> {
    const { minutes, seed, signal } = this.#options;
    const endMs = this.#startedMs + minutes * 60_000;
    const sampling = setInterval(() => {
      void this.#sampler.sample('loaded');
      this.#options.progress(Math.floor((performance.now() - this.#startedMs) / 60_000));
    }, SAMPLE_EVERY_MS);
    while (performance.now() < endMs && !signal.aborted && this.#violations.length === 0) {
      await this.#load(Math.min(endMs, performance.now() + PHASE_MS));
      await this.#quiet().catch((error: unknown) => this.#violations.push(messageOf(error)));
    }
    clearInterval(sampling);
    const tookMs = performance.now() - this.#startedMs;
    const { samples } = this.#sampler;
    // Faults keep some from being taken. Without most of them, nothing that grows would show.
    if (samples.length < tookMs / SAMPLE_EVERY_MS / 3) this.#violations.push(`only ${samples.length} samples were taken`);
    this.#violations.push(...growthOf(samples));
    return {
      minutes: tookMs / 60_000,
      seed,
      faults: this.#faults,
      longestWaitMs: this.#world.longestWaitMs,
      audit: this.#audited,
      violations: this.#violations,
      samples,
    };
  }

  /** A fault every 20 seconds. */
  async #load(untilMs: number): Promise<void> {
    for (const { running } of this.#world.clients) if (!running) throw new Error('a client does not run');
    while (performance.now() < untilMs && !this.#options.signal.aborted) {
      const nextMs = performance.now() + FAULT_EVERY_MS;
      const scenario = this.#next();
      try {
        await scenario.strike(this.#world, { seed: this.#options.seed, round: this.#round++, random: this.#random });
        await this.#world.advance();
      } catch (error) {
        this.#violations.push(`${scenario.name}, fault ${this.#round}: ${messageOf(error)}`);
        return;
      }
      this.#faults[scenario.name] = (this.#faults[scenario.name] ?? 0) + 1;
      this.#options.note(`fault ${this.#round}: ${scenario.what}`);
      await delay(Math.max(0, Math.min(nextMs, untilMs) - performance.now()));
    }
  }

  #next(): Scenario {
    if (performance.now() - this.#serverKilledMs < SERVER_KILL_EVERY_MS) return this.#random.pick(FAULTS);
    this.#serverKilledMs = performance.now();
    return SERVER_KILL;
  }

  /** Everybody flushes and leaves; what was sent is audited, what is held is noted, and everybody comes back. */
  async #quiet(): Promise<void> {
    const audit = await this.#world.audit();
    this.#violations.push(...faultsOf(audit).slice(0, 20));
    for (const name of ['sent', 'applied', 'deadLetters'] as const) this.#audited[name] += audit[name];
    this.#options.note(`all applied: ${audit.sent} rows sent, ${audit.applied} applied, ${audit.deadLetters} refused`);
    await delay(SETTLE_MS);
    await eventually(() => this.#sampler.sample('quiet'));
    await clearAuditedDatabase(this.#world.services.mariadb);
    for (const client of this.#world.clients) {
      client.forget();
      client.start();
    }
    this.#world.struck();
    await this.#world.advance();
  }
}

function scenarioOf(name: string): Scenario {
  const scenario = SCENARIOS.find((one) => one.name === name);
  if (scenario === undefined) throw new Error(`there is no scenario "${name}"`);
  return scenario;
}
