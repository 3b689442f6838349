import { statfsSync, type StatsFs } from 'node:fs';

/**
 * What the queue leaves free on its disk, at most. The queue would take the last of it, and then never get shorter:
 * trimming needs some, and so does an embedded sink on the same disk.
 */
const RESERVE_BYTES = 64 * 1024 * 1024;
/** The same on a small disk. */
const RESERVE_SHARE = 0.2;
/** Producers come back when this many times the reserve is free, so that admission does not flutter. */
const REOPEN_FACTOR = 1.25;
/** A row is written to the log first, and once more when the log is copied into the file. */
const COPIES = 2;

/** How much room there is on the disk of a folder. Where the system does not tell, there is always enough. */
export class DiskRoom {
  readonly #folder: string;
  #freeBytes = Infinity;
  #reserveBytes = 0;
  #isShort = false;

  constructor(folder: string) {
    this.#folder = folder;
    this.measure();
  }

  /** Looks at the disk. */
  measure(): void {
    const disk = statfs(this.#folder);
    this.#freeBytes = disk === undefined ? Infinity : disk.bavail * disk.bsize;
    this.#reserveBytes = disk === undefined ? 0 : Math.min(RESERVE_BYTES, RESERVE_SHARE * disk.blocks * disk.bsize);
    this.#isShort = this.#freeBytes < this.#reserveBytes * (this.#isShort ? REOPEN_FACTOR : 1);
  }

  /** Why nobody should send more, by the last look; undefined while there is enough room. */
  get shortage(): string | undefined {
    return this.#isShort ? this.#describe() : undefined;
  }

  /** Why `bytes` must not be appended, undefined when they may. What is in flight gets half of the reserve. */
  refusalOf(bytes: number): string | undefined {
    if (this.#freeBytes - COPIES * bytes < this.#reserveBytes / 2) return this.#describe();
    this.#freeBytes -= COPIES * bytes;
    return undefined;
  }

  #describe(): string {
    const mib = (this.#reserveBytes / 1024 / 1024).toFixed(this.#reserveBytes < RESERVE_BYTES ? 1 : 0);
    return `the disk of the queue has less than ${mib} MiB left, which are kept for what makes it shorter; free some space`;
  }
}

function statfs(folder: string): StatsFs | undefined {
  try {
    return statfsSync(folder);
  } catch {
    // Not every file system has it; then a write that fails is how we find out.
    return undefined;
  }
}
