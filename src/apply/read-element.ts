import type { Batch, ChangeGroup } from '../core/change.ts';
import type { ChangeFault } from '../core/errors.ts';
import { SyncError } from '../core/errors.ts';
import { partitionOf, type PartitionBy } from '../core/partition.ts';
import type { StreamId } from '../core/stream.ts';
import { decodeBatch } from '../protocol/batch.ts';
import { expandPayload } from '../protocol/expand-payload.ts';
import { HEADER_BYTES, readFrame, type Frame } from '../protocol/frame.ts';
import { decodeRefusal } from '../protocol/messages.ts';
import type { Element } from '../queue/queue.ts';

/** An element of the list with its payload decoded, before anyone knows whether its turn has come. */
export interface Item {
  readonly element: Element;
  readonly stream: StreamId;
  readonly seq: number;
  readonly prev: number;
  readonly crc: number;
  /** Of the payload once it is expanded. */
  readonly payloadBytes: number;
  readonly content: Content;
}

/**
 * - `batch`: changes to apply.
 * - `refused`: the whole batch is a dead letter: refused at the door, or not readable.
 * - `corrupt`: the frame is not the one that was sent; dropped, so that the client is asked again.
 * - `damaged`: nothing is known of the element, not even its stream; dropped, and the partition is healed.
 */
export type Content =
  | { readonly type: 'batch'; readonly batch: Batch }
  | { readonly type: 'refused'; readonly fault: ChangeFault; readonly payload: Uint8Array }
  | { readonly type: 'corrupt'; readonly reason: string }
  | { readonly type: 'damaged' };

/**
 * Reads an element's frame and checks its CRC once more: it has been in another program's memory since the door.
 * @throws {SyncError} `newer_format` for a frame that is whole and that a newer version let in.
 */
export function readElement(element: Element, maxBytes: number): Item {
  if (element.kind === 'damaged') return withoutFrame(element, { type: 'damaged' });
  if (element.kind === 'refusal') return readRefusal(element);
  let frame: Frame;
  try {
    frame = readFrame(element.frame);
  } catch (error) {
    if (!(error instanceof SyncError)) throw error;
    // It has its checksum, and no door of this version lets it in.
    if (error.code === 'bad_flags' || error.code === 'unknown_type')
      throw new SyncError('newer_format', `a stored frame is of a newer protocol: ${error.message}`);
    return corrupt(element, error.message);
  }
  const { seq, prev, crc } = frame;
  const place = { element, stream: element.stream, seq, prev, crc };
  try {
    const payload = expandPayload(frame, maxBytes);
    return { ...place, payloadBytes: payload.length, content: { type: 'batch', batch: decodeBatch(payload) } };
  } catch (error) {
    if (!(error instanceof SyncError)) throw error;
    const fault = { code: error.code, message: error.message };
    return { ...place, payloadBytes: frame.payload.length, content: { type: 'refused', fault, payload: frame.payload } };
  }
}

/** A refusal keeps the header of the frame that was refused, so that the chain goes on. */
function readRefusal(element: Element): Item {
  const bytes = Buffer.from(element.frame.buffer, element.frame.byteOffset, element.frame.byteLength);
  if (bytes.length < HEADER_BYTES) return corrupt(element, 'a refusal is shorter than a frame header');
  const payload = bytes.subarray(HEADER_BYTES);
  try {
    const fault = decodeRefusal(payload);
    return {
      element,
      stream: element.stream,
      seq: Number(bytes.readBigUInt64BE(8)),
      prev: bytes.readUInt32BE(16),
      crc: bytes.readUInt32BE(20),
      payloadBytes: payload.length,
      content: { type: 'refused', fault: { code: fault.code as ChangeFault['code'], message: fault.message }, payload },
    };
  } catch (error) {
    if (!(error instanceof SyncError)) throw error;
    return corrupt(element, error.message);
  }
}

function corrupt(element: Element, reason: string): Item {
  return withoutFrame(element, { type: 'corrupt', reason });
}

function withoutFrame(element: Element, content: Content): Item {
  return { element, stream: element.stream, seq: 0, prev: 0, crc: 0, payloadBytes: 0, content };
}

/**
 * Checks that the first row of a group belongs in `partition`; a producer that hashes otherwise would break the order
 * of a key. Groups that lack a `partitionBy` column (deletes by key) cannot be checked.
 */
export function partitionFault(
  group: ChangeGroup,
  partition: number,
  partitionCount: number,
  partitionBy: PartitionBy | undefined,
): ChangeFault | undefined {
  const row = group.rows[0];
  if (row === undefined) return undefined;
  const values = [];
  if (partitionBy === undefined) {
    for (let i = 0; i < group.keyCount; i++) values.push(row[i] ?? null);
  } else {
    for (const column of partitionBy.columns) {
      const at = group.columns.indexOf(column);
      if (at < 0) return undefined;
      values.push(row[at] ?? null);
    }
  }
  let expected: number;
  try {
    expected = partitionOf(partitionBy?.group ?? group.table, values, partitionCount);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return { code: 'wrong_type', message: `table ${group.table}: ${error.message}` };
  }
  if (expected === partition) return undefined;
  return {
    code: 'wrong_partition',
    message: `table ${group.table}: the row belongs in partition ${expected} of ${partitionCount}, but came in partition ${partition}; hash it as docs/protocol.md says`,
  };
}
