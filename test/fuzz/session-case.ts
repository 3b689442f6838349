import { strict as assert } from 'node:assert';
import { ERRORS, type ErrorCode } from '../../src/core/errors.ts';
import { encodeFrame, FRAME, HEADER_BYTES, readHeader } from '../../src/protocol/frame.ts';
import { decodeError } from '../../src/protocol/messages.ts';
import { createWorld, type TestPeer, type World } from '../support/ingest-world.ts';
import type { SeededRandom } from '../support/seeded-random.ts';
import { MAX_FRAME_BYTES, type FuzzCase } from './fuzz-case.ts';
import { framesOf } from './frames-of.ts';
import { HostileSender } from './hostile-sender.ts';
import { BOMBS, HEAVY } from './samples.ts';
import { checkPayload } from './payload-oracle.ts';

const TOKEN = 'token-of-shop';

/** A client's life, over as many connections as its mistakes cost it, with the sessions and the queue of a server. */
export class SessionCase implements FuzzCase {
  readonly #random: SeededRandom;
  readonly #sender: HostileSender;
  readonly #world: World;
  /** Of the connection that is open. */
  #sentBytes: Buffer[] = [];
  /** Whether an unfinished frame, or one that lies about its length, swallows what comes next. */
  #torn = false;
  /** Every whole frame that was sent on any connection. */
  readonly #frames = new Set<string>();
  accepted = 0;
  connections = 0;

  constructor(random: SeededRandom) {
    this.#random = random;
    this.#sender = new HostileSender(random, TOKEN, [...BOMBS, ...HEAVY]);
    this.#world = createWorld({ settings: { maxFrameBytes: MAX_FRAME_BYTES } });
  }

  get sent(): string {
    return Buffer.concat(this.#sentBytes).toString('hex');
  }

  async run(inputs: number): Promise<void> {
    let left = inputs;
    while (left > 0) left = await this.#connection(left);
    await this.#checkQueue();
    const internal = this.#world.logged.find(({ level }) => level === 'error');
    assert(internal === undefined, `the server logged an error: ${internal?.message}`);
    this.#world.sessions.close();
  }

  /** One connection, until it is closed or the inputs are used up; returns how many are left. */
  async #connection(inputs: number): Promise<number> {
    this.connections++;
    this.#sentBytes = [];
    this.#torn = false;
    const peer = this.#world.connect();
    if (this.#random.chance(0.95)) this.#send(peer, this.#sender.hello());
    await this.#world.clock.settle();
    this.#hear(peer);
    let left = inputs;
    while (left > 0 && !peer.isClosed) {
      for (let batch = 1 + this.#random.below(12); batch > 0 && left > 0; batch--, left--) {
        const { bytes, whole } = this.#sender.next();
        this.#torn ||= !whole;
        this.#send(peer, bytes);
      }
      await this.#world.clock.settle();
      this.#hear(peer);
    }
    this.#checkFrames();
    if (peer.isClosed) this.#checkEnd(peer);
    else await this.#checkGoesOn(peer);
    return left;
  }

  #send(peer: TestPeer, bytes: Buffer): void {
    this.#sentBytes.push(bytes);
    if (this.#random.chance(0.8)) return peer.sendBytes(bytes);
    const at = this.#random.below(bytes.length + 1);
    peer.sendBytes(bytes.subarray(0, at));
    peer.sendBytes(bytes.subarray(at));
  }

  #hear(peer: TestPeer): void {
    for (const frame of peer.frames) this.#sender.heard(frame);
  }

  /** A session that was closed has said why, in a code of the catalogue; only who says BYE is let go without. */
  #checkEnd(peer: TestPeer): void {
    const last = peer.frames.at(-1);
    if (last?.type === FRAME.error) {
      const { code } = decodeError(last.payload);
      assert(Object.hasOwn(ERRORS, code), `the session ended with ${code}, which nobody knows`);
      assert(ERRORS[code as ErrorCode].kind === 'connection' && code !== 'internal', `the session ended with ${code}`);
      return;
    }
    assert(this.#wasBye(), 'the session was closed without a word');
  }

  /** A session that is open answers, unless what it was sent last is not complete: then a deadline or the client ends it. */
  async #checkGoesOn(peer: TestPeer): Promise<void> {
    if (!this.#torn) {
      const before = peer.frames.length;
      peer.sendBytes(encodeFrame({ type: FRAME.ping, payload: Buffer.from('there?') }));
      await this.#world.clock.settle();
      const answers = peer.frames.slice(before);
      const answered = answers.some(({ type, payload }) => type === FRAME.pong && Buffer.from(payload).toString() === 'there?');
      const ended = answers.some(({ type }) => type === FRAME.error);
      assert(answered || ended || this.#wasBye(), 'the session neither goes on nor is closed');
    }
    peer.vanish();
    await this.#world.clock.settle();
  }

  #wasBye(): boolean {
    return framesOf(Buffer.concat(this.#sentBytes), MAX_FRAME_BYTES, this.#random).some(({ type }) => type === FRAME.bye);
  }

  /** What the decoder makes of the connection, whatever way its bytes are cut. */
  #checkFrames(): void {
    for (const frame of framesOf(Buffer.concat(this.#sentBytes), MAX_FRAME_BYTES, this.#random)) {
      this.#frames.add(latin(frame.bytes));
      if (frame.type !== FRAME.batch) continue;
      if (checkPayload(frame, MAX_FRAME_BYTES, this.#random) === 'accepted') this.accepted++;
    }
  }

  /** Everything that was stored was sent, each stream in its order and chained. */
  async #checkQueue(): Promise<void> {
    const { queue } = this.#world;
    for (let partition = 0; partition < queue.partitionCount; partition++) {
      let [seq, crc] = [0, 0];
      const elements = await queue.fetch('main', partition, { elements: 1_000, bytes: 1 << 26 });
      for (const { frame, kind, stream } of elements) {
        assert.equal(stream, this.#sender.stream, 'an element is of the stream that sent it');
        const header = readHeader(frame);
        assert.equal(header.seq, seq + 1, `partition ${partition}: the elements count without a gap`);
        assert.equal(header.prev, crc, `partition ${partition}: each element names the one before`);
        if (kind === 'frame') assert(this.#frames.has(latin(frame)), 'a frame was stored that nobody sent');
        else
          assert(
            [...this.#frames].some((sent) => sent.startsWith(latin(frame.subarray(0, HEADER_BYTES)))),
            'a refusal is of a frame that was sent',
          );
        [seq, crc] = [header.seq, header.crc];
      }
    }
  }
}

function latin(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}
