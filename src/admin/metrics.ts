import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { ERRORS } from '../core/errors.ts';
import { withDeadline } from './deadline.ts';
import { addProcessMetrics } from './process-metrics.ts';
import { isPrimary } from './readiness.ts';
import type { AdminState } from './state.ts';
import { lagOf } from './status.ts';

/**
 * The metrics of a node. Counters are moved by calls as things happen; gauges read {@link AdminState} when somebody
 * scrapes. Labels come from the catalogue of error codes and the number of partitions, so there is a bound on series.
 */
export interface Metrics {
  /** Frames that the queue stored, and their bytes. */
  stored(frames: number, bytes: number): void;
  sliceFinished(slice: FinishedSlice): void;
  /** A connection was refused or ended with an error `code`. */
  connectionRefused(code: string): void;
  /** `count` frames were stored as refusals: what they hold becomes dead letters. */
  refusedFrames(count: number): void;
  /** Reading from a connection stopped `count` times, because its producer sent more than it may. */
  rateLimited(limit: 'bytes' | 'changes', count: number): void;
  readonly contentType: string;
  /** Everything, as Prometheus reads it. */
  render(): Promise<string>;
}

/** What metrics need of a slice's result. */
export interface FinishedSlice {
  readonly outcome: 'applied' | 'blocked' | 'failed' | 'deferred';
  readonly error: { readonly code: string } | undefined;
  readonly stats: {
    readonly elements: number;
    readonly changes: number;
    readonly deadLetters: number;
    readonly fetchMs: number;
    readonly applyMs: number;
  };
}

/** Reasons to hold producers back that have a series of their own. */
const HELD_REASONS = ['queue_full', 'queue_unavailable', 'queue_readonly', 'queue_evicting', 'other'] as const;

/** Slices take from under a millisecond (SQLite, few rows) to a second (a large transaction on a slow disk). */
const SLICE_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export function createMetrics(state: AdminState): Metrics {
  const registry = new Registry();
  const registers = [registry];
  addProcessMetrics(registry);
  addStateGauges(registry, state);
  addDatagramCounters(registry, state);
  const counter = <T extends string = never>(name: string, help: string, labelNames: readonly T[] = []) =>
    new Counter({ name: `syncline_${name}`, help, labelNames, registers });

  const storedFrames = counter('stored_frames_total', 'Frames that the queue stored.');
  const storedBytes = counter('stored_bytes_total', 'Bytes of the frames that the queue stored.');
  const appliedChanges = counter('applied_changes_total', 'Changes that were committed to the sink, dead letters included.');
  const appliedBatches = counter('applied_batches_total', 'Batches that were committed to the sink.');
  const deadLetters = counter('dead_letters_total', 'Changes that became dead letters.');
  const sliceRetries = counter('slice_retries_total', 'Slices that failed and are tried again, by error code.', ['code']);
  const refused = counter('connections_refused_total', 'Connections that were refused or ended by the server, by error code.', ['reason']);
  const refusedFrames = counter(
    'refused_frames_total',
    'Frames that were refused at the door: malformed, or with more changes than allowed.',
  );
  const rateLimited = counter(
    'rate_limited_total',
    'Times that a connection was held back because its producer exceeded a rate, by rate.',
    ['limit'],
  );
  const sliceSeconds = new Histogram({
    name: 'syncline_slice_seconds',
    help: 'Time of a slice from fetch to commit, in seconds, by outcome. Slices that share a transaction count its whole time each; deferred ones run again alone.',
    labelNames: ['outcome'],
    buckets: SLICE_SECONDS,
    registers,
  });

  return {
    stored(frames, bytes) {
      storedFrames.inc(frames);
      storedBytes.inc(bytes);
    },
    sliceFinished({ outcome, error, stats }) {
      appliedChanges.inc(stats.changes);
      appliedBatches.inc(stats.elements);
      deadLetters.inc(stats.deadLetters);
      sliceSeconds.observe({ outcome }, (stats.fetchMs + stats.applyMs) / 1000);
      if (outcome === 'failed') sliceRetries.inc({ code: knownCode(error?.code) });
    },
    refusedFrames: (count) => refusedFrames.inc(count),
    rateLimited: (limit, count) => rateLimited.inc({ limit }, count),
    connectionRefused: (code) => refused.inc({ reason: knownCode(code) }),
    contentType: registry.contentType,
    render: () => registry.metrics(),
  };
}

