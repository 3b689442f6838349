import type { Lease } from '../core/lease.ts';
import { START, type Place, type StreamId } from '../core/stream.ts';
import type { Queue } from '../queue/queue.ts';
import type { Sink } from '../sinks/sink.ts';

/**
 * Sets streams back whose elements the queue has lost, so that their clients are asked to send again, and tells whether there
 * were any. Runs in the partition's turn, when no slice of this node is in flight: the watermarks it reads are the newest.
 */
export async function healPartition(
  queue: Pick<Queue, 'streams' | 'heal'>,
  sink: Pick<Sink, 'readWatermarks'>,
  lease: Lease,
): Promise<'intact' | 'lost'> {
  const recorded = await queue.streams(lease.partition);
  if (recorded.size === 0) return 'intact';
  const watermarks = await sink.readWatermarks(lease.partition, [...recorded.keys()]);
  const places = new Map<StreamId, Place>();
  for (const [stream, stored] of recorded) {
    const watermark = watermarks.get(stream) ?? START;
    if (stored.seq > watermark.seq) places.set(stream, watermark);
  }
  if (places.size === 0) return 'intact';
  const healed = await queue.heal(lease, places);
  return healed.length === 0 ? 'intact' : 'lost';
}
