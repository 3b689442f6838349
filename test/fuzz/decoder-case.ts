import { FRAME } from '../../src/protocol/frame.ts';
import type { SeededRandom } from '../support/seeded-random.ts';
import { type FuzzCase, MAX_FRAME_BYTES } from './fuzz-case.ts';
import { framesOf } from './frames-of.ts';
import { HostileSender } from './hostile-sender.ts';
import { BOMBS, HEAVY } from './samples.ts';
import { checkPayload } from './payload-oracle.ts';

/** Inputs one by one, each the whole of what a connection brings, through the decoders of frames and of batches. */
export class DecoderCase implements FuzzCase {
  readonly #random: SeededRandom;
  readonly #sender: HostileSender;
  #last: Buffer = Buffer.alloc(0);
  accepted = 0;
  connections = 0;

  constructor(random: SeededRandom) {
    this.#random = random;
    this.#sender = new HostileSender(random, '', [...BOMBS, ...HEAVY]);
  }

  get sent(): string {
    return this.#last.toString('hex');
  }

  run(inputs: number): void {
    for (let i = 0; i < inputs; i++) {
      const { bytes, sample } = this.#sender.next();
      this.#last = bytes;
      this.connections++;
      for (const frame of framesOf(bytes, MAX_FRAME_BYTES, this.#random)) {
        if (frame.type !== FRAME.batch) continue;
        if (checkPayload(frame, MAX_FRAME_BYTES, this.#random, sample) === 'accepted') this.accepted++;
        this.#sender.heard({ ...frame, type: FRAME.stored, prev: frame.crc });
      }
    }
  }
}
