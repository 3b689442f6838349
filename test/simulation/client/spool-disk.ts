import type { Clock } from '../../../src/core/clock.ts';
import { SyncError } from '../../../src/core/errors.ts';
import type { Place } from '../../../src/core/stream.ts';
import type { Spool, SpooledFrame, SpoolState } from '../../../src/client/spool.ts';
import type { SeededRandom } from '../../support/seeded-random.ts';

/** What happens on a client's disk, for whoever keeps account of it. */
export interface SpoolWitness {
  /** Frames became durable. */
  appended(stream: string, frames: readonly SpooledFrame[]): void;
  /** A new stream holds `frames`, and nothing else is held any more. */
  restarted(stream: string, frames: readonly SpooledFrame[]): void;
  /** A backup was put in place of what there was. */
  backupRestored(): void;
  /** The client forgets everything up to `seq`. */
  forgotten(stream: string, partition: number, seq: number): void;
}

export type DiskBackup = Pick<SpoolDisk, 'stream' | 'note' | 'assigned' | 'held' | 'left'>;

/** How long the disk takes to make something durable, ms. */
const SYNC_MS = { least: 0.1, most: 4 };
/** Marks of what is applied are written with a delay; a crash loses them. */
const MARK_DELAY_MS = 200;

/** The disk of a client: what is durable here survives its processes. */
export class SpoolDisk {
  stream: string | undefined;
  note: string | undefined;
  assigned = new Map<number, Place>();
  held: SpooledFrame[] = [];
  left: readonly string[] = [];
  /** Set: nothing can be written. */
  isFull = false;
  /** Whether a backup was ever put in place of what there was. */
  isRestored = false;
  /** Asked about every write. */
  interfere: (() => 'fails' | undefined) | undefined;
  readonly #random: SeededRandom;
  readonly #witness: SpoolWitness;

  constructor(random: SeededRandom, witness: SpoolWitness) {
    this.#random = random;
    this.#witness = witness;
  }

  /** What a backup of this disk holds. */
  backUp(): DiskBackup {
    const { stream, note, assigned, held, left } = this;
    return { stream, note, assigned: new Map(assigned), held: [...held], left };
  }

  /** Puts a backup in place of what is there. */
  restore({ stream, note, assigned, held, left }: DiskBackup): void {
    this.stream = stream;
    this.note = note;
    this.assigned = new Map(assigned);
    this.held = [...held];
    this.left = left;
    this.isRestored = true;
    this.#witness.backupRestored();
  }

  /** The spool of the process that lives by `clock`. */
  open(clock: Clock): Spool {
    const restored: SpoolState = {
      stream: this.stream,
      assigned: new Map(this.assigned),
      held: this.held.toSorted((a, b) => a.partition - b.partition || a.seq - b.seq),
      left: this.left,
      note: this.note,
    };
    const marks = new Map<number, Place>();
    let marking = false;
    const mark = () => {
      if (this.isFull) return void clock.setTimer(MARK_DELAY_MS, mark);
      marking = false;
      this.held = this.held.filter(({ partition, seq }) => seq > (marks.get(partition)?.seq ?? 0));
    };
    return {
      restored,
      append: (frames) =>
        this.#write(clock, () => {
          for (const frame of frames) this.#keep(frame);
          this.#witness.appended(this.stream!, frames);
        }),
      applied: (partition, place) => {
        this.#witness.forgotten(this.stream!, partition, place.seq);
        marks.set(partition, place);
        if (marking) return;
        marking = true;
        clock.setTimer(MARK_DELAY_MS, mark);
      },
      reset: (stream, frames, left) =>
        this.#write(clock, () => {
          this.stream = stream;
          this.left = left;
          this.assigned.clear();
          this.held = [];
          marks.clear();
          for (const frame of frames) this.#keep(frame);
          this.#witness.restarted(stream, frames);
        }),
      remember: (note) => this.#write(clock, () => (this.note = note)),
      close: () => Promise.resolve(),
    };
  }

  /** Durable at once and known later, or durable when it is known: a crash between the two tells them apart. */
  #write(clock: Clock, effect: () => void): Promise<void> {
    const early = this.#random.chance(0.5);
    const delayMs = SYNC_MS.least + this.#random.fraction() * (SYNC_MS.most - SYNC_MS.least);
    const full = () => new SyncError('spool_unavailable', 'the disk of the spool is full');
    if (this.interfere?.() === 'fails' || this.isFull) return Promise.reject(full());
    if (early) effect();
    return new Promise((resolve, reject) => {
      clock.setTimer(delayMs, () => {
        if (!early && this.isFull) return reject(full());
        if (!early) effect();
        resolve();
      });
    });
  }

  #keep({ partition, seq, crc, bytes }: SpooledFrame): void {
    this.held.push({ partition, seq, crc, bytes: Uint8Array.from(bytes) });
    this.assigned.set(partition, { seq, crc });
  }
}
