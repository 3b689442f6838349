// Hot path
import { strict as assert } from 'node:assert';
import type { Clock } from '../core/clock.ts';
import { backoffMs, type Random } from '../core/random.ts';
import type { AppendEntry, AppendResult, Queue } from '../queue/queue.ts';
import type { Log } from './context.ts';
import { mayPass } from './survey.ts';

export interface AppenderOptions {
  readonly queue: Queue;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** How much all connections together may have sent and not yet stored; above it, who sends more is held back. */
  readonly maxInFlightBytes: number;
  /** The queue took something new in `partition`. */
  onStored(partition: number): void;
}

/** Who submitted an entry, and hears what became of it. */
export interface Submitter {
  /** Once per submitted entry, in order within a partition. */
  judged(partition: number, entry: AppendEntry, result: AppendResult): void;
  /** Nobody waits for the answer any more; entries may be dropped unless the queue may have them. */
  readonly gone: boolean;
  /** There is room again, after {@link Appender.waitForRoom}. */
  roomFound(): void;
}

/** What happened since the start, for metrics. */
export interface AppendCounters {
  frames: number;
  bytes: number;
  stored: number;
  storedBytes: number;
  duplicates: number;
  gaps: number;
  mismatches: number;
  refusals: number;
  calls: number;
  failures: number;
}

/**
 * Brings frames to the queue: per partition one call at a time, in the order of submission, each call with everything
 * that has come until then. What came in one turn of the event loop therefore travels together, and the slower the queue
 * is, the larger the groups get. A call that fails is made again until it succeeds: appending is idempotent.
 */
export class Appender {
  readonly counters: AppendCounters = {
    frames: 0,
    bytes: 0,
    stored: 0,
    storedBytes: 0,
    duplicates: 0,
    gaps: 0,
    mismatches: 0,
    refusals: 0,
    calls: 0,
    failures: 0,
  };
  readonly #options: AppenderOptions;
  readonly #lines: Line[] = [];
  /** Lines that got their first entry in this turn. */
  #fresh: Line[] = [];
  readonly #waiters: Submitter[] = [];
  #inFlightBytes = 0;
  #maxInFlightBytes: number;
  #closed = false;

  constructor(options: AppenderOptions) {
    this.#options = options;
    this.#maxInFlightBytes = options.maxInFlightBytes;
    for (let partition = 0; partition < options.queue.partitionCount; partition++) this.#lines.push(new Line(partition));
  }

  /** What was submitted and not yet judged takes: its bytes, and {@link ENTRY_OVERHEAD_BYTES} for each frame. */
  get inFlightBytes(): number {
    return this.#inFlightBytes;
  }

  get maxInFlightBytes(): number {
    return this.#maxInFlightBytes;
  }

  /** Whoever is above a new bound is held back from now on. */
  set maxInFlightBytes(bytes: number) {
    this.#maxInFlightBytes = bytes;
    this.#release(0);
  }

  get isFull(): boolean {
    return this.#inFlightBytes >= this.#maxInFlightBytes;
  }

  submit(partition: number, entry: AppendEntry, submitter: Submitter): void {
    const line = this.#lines[partition];
    assert(line !== undefined, `partition ${partition} does not exist`);
    const bytes = entry.frame.length;
    this.counters.frames++;
    this.counters.bytes += bytes;
    if (entry.kind === 'refusal') this.counters.refusals++;
    this.#inFlightBytes += costOf(entry);
    line.add(entry, submitter);
    if (line.busy || line.fresh) return;
    line.fresh = true;
    this.#fresh.push(line);
    if (this.#fresh.length === 1) this.#options.clock.defer(this.#startFresh);
  }

  /** Calls `submitter.roomFound()` once when there is room; those who wait are served in turn. */
  waitForRoom(submitter: Submitter): void {
    this.#waiters.push(submitter);
  }

  /** Makes no further call; what is in flight is left to the queue, and nobody is told any more. */
  close(): void {
    this.#closed = true;
  }

  readonly #startFresh = (): void => {
    const lines = this.#fresh;
    this.#fresh = [];
    for (const line of lines) {
      line.fresh = false;
      if (!line.busy) this.#start(line);
    }
  };

  #start(line: Line): void {
    if (this.#closed || !line.take()) return;
    line.busy = true;
    void this.#run(line);
  }

  /** Appends what the line has taken, and goes on while there is more. */
  async #run(line: Line): Promise<void> {
    do {
      const results = await this.#append(line);
      if (this.#closed) return;
      this.#deliver(line, results);
    } while (line.take());
    line.busy = false;
  }

