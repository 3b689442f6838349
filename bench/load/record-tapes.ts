import { randomBytes } from 'node:crypto';
import { partitionOf } from '../../src/core/partition.ts';
import { BatchBuilder } from '../../src/protocol/batch.ts';
import { changesOf, ITEM_COLUMNS, type Workload } from '../workload.ts';
import { type Tape, TapeWriter } from './tape.ts';

/** What is sent. */
export type Material =
  /** Upserts of items, in batches as the client SDK makes them by default, or each in a frame of its own. */
  | {
      readonly kind: 'items';
      readonly table: string;
      readonly workload: Workload;
      readonly batching: 'as the client' | 'none';
      /** Which connection sends a row: the one that has its partition, or all in turn. The latter for rows that come once, each in a frame of its own. */
      readonly spread?: 'by partition' | 'in turn';
    }
  /** Frames of one change with a blob, so that the payload has exactly `payloadBytes`. */
  | { readonly kind: 'blobs'; readonly frames: number; readonly payloadBytes: number };

/**
 * Encodes `material` as frames for several connections. A partition belongs to one connection, so that all changes of a
 * key keep their order.
 */
export function recordTapes(material: Material, partitions: number, connections: number): Tape[] {
  const blob = material.kind === 'blobs' ? blobFor(material.payloadBytes) : undefined;
  const writers = Array.from({ length: connections }, () => new TapeWriter(randomBytes(16).toString('hex'), blob));
  const inTurn = material.kind === 'items' && material.spread === 'in turn';
  let count = 0;
  const add = (partition: number, payload: Uint8Array) =>
    (writers[(inTurn ? count++ : partition) % connections] as TapeWriter).add(partition, payload);
  if (material.kind === 'items') recordItems(material, partitions, add);
  else recordBlobs(material, blob as Buffer, partitions, add);
  return writers.map((writer) => writer.finish());
}

type Add = (partition: number, payload: Uint8Array) => void;

/** The default of the client's `batchBytes`. */
const CLIENT_BATCH_BYTES = 64 * 1024;

function recordItems({ table, workload, batching }: Material & { kind: 'items' }, partitions: number, add: Add): void {
  const batchBytes = batching === 'none' ? 1 : CLIENT_BATCH_BYTES;
  const builders = Array.from({ length: partitions }, () => new BatchBuilder());
  for (const item of changesOf(workload)) {
    const partition = partitionOf(table, [item[0]], partitions);
    const builder = builders[partition] as BatchBuilder;
    builder.add(table, 'upsert', 1, ITEM_COLUMNS, item);
    if (builder.byteLength >= batchBytes) add(partition, builder.finish());
  }
  for (const [partition, builder] of builders.entries()) if (builder.count > 0) add(partition, builder.finish());
}

function recordBlobs({ frames }: Material & { kind: 'blobs' }, blob: Uint8Array, partitions: number, add: Add): void {
  const builder = new BatchBuilder();
  for (let id = FIRST_BLOB_ID; id < FIRST_BLOB_ID + frames; id++)
    add(partitionOf('blob', [id], partitions), blobPayload(builder, id, blob));
}

/** What makes a payload of so many bytes, and is its end. */
function blobFor(payloadBytes: number): Buffer {
  const builder = new BatchBuilder();
  let blob = randomBytes(payloadBytes);
  // Short and long blobs have headers of other lengths: what is too much is taken off.
  for (let excess; (excess = blobPayload(builder, FIRST_BLOB_ID, blob).length - payloadBytes) > 0 && blob.length > 0;) {
    blob = blob.subarray(0, Math.max(0, blob.length - excess));
  }
  return blob;
}

function blobPayload(builder: BatchBuilder, id: number, blob: Uint8Array): Uint8Array {
  builder.add('blob', 'upsert', 1, BLOB_COLUMNS, [id, blob]);
  return builder.finish();
}

const BLOB_COLUMNS = ['id', 'v'];
/** Ids that all take the same number of bytes. */
const FIRST_BLOB_ID = 100_000_000;
