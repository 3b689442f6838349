// Hot path
import { SyncError } from '../core/errors.ts';
import { expandPayload } from '../protocol/batch.ts';
import { FLAG_ZSTD, type Frame, HEADER_BYTES } from '../protocol/frame.ts';
import { encodeRefusal } from '../protocol/messages.ts';
import { BatchScan } from '../protocol/scan.ts';

/** Looks through payloads before anything is stored or decoded: the only guard between a peer's bytes and the workers. */
export class PayloadCheck {
  readonly #scan = new BatchScan();
  readonly #maxBytes: number;

  /** `maxBytes` bounds the expanded payload. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /**
   * Undefined when the payload is a well-formed batch; else what is stored in the frame's place: its header, followed by
   * why it was refused. It is chained like the frame, so that the stream goes on behind it.
   */
  refusalOf(frame: Frame): Buffer | undefined {
    let payload = frame.payload;
    if ((frame.flags & FLAG_ZSTD) !== 0) {
      try {
        payload = expandPayload(frame, this.#maxBytes);
      } catch (error) {
        if (!(error instanceof SyncError)) throw error;
        return refusal(frame, error.code, error.message);
      }
    }
    return this.#scan.scan(payload) ? undefined : refusal(frame, 'malformed_payload', this.#scan.reason);
  }
}

function refusal(frame: Frame, code: string, message: string): Buffer {
  const payload = encodeRefusal({ code, message });
  const bytes = Buffer.allocUnsafeSlow(HEADER_BYTES + payload.length);
  bytes.set(frame.bytes.subarray(0, HEADER_BYTES), 0);
  bytes.set(payload, HEADER_BYTES);
  return bytes;
}