  /** Makes the call until it succeeds. */
  async #append(line: Line): Promise<readonly AppendResult[]> {
    const { queue, log } = this.#options;
    let isLogged = false;
    for (let failureCount = 0; !this.#closed && line.calling.length > 0;) {
      this.counters.calls++;
      try {
        const results = await queue.append(line.partition, line.calling);
        if (isLogged) log.info({ partition: line.partition, failureCount }, 'frames are stored again');
        return results;
      } catch (error) {
        // Anything else than the world being in the way is a bug, and ends the process.
        if (!mayPass(error)) throw error;
        failureCount++;
        this.counters.failures++;
        line.hasFailed = true;
        // Otherwise the queue has said for all partitions what is in the way.
        if (!isLogged && queue.admission.state === 'open') {
          isLogged = true;
          log.warn({ partition: line.partition, code: error.code }, `frames cannot be stored now: ${error.message}`);
        }
      }
      await this.#backOff(failureCount);
      // Clients that reconnect while the queue is away send again: without this their frames would pile up here.
      this.#release(line.dropGone());
    }
    return [];
  }

  #backOff(failureCount: number): Promise<void> {
    const { clock, random } = this.#options;
    return new Promise((resolve) => void clock.setTimer(backoffMs(random, failureCount, RETRY_BASE_MS, RETRY_CAP_MS), resolve));
  }

  #deliver(line: Line, results: readonly AppendResult[]): void {
    const { calling, callers } = line;
    const counters = this.counters;
    assert(results.length === calling.length, `the queue answered ${results.length} of ${calling.length} frames`);
    line.calling = NOTHING;
    line.callers = NOBODY;
    let bytes = 0;
    let storedCount = 0;
    for (let i = 0; i < calling.length; i++) {
      const entry = calling[i]!;
      const result = results[i]!;
      bytes += costOf(entry);
      if (result.verdict === 'append') {
        storedCount++;
        counters.storedBytes += entry.frame.length;
      } else if (result.verdict === 'duplicate') counters.duplicates++;
      else if (result.verdict === 'gap') counters.gaps++;
      else counters.mismatches++;
      callers[i]!.judged(line.partition, entry, result);
    }
    counters.stored += storedCount;
    this.#release(bytes);
    // What an attempt of unknown outcome stored is a duplicate in the next.
    if (storedCount > 0 || line.hasFailed) this.#options.onStored(line.partition);
    line.hasFailed = false;
  }

  #release(bytes: number): void {
    this.#inFlightBytes -= bytes;
    assert(this.#inFlightBytes >= 0, 'more bytes were judged than submitted');
    // A quarter of the budget is freed before anybody goes on, so that connections are not paused and resumed by the frame.
    if (this.#waiters.length === 0 || this.#inFlightBytes > this.#maxInFlightBytes * 0.75) return;
    // Who is still over the budget when its turn comes waits again, behind the others.
    for (let left = this.#waiters.length; left > 0 && !this.isFull; left--) this.#waiters.shift()!.roomFound();
  }
}

/** What waits for one partition, and what the call in flight carries: submitters stand beside their entries. */
class Line {
  readonly partition: number;
  calling: readonly AppendEntry[] = NOTHING;
  callers: readonly Submitter[] = NOBODY;
  /** A call is in flight, or about to be made again. */
  busy = false;
  /** An attempt failed, and may have had its effect, since results were last delivered. */
  hasFailed = false;
  /** Waits for the end of the turn. */
  fresh = false;
  #entries: AppendEntry[] = [];
  #submitters: Submitter[] = [];
  /** Where the waiting ones begin: what stands before was taken. */
  #head = 0;

  constructor(partition: number) {
    this.partition = partition;
  }

  add(entry: AppendEntry, submitter: Submitter): void {
    this.#entries.push(entry);
    this.#submitters.push(submitter);
  }

  /** Moves what one call may carry from the waiting to the calling; false when nothing waits. */
  take(): boolean {
    const entries = this.#entries;
    const start = this.#head;
    let end = start;
    let bytes = 0;
    while (end < entries.length && end - start < MAX_CALL_ENTRIES) {
      bytes += entries[end]!.frame.length;
      if (end > start && bytes > MAX_CALL_BYTES) break;
      end++;
    }
    if (end === start) return false;
    const all = end === entries.length;
    this.calling = all && start === 0 ? entries : entries.slice(start, end);
    this.callers = all && start === 0 ? this.#submitters : this.#submitters.slice(start, end);
    if (all) this.#setWaiting([], []);
    // Moving the rest down only now and then keeps a long line from being copied for every call.
    else if (end > entries.length / 2) this.#setWaiting(entries.slice(end), this.#submitters.slice(end));
    else this.#head = end;
    return true;
  }

  /** Drops the entries of those who are gone; returns their bytes. Order is kept. */
  dropGone(): number {
    const calling = keepPresent(this.calling, this.callers);
    const waiting = keepPresent(this.#entries.slice(this.#head), this.#submitters.slice(this.#head));
    this.calling = calling.entries;
    this.callers = calling.submitters;
    this.#setWaiting(waiting.entries, waiting.submitters);
    return calling.droppedBytes + waiting.droppedBytes;
  }

  #setWaiting(entries: AppendEntry[], submitters: Submitter[]): void {
    this.#entries = entries;
    this.#submitters = submitters;
    this.#head = 0;
  }
}

interface Kept {
  readonly entries: AppendEntry[];
  readonly submitters: Submitter[];
  readonly droppedBytes: number;
}

function keepPresent(entries: readonly AppendEntry[], submitters: readonly Submitter[]): Kept {
  const kept = { entries: [] as AppendEntry[], submitters: [] as Submitter[], droppedBytes: 0 };
  for (let i = 0; i < entries.length; i++) {
    if (submitters[i]!.gone) {
      kept.droppedBytes += costOf(entries[i]!);
    } else {
      kept.entries.push(entries[i]!);
      kept.submitters.push(submitters[i]!);
    }
  }
  return kept;
}

function costOf({ frame, chargedBytes = frame.length }: AppendEntry): number {
  return chargedBytes + ENTRY_OVERHEAD_BYTES;
}

const NOTHING: readonly AppendEntry[] = [];
const NOBODY: readonly Submitter[] = [];
/** What a frame takes in memory beside its bytes: without it, 64 MiB in frames of 41 bytes took 1.2 GB. */
export const ENTRY_OVERHEAD_BYTES = 512;
/** What one call to the queue carries at most. */
const MAX_CALL_ENTRIES = 1024;
const MAX_CALL_BYTES = 8 * 1024 * 1024;
const RETRY_BASE_MS = 50;
/** Well below what a change waits for others that were stored later (`apply/scheduler.ts`): partitions come back one by one. */
const RETRY_CAP_MS = 500;
