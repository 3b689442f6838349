import { systemClock } from '../../src/core/clock.ts';
import { systemRandom } from '../../src/core/random.ts';
import { Appender, type Submitter } from '../../src/ingest/appender.ts';
import { FrameDecoder } from '../../src/protocol/frame-decoder.ts';
import { DEFAULT_MAX_FRAME_BYTES } from '../../src/protocol/frame.ts';
import { createMemoryQueue } from '../../src/queue/memory.ts';
import type { AppendEntry } from '../../src/queue/queue.ts';
import { APART_LIMITS, packEntries } from '../../src/queue/redis/pack.ts';
import type { Micro } from './micro.ts';
import { batchOf, sampleItems, STREAM, tapeOf } from './samples.ts';

const FRAMES = 1_000;

export const append: Micro = {
  name: 'append',
  title: 'frames on their way to the queue (src/ingest/appender.ts, src/queue/redis/pack.ts)',
  cases() {
    const entries = entriesOf();
    return [
      { name: 'packed for the script of Redis', unit: 'frame', count: FRAMES, run: () => packEntries(entries, systemRandom, APART_LIMITS) },
      { name: 'through the appender to a queue in memory', unit: 'frame', count: FRAMES, run: () => appendAll(entries) },
    ];
  },
};

/** Frames of one change each, as a session submits them. */
function entriesOf(): AppendEntry[] {
  const decoder = new FrameDecoder(DEFAULT_MAX_FRAME_BYTES);
  decoder.push(tapeOf(batchOf(sampleItems().slice(0, 1)), FRAMES).bytes);
  return Array.from({ length: FRAMES }, () => {
    const { seq, prev, crc, bytes } = decoder.next() as NonNullable<ReturnType<FrameDecoder['next']>>;
    return { stream: STREAM, producer: 'bench', seq, prev, crc, frame: bytes, kind: 'frame' };
  });
}

/** Through an appender of its own, so that nothing grows from round to round. */
async function appendAll(entries: readonly AppendEntry[]): Promise<void> {
  const settings = { partitions: 1, sinks: [{ name: 'main', required: true }], mapping: '' };
  const queue = createMemoryQueue(settings, { clock: systemClock, random: systemRandom });
  const appender = new Appender({
    queue,
    clock: systemClock,
    random: systemRandom,
    log: console,
    maxInFlightBytes: Number.MAX_SAFE_INTEGER,
    onStored: () => {},
  });
  await new Promise<void>((resolve) => {
    let judged = 0;
    const submitter: Submitter = {
      gone: false,
      judged: (_partition, _entry, { verdict }) => {
        if (verdict !== 'append') throw new Error(`a frame was judged ${verdict}`);
        if (++judged === entries.length) resolve();
      },
      roomFound: () => {},
    };
    for (const entry of entries) appender.submit(0, entry, submitter);
  });
  appender.close();
  await queue.close();
}