function addStateGauges(registry: Registry, state: AdminState): void {
  const registers = [registry];
  new Gauge({
    name: 'syncline_leader',
    help: '1 while this node leads, or is one of several equals, or the only one; else 0.',
    registers,
    collect() {
      this.set(isPrimary(state) ? 1 : 0);
    },
  });
  new Gauge({
    name: 'syncline_members',
    help: 'Nodes that this one knows to be alive, itself included.',
    registers,
    collect() {
      this.set(state.cluster()?.members.length ?? 1);
    },
  });
  new Counter({
    name: 'syncline_takeovers_total',
    help: 'Partitions that were taken over from a node that had not given them back.',
    registers,
    collect() {
      this.reset();
      this.inc(state.cluster()?.takeovers ?? 0);
    },
  });
  new Counter({
    name: 'syncline_handovers_total',
    help: 'Partitions that were given back for another node.',
    registers,
    collect() {
      this.reset();
      this.inc(state.cluster()?.handovers ?? 0);
    },
  });
  new Gauge({
    name: 'syncline_lag_batches',
    help: 'Batches that are stored and not applied, by partition.',
    labelNames: ['partition'],
    registers,
    collect() {
      for (const { partition, batches } of state.partitions()) this.set({ partition }, batches);
    },
  });
  new Gauge({
    name: 'syncline_lag_seconds',
    help: 'Age of the oldest batch that is stored and not applied, by partition.',
    labelNames: ['partition'],
    registers,
    collect() {
      for (const { partition, oldestAgeMs } of state.partitions()) this.set({ partition }, oldestAgeMs / 1000);
    },
  });
  new Gauge({
    name: 'syncline_queue_bytes',
    help: 'Bytes that wait in the queue.',
    registers,
    collect() {
      this.set(lagOf(state.partitions()).bytes);
    },
  });
  new Gauge({
    name: 'syncline_credit_held',
    help: '1 while producers are held back for this reason.',
    labelNames: ['reason'],
    registers,
    collect() {
      const held = heldReason(state.queue().held);
      for (const reason of HELD_REASONS) this.set({ reason }, reason === held ? 1 : 0);
    },
  });
  new Gauge({
    name: 'syncline_sessions',
    help: 'Connections of producers that are open.',
    registers,
    collect() {
      this.set(state.sessions().open);
    },
  });
  new Gauge({
    name: 'syncline_tls_certificate_expiry_timestamp_seconds',
    help: 'When the certificate that the doors show ends, in seconds since 1970; missing where no door speaks TLS.',
    registers,
    collect() {
      const certificate = state.certificate();
      if (certificate === undefined) this.remove();
      else this.set(certificate.expiresAtMs / 1000);
    },
  });
  new Gauge({
    name: 'syncline_audit_failing',
    help: '1 while the audit log cannot be written; else 0.',
    registers,
    collect() {
      this.set(state.audit()?.failure === undefined ? 0 : 1);
    },
  });
  new Counter({
    name: 'syncline_audit_lost_total',
    help: 'Events that the audit log lacks, because it could not be written for too long.',
    registers,
    collect() {
      this.reset();
      this.inc(state.audit()?.lost ?? 0);
    },
  });
  new Gauge({
    name: 'syncline_dead_letters_open',
    help: 'Dead letters that nobody has dealt with; missing while the sink cannot be read.',
    registers,
    async collect() {
      const open = await withDeadline(state.deadLetters()).catch(() => undefined);
      if (open === undefined) this.remove();
      else this.set(open);
    },
  });
}

function addDatagramCounters(registry: Registry, state: AdminState): void {
  const registers = [registry];
  new Counter({
    name: 'syncline_datagrams_total',
    help: 'Datagrams that were read, by what became of them; missing where nothing listens for any.',
    labelNames: ['outcome'],
    registers,
    collect() {
      this.reset();
      for (const [outcome, count] of Object.entries(state.datagrams()?.counts ?? {})) this.inc({ outcome }, count);
    },
  });
  new Counter({
    name: 'syncline_datagrams_unsendable_changes_total',
    help: 'Changes in accepted datagrams that could not be stored: their key is none, or a column of partitionBy is missing.',
    registers,
    collect() {
      this.reset();
      this.inc(state.datagrams()?.unsendableChanges ?? 0);
    },
  });
  new Counter({
    name: 'syncline_datagrams_dropped_by_system_total',
    help: 'Datagrams that the system dropped because they came faster than they were read; 0 where it does not say.',
    registers,
    async collect() {
      const drops = await state.datagrams()?.kernelDrops();
      this.reset();
      this.inc(drops ?? 0);
    },
  });
}

/** Labels are bounded: what is not in the catalogue counts as `other`. */
function knownCode(code: string | undefined): string {
  return code !== undefined && Object.hasOwn(ERRORS, code) ? code : 'other';
}

/** `held` reads `code: message`. */
function heldReason(held: string | undefined): (typeof HELD_REASONS)[number] | undefined {
  if (held === undefined) return undefined;
  return HELD_REASONS.find((reason) => held.startsWith(`${reason}:`)) ?? 'other';
}
