import type { Socket } from 'node:net';

/** What happens to everything that travels in one direction. */
export interface PipeFaults {
  readonly latencyMs: number;
  /** Added to the latency, at random from 0 to this; the order stays. */
  readonly jitterMs: number;
  readonly bytesPerSecond: number;
  /** Largest piece in which bytes arrive, each a packet of its own. */
  readonly sliceBytes: number;
  /** Nothing is passed on; senders are held back once the buffers are full. */
  readonly stalled: boolean;
  /** Everything that is sent is read and thrown away, and what comes after it as well: see {@link FaultyPipe.severed}. */
  readonly swallowing: boolean;
}

export const NO_FAULTS: PipeFaults = {
  latencyMs: 0,
  jitterMs: 0,
  bytesPerSecond: Infinity,
  sliceBytes: Infinity,
  stalled: false,
  swallowing: false,
};

/** Above this nothing more is read from the sender. */
const MAX_QUEUED_BYTES = 256 * 1024;

interface Parcel {
  bytes: Buffer;
  readonly dueMs: number;
}

/** One direction of a connection through a {@link FaultProxy}: what `from` sends goes to `to`, as late and as torn as the faults say. */
export class FaultyPipe {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #faults: () => PipeFaults;
  readonly #queue: Parcel[] = [];
  #queuedBytes = 0;
  #lastDueMs = 0;
  #ended = false;
  #severed = false;
  /** The receiver has bytes to take yet. */
  #full = false;
  #timer: NodeJS.Timeout | undefined;
  #next: NodeJS.Immediate | undefined;

  /** `filter` sees each chunk first, and gives what is to be passed on of it. */
  constructor(from: Socket, to: Socket, faults: () => PipeFaults, filter: (chunk: Buffer) => Buffer | undefined) {
    this.#from = from;
    this.#to = to;
    this.#faults = faults;
    from.on('data', (chunk: Buffer) => {
      this.#severed ||= this.#faults().swallowing;
      // The receiver may have gone without a word to this sender.
      const passed = this.#severed || to.destroyed ? undefined : filter(chunk);
      if (passed !== undefined && passed.length > 0) this.send(passed);
    });
    from.on('end', () => {
      this.#severed ||= this.#faults().swallowing;
      if (!this.#severed) this.end();
    });
    to.on('drain', () => {
      this.#full = false;
      this.pump();
    });
    from.on('close', () => this.#stop());
    to.on('close', () => this.#stop());
  }

  /** Something vanished on the way: nothing passes here any more, not even the news that the sender is gone. */
  get severed(): boolean {
    return this.#severed;
  }

  send(bytes: Buffer): void {
    const { latencyMs, jitterMs, bytesPerSecond } = this.#faults();
    if (this.#unhindered) this.#lastDueMs = 0;
    const dueMs = Math.max(performance.now() + latencyMs + jitterMs * Math.random(), this.#lastDueMs);
    this.#lastDueMs = dueMs + (bytes.length / bytesPerSecond) * 1000;
    this.#queue.push({ bytes, dueMs });
    this.#queuedBytes += bytes.length;
    this.pump();
  }

  /** The receiver sees the end once everything before has arrived. */
  end(): void {
    this.#ended = true;
    this.pump();
  }

  /** Passes on what is due; called again by itself, and from outside when the faults have changed. */
  pump(): void {
    clearTimeout(this.#timer);
    clearImmediate(this.#next);
    const { stalled } = this.#faults();
    if (!stalled) this.#passOn();
    if (stalled || this.#queuedBytes > MAX_QUEUED_BYTES) this.#from.pause();
    else this.#from.resume();
    if (this.#ended && !stalled && this.#queue.length === 0) this.#to.end();
  }

  get #unhindered(): boolean {
    const { latencyMs, jitterMs, bytesPerSecond } = this.#faults();
    return latencyMs === 0 && jitterMs === 0 && bytesPerSecond === Infinity;
  }

  #passOn(): void {
    const { sliceBytes } = this.#faults();
    for (let head = this.#queue[0]; head !== undefined && !this.#full; head = this.#queue[0]) {
      // What was slow before arrives at once when nothing slows it any more.
      const waitMs = this.#unhindered ? 0 : head.dueMs - performance.now();
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.pump(), waitMs);
        return;
      }
      const slice = head.bytes.subarray(0, sliceBytes);
      head.bytes = head.bytes.subarray(slice.length);
      if (head.bytes.length === 0) this.#queue.shift();
      this.#queuedBytes -= slice.length;
      this.#full = !this.#to.write(slice);
      if (sliceBytes !== Infinity) {
        this.#next = setImmediate(() => this.pump());
        return;
      }
    }
  }

  #stop(): void {
    clearTimeout(this.#timer);
    clearImmediate(this.#next);
    this.#queue.length = 0;
  }
}
