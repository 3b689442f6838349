import { START, type Place, type StreamId } from '../../src/core/stream.ts';
import { encodeFrame, FLAG_ZSTD, FRAME, type Frame } from '../../src/protocol/frame.ts';
import { encodeHello } from '../../src/protocol/messages.ts';
import type { SeededRandom } from '../support/seeded-random.ts';
import { mutateFrame, mutateHeader, mutatePayload } from './mutations.ts';
import { BOMBS, GOOD, type Sample } from './samples.ts';

/** Nobody's but the fuzz's own: what is ended stays so. */
const LEFT = 'f'.repeat(32);
const PARTITIONS = 4;
/** They take long to look through. */
const BOMBS_OF_ALL = 0.01;
const CLIENT_TYPES = [
  FRAME.batch,
  FRAME.ping,
  FRAME.pong,
  FRAME.bye,
  FRAME.hello,
  FRAME.stored,
  FRAME.welcome,
  FRAME.error,
  0,
  14,
  0x10,
  0xff,
];

/** What one input is. `whole`: it is one frame that is right in itself, so that whatever follows is read from its end on. */
export interface Input {
  readonly bytes: Buffer;
  readonly whole: boolean;
  /** It is a BATCH with this payload, and nothing was done to it. */
  readonly sample?: Sample;
}

/**
 * A client that knows the protocol and breaks it: what it sends next continues its stream where the server is, so that
 * what is wrong gets as deep as it can. Its seed and what it hears decide everything.
 */
export class HostileSender {
  readonly #random: SeededRandom;
  readonly #token: string;
  readonly #bombs: readonly Sample[];
  readonly #stored = new Map<number, Place>();
  readonly stream: StreamId;
  /** The last frame that was right: for splices and repeats. */
  #before: Buffer = Buffer.from(encodeFrame({ type: FRAME.ping }));

  /** `bombs` is what it sends now and then. */
  constructor(random: SeededRandom, token: string, bombs: readonly Sample[] = BOMBS) {
    this.#bombs = bombs;
    this.#random = random;
    this.#token = token;
    this.stream = Array.from({ length: 32 }, () => random.below(16).toString(16)).join('');
  }

  /** A HELLO that is right. */
  hello(): Buffer {
    const oldest = new Map([...this.#stored].map(([partition]) => [partition, 1]));
    const left = this.#random.chance(0.1) ? [LEFT] : [];
    return Buffer.from(
      encodeFrame({
        type: FRAME.hello,
        payload: encodeHello({ v: 1, token: this.#token, stream: this.stream, oldest, agent: 'fuzz', left }),
      }),
    );
  }

  /** What the server said about the stream. */
  heard({ type, partition, seq, prev }: Frame): void {
    if (type === FRAME.stored || type === FRAME.applied) this.#stored.set(partition, { seq, crc: prev });
  }

  next(): Input {
    const random = this.#random;
    const dice = random.fraction();
    if (dice < 0.35) return { bytes: this.#mutatedBatch(), whole: true };
    if (dice < 0.4) return { bytes: mutateHeader(this.hello(), random), whole: true };
    if (dice < 0.45) return { bytes: this.#small(), whole: true };
    const before = this.#before;
    // The same again, or what the server does not expect yet.
    if (dice < 0.5) return { bytes: before, whole: true };
    const sample = random.pick(random.chance(BOMBS_OF_ALL) ? this.#bombs : GOOD);
    const good = this.#frame(sample.payload, sample.zstd);
    this.#before = good;
    if (dice < 0.7) return { bytes: good, whole: true, sample };
    if (dice < 0.8) return { bytes: mutateHeader(good, random), whole: true };
    return { bytes: mutateFrame(good, random, before), whole: false };
  }

  #mutatedBatch(): Buffer {
    const random = this.#random;
    const { payload, zstd } = random.pick(GOOD);
    return this.#frame(mutatePayload(payload, random, random.pick(GOOD).payload), random.chance(0.05) ? !zstd : zstd);
  }

  /** Continues the stream in some partition. */
  #frame(payload: Buffer, zstd: boolean): Buffer {
    const partition = this.#random.below(PARTITIONS);
    const { seq, crc } = this.#stored.get(partition) ?? START;
    return Buffer.from(encodeFrame({ type: FRAME.batch, flags: zstd ? FLAG_ZSTD : 0, partition, seq: seq + 1, prev: crc, payload }));
  }

  #small(): Buffer {
    const random = this.#random;
    return Buffer.from(
      encodeFrame({
        type: random.pick(CLIENT_TYPES),
        payload: Buffer.alloc(random.below(70), random.below(256)),
        ...(random.chance(0.2) ? { seq: random.below(3), partition: random.below(300) } : {}),
      }),
    );
  }
}
