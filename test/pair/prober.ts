import { partitionOf } from '../../src/core/partition.ts';
import type { MariadbServer } from '../support/mariadb-server.ts';
import type { ProducerHistory } from '../support/producer-process.ts';
import { auditEffects, type AuditFaults, type AuditRow } from '../support/audit.ts';
import { eventually } from '../support/eventually.ts';
import { Probe, type ProbeOptions } from './probe.ts';

export interface ProberOptions extends ProbeOptions {
  /** There is a probe for each. */
  readonly partitions: number;
}

/** What the probes went through since {@link Prober.struck}. */
export interface ProbeWindow {
  /** When on every partition a change was applied that was written since then; undefined while one waits. By the monotonic clock. */
  readonly recoveredAtMs: number | undefined;
  /** The longest that a single change took from being written to being applied. */
  readonly longestWaitMs: number;
  /** The longest time in which one partition applied nothing. */
  readonly longestStillMs: number;
  /** Events of the clients, by name, but for `connected` and `disconnected`. */
  readonly events: Readonly<Record<string, number>>;
}

const TABLES = [
  'CREATE TABLE shop.probe (id BIGINT PRIMARY KEY, gen INT NOT NULL, n BIGINT NOT NULL) ENGINE=InnoDB',
  'CREATE TABLE shop.probe_audit (at BIGINT AUTO_INCREMENT PRIMARY KEY, gen INT NOT NULL, n BIGINT NOT NULL, id BIGINT NOT NULL) ENGINE=InnoDB',
  'CREATE TRIGGER shop.probe_inserted AFTER INSERT ON shop.probe FOR EACH ROW INSERT INTO shop.probe_audit (gen, n, id) VALUES (NEW.gen, NEW.n, NEW.id)',
  'CREATE TRIGGER shop.probe_updated AFTER UPDATE ON shop.probe FOR EACH ROW INSERT INTO shop.probe_audit (gen, n, id) VALUES (NEW.gen, NEW.n, NEW.id)',
];

export async function createProbeTables(mariadb: MariadbServer): Promise<void> {
  await mariadb.query(TABLES);
}

/**
 * A client for each partition that writes one change at a time, waits until it is applied, and notes how long that took:
 * what a fault costs whoever waits, partition by partition.
 */
export class Prober {
  readonly #probes: readonly Probe[];

  private constructor(probes: readonly Probe[]) {
    this.#probes = probes;
  }

  /** Resolves when every probe was applied once. */
  static async start(options: ProberOptions, patienceMs: number): Promise<Prober> {
    const ids = idsOfPartitions(options.partitions);
    const prober = new Prober(await Promise.all(ids.map((id, partition) => Probe.start(options, id, partition + 1))));
    prober.struck();
    await prober.recovered(patienceMs);
    return prober;
  }

  /** Begins a new window. */
  struck(): void {
    for (const probe of this.#probes) probe.struck();
  }

  get window(): ProbeWindow {
    const recoveries = this.#probes.map((probe) => probe.recoveredAtMs);
    const events: Record<string, number> = {};
    for (const { eventCounts } of this.#probes) for (const [name, count] of eventCounts) events[name] = (events[name] ?? 0) + count;
    return {
      recoveredAtMs: recoveries.includes(undefined) ? undefined : Math.max(...(recoveries as number[])),
      longestWaitMs: Math.max(...this.#probes.map((probe) => probe.longestWaitMs)),
      longestStillMs: Math.max(...this.#probes.map((probe) => probe.longestStillMs)),
      events,
    };
  }

  /** How many changes were written so far, and how many of them are applied. */
  get writtenCount(): number {
    return this.#probes.reduce((sum, probe) => sum + probe.written, 0);
  }

  get appliedCount(): number {
    return this.#probes.reduce((sum, probe) => sum + probe.appliedCount, 0);
  }

  /** The longest that a change waits now. */
  get waitingMs(): number {
    return Math.max(...this.#probes.map((probe) => probe.waitingMs));
  }

  /** What the one went through that stood still for longest. */
  describeLongest(): string {
    return this.#probes.reduce((longest, probe) => (probe.longestStillMs > longest.longestStillMs ? probe : longest)).describe();
  }

  /** Waits until the window has a time of recovery. */
  async recovered(patienceMs: number): Promise<void> {
    await eventually(
      () => {
        const still = this.#probes.filter((probe) => probe.recoveredAtMs === undefined);
        if (still.length > 0) throw new Error(`nothing is applied: ${still.map((probe) => probe.describe()).join('; ')}`);
      },
      patienceMs,
      5,
    );
  }

  /** Ends it; resolves when what was written is applied, or at the end of the patience with what is not. */
  async stop(patienceMs: number): Promise<readonly string[]> {
    return (await Promise.all(this.#probes.map((probe) => probe.stop(patienceMs)))).flat();
  }

  /** Compares every change that was ever written with what the database saw. */
  async audit(mariadb: MariadbServer): Promise<AuditFaults & { readonly sent: number; readonly applied: number }> {
    const read = async (sql: string) =>
      (await mariadb.query(sql)).map(({ gen, n, id }): AuditRow => ({ gen: Number(gen), n: Number(n), id: Number(id) }));
    const effects = await read('SELECT gen, n, id FROM shop.probe_audit ORDER BY at');
    const history: ProducerHistory = {
      spooled: new Map(this.#probes.map(({ gen, written }) => [gen, written])),
      refused: new Set(),
      complaints: this.#probes.flatMap(({ complaints }) => complaints),
    };
    const faults = auditEffects(history, effects, await read('SELECT gen, n, id FROM shop.probe'), 1);
    return { ...faults, sent: this.#probes.reduce((sum, { written }) => sum + written, 0), applied: effects.length };
  }
}

/** The smallest key of each partition. */
function idsOfPartitions(partitions: number): number[] {
  const ids: number[] = [];
  for (let id = 1; Object.keys(ids).length < partitions; id++) ids[partitionOf('probe', [id], partitions)] ??= id;
  return ids;
}
