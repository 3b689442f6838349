// Hot path
import type { Access } from '../core/access.ts';
import type { Clock } from '../core/clock.ts';
import { SyncError } from '../core/errors.ts';
import { expandPayload } from '../protocol/expand-payload.ts';
import { FLAG_ZSTD, type Frame, HEADER_BYTES } from '../protocol/frame.ts';
import { encodeRefusal } from '../protocol/messages.ts';
import { BatchScan } from '../protocol/scan.ts';

/** Looks through payloads before anything is stored or decoded: the only guard between a peer's bytes and the workers. */
export class PayloadCheck {
  readonly #scan = new BatchScan();
  readonly #maxBytes: number;
  readonly #clock: Clock;
  /** What compressed payloads have expanded to in this turn of the event loop. */
  #expandedBytes = 0;
  readonly #waiters: (() => void)[] = [];
  #isRenewing = false;

  /** `maxBytes` bounds the expanded payload. */
  constructor(maxBytes: number, clock: Clock) {
    this.#maxBytes = maxBytes;
    this.#clock = clock;
  }

  /**
   * Whether `frame` must wait for another turn. A compressed one of 200 bytes may take milliseconds: 400 kB of them from
   * one client, all in one turn, kept all other connections waiting for many seconds.
   */
  mustWait({ flags }: Frame): boolean {
    return (flags & FLAG_ZSTD) !== 0 && this.#expandedBytes >= this.#maxBytes;
  }

  /** Calls `resume` once in a turn in which there is room, in the order of the calls. */
  wait(resume: () => void): void {
    this.#waiters.push(resume);
  }

  /** Changes in the batch that {@link refusalOf} found well-formed last. */
  get changes(): number {
    return this.#scan.changes;
  }

  /**
   * Undefined when the payload is a well-formed batch; else what is stored in the frame's place: its header, followed by
   * why it was refused. It is chained like the frame, so that the stream goes on behind it. A batch of which `access` allows
   * nothing is refused too; of one that it allows in part, slices sort out the rest.
   */
  refusalOf(frame: Frame, access: Access | undefined, maxChanges: number): Buffer | undefined {
    let payload = frame.payload;
    if ((frame.flags & FLAG_ZSTD) !== 0) {
      this.#count(this.#maxBytes);
      try {
        payload = expandPayload(frame, this.#maxBytes);
        this.#count(payload.length - this.#maxBytes);
      } catch (error) {
        if (!(error instanceof SyncError)) throw error;
        return refusal(frame, error.code, error.message);
      }
    }
    if (!this.#scan.scan(payload, access)) return refusal(frame, 'malformed_payload', this.#scan.reason);
    const { denial, changes } = this.#scan;
    if (denial !== undefined) return refusal(frame, denial.code, denial.message);
    if (changes <= maxChanges) return undefined;
    return refusal(frame, 'payload_too_large', `the batch has ${changes} changes; ${maxChanges} are allowed`);
  }

  #count(bytes: number): void {
    this.#expandedBytes += bytes;
    if (this.#isRenewing) return;
    this.#isRenewing = true;
    this.#clock.defer(this.#renew);
  }

  /** A new turn. Who has used up its room waits again, behind the others. */
  readonly #renew = (): void => {
    this.#isRenewing = false;
    this.#expandedBytes = 0;
    for (let left = this.#waiters.length; left > 0 && this.#expandedBytes < this.#maxBytes; left--) this.#waiters.shift()!();
    if (this.#waiters.length === 0 || this.#isRenewing) return;
    this.#isRenewing = true;
    this.#clock.defer(this.#renew);
  };
}

function refusal(frame: Frame, code: string, message: string): Buffer {
  const payload = encodeRefusal({ code, message });
  const bytes = Buffer.allocUnsafeSlow(HEADER_BYTES + payload.length);
  bytes.set(frame.bytes.subarray(0, HEADER_BYTES), 0);
  bytes.set(payload, HEADER_BYTES);
  return bytes;
}
