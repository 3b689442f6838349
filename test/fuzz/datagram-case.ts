import { strict as assert } from 'node:assert';
import { crc32 } from 'node:zlib';
import { SyncError } from '../../src/core/errors.ts';
import { Datagrams } from '../../src/ingest/datagrams.ts';
import { encodeFrame, FLAG_ZSTD, FRAME, HEADER_BYTES, readFrame } from '../../src/protocol/frame.ts';
import { type Datagram, readDatagram } from '../../src/protocol/datagram.ts';
import type { SeededRandom } from '../support/seeded-random.ts';
import { VirtualClock } from '../support/virtual-clock.ts';
import { type FuzzCase, MAX_FRAME_BYTES } from './fuzz-case.ts';
import { mutateFrame, mutateHeader, mutatePayload } from './mutations.ts';
import { checkPayload } from './payload-oracle.ts';
import { GOOD } from './samples.ts';

const TOKENS = ['token-of-shop', 'token-of-crm', '', 'x'.repeat(200)];
const PLAIN = GOOD.filter(({ zstd }) => !zstd);

/** Datagrams that are right, nearly right and wrong: what is taken was a batch with a token that is known. */
export class DatagramCase implements FuzzCase {
  readonly #random: SeededRandom;
  readonly #door: Datagrams;
  #written = 0;
  #last: Buffer = Buffer.alloc(0);
  #before: Buffer = Buffer.from(encodeFrame({ type: FRAME.ping }));
  accepted = 0;
  connections = 0;

  constructor(random: SeededRandom) {
    this.#random = random;
    const settings = { maxDatagramBytes: MAX_FRAME_BYTES, datagramsPerSecond: 1e9, datagramsPerSecondPerAddress: 1e9 };
    const write = (producer: string) => {
      assert.equal(producer, 'shop', 'only a producer whose token came may write');
      this.#written++;
      return true;
    };
    const producerOf = (token: string) => (token === TOKENS[0] ? 'shop' : undefined);
    this.#door = new Datagrams({ clock: new VirtualClock(), isOpen: () => true, producerOf, writer: { write } }, settings);
  }

  get sent(): string {
    return this.#last.toString('hex');
  }

  run(inputs: number): void {
    for (let i = 0; i < inputs; i++) {
      const { bytes, isGood } = this.#next();
      this.#last = bytes;
      this.connections++;
      this.#before = bytes;
      const before = this.#written;
      const outcome = this.#door.take(Buffer.from(bytes), '10.0.0.1');
      assert.equal(this.#written - before, outcome === 'accepted' ? 1 : 0, 'what is taken is written once, and nothing else is');
      if (outcome === 'accepted') this.accepted++;
      if (isGood) assert.equal(outcome, 'accepted', 'a datagram that is right is taken');
      this.#checkAgainstFrames(outcome);
    }
  }

  /** The same changes in a frame of a connection are judged alike. */
  #checkAgainstFrames(outcome: string): void {
    let datagram: Datagram;
    try {
      datagram = readDatagram(Buffer.from(this.#last));
    } catch (error) {
      assert(error instanceof SyncError, 'what is no datagram is refused with a code');
      assert.equal(outcome, 'malformed');
      return;
    }
    const last = this.#last;
    assert.equal(
      crc32(last.subarray(HEADER_BYTES), crc32(last.subarray(4, 20))),
      last.readUInt32BE(20),
      'a datagram was read with a wrong checksum',
    );
    const { length } = datagram.payload;
    assert(length > 0 && length < this.#last.length - HEADER_BYTES, 'the payload lies within the datagram');
    if (datagram.token !== TOKENS[0]) return assert.equal(outcome, 'wrong_token');
    const frame = readFrame(encodeFrame({ type: FRAME.batch, seq: 1, payload: datagram.payload }));
    assert.equal(checkPayload(frame, MAX_FRAME_BYTES, this.#random) === 'accepted', outcome === 'accepted');
  }

  #next(): { readonly bytes: Buffer; readonly isGood: boolean } {
    const random = this.#random;
    const token = random.chance(0.7) ? (TOKENS[0] as string) : random.pick(TOKENS);
    const payload = withToken(token, random.pick(PLAIN).payload);
    const dice = random.fraction();
    if (dice < 0.2) return { bytes: batchOf(payload), isGood: token === TOKENS[0] };
    if (dice < 0.7) return { bytes: batchOf(mutatePayload(payload, random, this.#before)), isGood: false };
    const good = batchOf(payload);
    if (dice < 0.8) return { bytes: mutateHeader(good, random), isGood: false };
    if (dice < 0.85) return { bytes: batchOf(payload, FLAG_ZSTD), isGood: false };
    return { bytes: mutateFrame(good, random, this.#before), isGood: false };
  }
}

function batchOf(payload: Uint8Array, flags = 0): Buffer {
  return Buffer.from(encodeFrame({ type: FRAME.batch, flags, payload }));
}

/** A batch has at most three keys, so that its map has a short header. */
function withToken(token: string, batch: Buffer): Buffer {
  const bytes = Buffer.from(token);
  const head = bytes.length < 32 ? [0xa0 | bytes.length] : [0xd9, bytes.length];
  return Buffer.concat([Buffer.from([batch[0]! + 1, 0xa1, 0x6b, ...head]), bytes, batch.subarray(1)]);
}
