import { describe, expect, test } from 'vitest';
import type { StreamId } from '../../src/core/stream.ts';
import type { Sink } from '../../src/sinks/sink.ts';
import { beginIn } from '../support/one-partition.ts';

/** What the suite of a sink has for that of its fence. */
export interface FenceHarness {
  /** A new handle on the database, of the node with this incarnation. */
  open(incarnation: string): Promise<Sink>;
  newStream(): StreamId;
}

const FROZEN = '1'.repeat(32);
const OTHER = '2'.repeat(32);
const THIRD = '3'.repeat(32);

/** What every sink does that can end the connections of a node which stands still: {@link Sink.fence}. */
export function describeFence({ open, newStream }: FenceHarness): void {
  const begin = (sink: Sink, partition: number, stream: StreamId) => beginIn(sink, partition, [{ stream, producer: 'p' }]);
  const moved = (stream: StreamId, seq: number) => new Map([[stream, { seq, crc: seq }]]);

  describe('the fence', () => {
    test('ends the transactions of a node, however many: whoever waits for them goes on, and they cannot commit', async () => {
      const [frozen, successor] = [await open(FROZEN), await open(OTHER)];
      const stream = newStream();
      const zombies = [await begin(frozen, 1, stream), await begin(frozen, 2, stream)];
      const waiting = [1, 2].map(async (partition) => (await begin(successor, partition, stream)).commit(moved(stream, 1), []));
      expect(await successor.fence?.(FROZEN)).toBeGreaterThanOrEqual(zombies.length);
      await Promise.all(waiting);
      for (const zombie of zombies) await expect(zombie.commit(moved(stream, 7), [])).rejects.toMatchObject({ kind: 'transient' });
      for (const partition of [1, 2]) expect((await successor.readWatermarks(partition, [stream])).get(stream)).toEqual({ seq: 1, crc: 1 });
    });

    test('ends those of nobody else, and none where there are none', async () => {
      const [alive, other] = [await open(FROZEN), await open(OTHER)];
      const stream = newStream();
      const transactions = [await begin(alive, 1, stream), await begin(other, 2, stream)];
      expect(await (await open(OTHER)).fence?.(THIRD)).toBe(0);
      for (const transaction of transactions) await transaction.commit(moved(stream, 1), []);
      const { watermarks } = await other.readStream(stream);
      expect([watermarks.get(1)?.seq, watermarks.get(2)?.seq]).toEqual([1, 1]);
    });

    test('keeps out nobody: a node that goes on connects anew, and can be ended again', async () => {
      const [frozen, successor] = [await open(FROZEN), await open(OTHER)];
      const stream = newStream();
      for (let seq = 1; seq <= 2; seq++) {
        const zombie = await begin(frozen, 1, stream);
        expect(zombie.watermarks.get(stream)?.seq).toBe(2 * (seq - 1));
        expect(await successor.fence?.(FROZEN)).toBeGreaterThanOrEqual(1);
        await expect(zombie.commit(moved(stream, 9), [])).rejects.toMatchObject({ kind: 'transient' });
        await (await begin(successor, 1, stream)).commit(moved(stream, 2 * seq - 1), []);
        const again = await begin(frozen, 1, stream);
        expect(again.watermarks.get(stream)?.seq).toBe(2 * seq - 1);
        await again.commit(moved(stream, 2 * seq), []);
      }
    });
  });
}
