import { FLAG_ZSTD, type Frame } from './frame.ts';
import { expandZstd } from './zstd.ts';

/**
 * The payload of a BATCH as it was before compression; of an uncompressed one, the payload itself.
 * @throws {SyncError} `malformed_payload`, or `payload_too_large` when it expands beyond `maxBytes`.
 */
export function expandPayload(frame: Frame, maxBytes: number): Uint8Array {
  return (frame.flags & FLAG_ZSTD) === 0 ? frame.payload : expandZstd(frame.payload, maxBytes);
}
