import { strict as assert } from 'node:assert';
import { encodeFrame, FRAME, type FrameFields } from '../../src/protocol/frame.ts';
import { encodeCredit, encodeError, encodeGoaway, encodeRejected, encodeRewind, encodeWelcome } from '../../src/protocol/messages.ts';
import { ERRORS, type ErrorCode, type SyncError } from '../../src/core/errors.ts';
import { type ClientWorld, seededRandom, startClient } from '../support/client-world.ts';
import { type FakeLink, placeOf, WELCOME } from '../support/fake-network.ts';
import type { SeededRandom } from '../support/seeded-random.ts';
import type { Place } from '../../src/core/stream.ts';
import type { FuzzCase } from './fuzz-case.ts';
import { framesOf } from './frames-of.ts';
import { mutateFrame, mutateHeader, mutatePayload } from './mutations.ts';

const ROWS = 12;
const CODES = Object.keys(ERRORS) as ErrorCode[];
/** After these the client is right to stay away, or to wait for somebody. */
const FINAL =
  /^(wrong_producer|stream_taken_over|stream_owned_by_other|auth_failed|unsupported_version|sink_regressed|stream_expired|queue_mismatch|bad_)/;
/** However long it keeps away by itself. */
const MAX_BACKOFF_MS = 120_000;

/** A server that knows the protocol and breaks it, and a client that must neither fall over nor forget what is not applied. */
export class ClientCase implements FuzzCase {
  readonly #random: SeededRandom;
  #sent: Buffer[] = [];
  /** By partition, the frames that the client sent, in whatever stream. */
  readonly #places = new Map<number, Place[]>();
  /** By partition and seq; a stream that goes on with the same frames from the first on has the same crcs. */
  readonly #crcs = new Map<string, number>();
  /** By stream and partition, the highest APPLIED that reached the client whole. */
  readonly #told = new Map<string, number>();
  accepted = 0;
  connections = 0;

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  get sent(): string {
    return Buffer.concat(this.#sent).toString('hex');
  }

  async run(inputs: number): Promise<void> {
    const world = await startClient({ batchBytes: 100, random: seededRandom(this.#random.below(1 << 30)) });
    const cities = world.client.table('cities', { key: ['id'] });
    // Not before the first WELCOME does it know where they belong.
    for (let id = 1; id <= ROWS; id++) void cities.upsert({ id, name: 'x'.repeat(this.#random.below(120)) }).catch(() => {});
    let left = inputs;
    while (left > 0) left = await this.#connection(world, left);
    await this.#checkGoesOn(world);
  }

  async #connection(world: ClientWorld, inputs: number): Promise<number> {
    this.connections++;
    this.#sent = [];
    const link = await dialled(world);
    // It keeps away because of what it was told.
    if (link === undefined) return 0;
    if (this.#random.chance(0.9)) this.#send(link, this.#frame({ type: FRAME.welcome, payload: encodeWelcome(WELCOME) }, 0.2));
    let left = inputs;
    for (; left > 0 && !link.isClosed; left--) {
      this.#note(link);
      this.#send(link, this.#next());
      if (this.#random.chance(0.3)) await world.clock.settle();
    }
    await world.clock.settle();
    if (!link.isClosed) link.drop();
    this.#checkForgotten(link);
    for (const { type, partition, seq } of framesOf(Buffer.concat(this.#sent), WELCOME.maxFrameBytes, this.#random)) {
      if (type === FRAME.applied) this.#noteTold(link, partition, seq);
    }
    return left;
  }

  #noteTold({ hello }: FakeLink, partition: number, seq: number): void {
    const lane = `${hello?.stream} ${partition}`;
    this.#told.set(lane, Math.max(seq, this.#told.get(lane) ?? 0));
  }

  /** A client no longer holds what it was told is applied, and nothing else. */
  #checkForgotten({ hello }: FakeLink): void {
    for (const [partition, oldest] of hello?.oldest ?? []) {
      const told = this.#told.get(`${hello?.stream} ${partition}`) ?? 0;
      assert(oldest - 1 <= told, `the client forgot ${told + 1} to ${oldest - 1} of partition ${partition}, which were never applied`);
    }
  }

  #send(link: FakeLink, bytes: Buffer): void {
    this.#sent.push(bytes);
    link.sendBytes(bytes);
  }

  #note(link: FakeLink): void {
    for (const frame of link.batches()) {
      const places = this.#places.get(frame.partition) ?? [];
      this.#places.set(frame.partition, [...places, placeOf(frame)]);
      this.#crcs.set(`${frame.partition} ${frame.seq}`, frame.crc);
    }
  }

  #next(): Buffer {
    const random = this.#random;
    const partition = random.below(WELCOME.partitions);
    const places = this.#places.get(partition) ?? [];
    const place = places.length > 0 && random.chance(0.8) ? random.pick(places) : { seq: random.below(5), crc: random.below(2 ** 32) };
    const { seq, crc: prev } = place;
    const kinds: readonly (() => FrameFields)[] = [
      () => ({ type: FRAME.stored, partition, seq, prev }),
      () => ({ type: FRAME.applied, partition, seq, prev }),
      () => ({ type: FRAME.rewind, partition, seq: Math.max(1, seq), payload: encodeRewind({ reason: 'fuzz' }) }),
      () => ({
        type: FRAME.rejected,
        partition,
        seq: Math.max(1, seq),
        payload: encodeRejected({
          sink: 'main',
          code: random.pick(CODES),
          message: 'fuzz',
          changes: random.chance(0.5) ? [] : [random.below(4)],
        }),
      }),
      () => ({ type: FRAME.credit, payload: encodeCredit({ bytes: random.chance(0.3) ? 0 : random.below(1 << 24) }) }),
      () => ({ type: FRAME.ping, payload: Buffer.alloc(random.below(65)) }),
      () => ({ type: FRAME.goaway, payload: encodeGoaway({ reason: 'fuzz', retryAfterMs: random.below(1000) }) }),
      () => ({ type: FRAME.error, payload: encodeError({ code: random.pick(CODES), message: 'fuzz' }) }),
      () => ({ type: FRAME.batch, partition, seq: 1 }),
      () => ({ type: FRAME.welcome, payload: encodeWelcome({ ...WELCOME, stored: new Map([[partition, place]]) }) }),
    ];
    return this.#frame(random.pick(kinds.slice(0, random.chance(0.1) ? kinds.length : 6))(), 0.4);
  }

  /** Now and then something is wrong with it. */
  #frame(fields: FrameFields, wrong: number): Buffer {
    const random = this.#random;
    const good = Buffer.from(encodeFrame(fields));
    if (!random.chance(wrong)) return good;
    const { payload } = fields;
    if (payload !== undefined && random.chance(0.6)) {
      return Buffer.from(encodeFrame({ ...fields, payload: mutatePayload(Buffer.from(payload), random, good) }));
    }
    return random.chance(0.7) ? mutateHeader(good, random) : mutateFrame(good, random, good);
  }

  /** What a server has that applied what the client no longer holds. */
  #appliedOf({ hello }: FakeLink): Map<number, Place> {
    const applied = new Map<number, Place>();
    for (const [partition, oldest] of hello?.oldest ?? []) {
      const crc = this.#crcs.get(`${partition} ${oldest - 1}`);
      if (crc !== undefined) applied.set(partition, { seq: oldest - 1, crc });
    }
    return applied;
  }

  /** A good server gets everything that is not applied, unless the client was told to stay away. */
  async #checkGoesOn(world: ClientWorld): Promise<void> {
    for (let tries = 0; tries < 10 && world.client.status().pendingChanges > 0; tries++) {
      const link = await dialled(world);
      if (link === undefined) {
        const { failure } = world.client.status();
        const told = world.events.some(
          ({ name, event }) => (name === 'error' || name === 'regressed') && FINAL.test((event as SyncError).code),
        );
        assert(failure === undefined || FINAL.test(failure.code), `the client has stopped: ${failure?.code}`);
        assert(told || failure !== undefined, 'the client does not come back, and nothing told it to stay away');
        return;
      }
      this.#checkForgotten(link);
      const applied = this.#appliedOf(link);
      link.welcome({ stored: applied });
      for (const [partition, place] of applied) link.applied(partition, place);
      for (let turns = 0; turns < 5 && !link.isClosed; turns++) {
        await world.clock.advance(1_000);
        for (const frame of link.batches()) {
          this.accepted++;
          this.#crcs.set(`${frame.partition} ${frame.seq}`, frame.crc);
          link.stored(frame.partition, placeOf(frame));
          this.#noteTold(link, frame.partition, frame.seq);
          link.applied(frame.partition, placeOf(frame));
        }
      }
      if (!link.isClosed) link.drop();
    }
    const { pendingChanges } = world.client.status();
    assert(pendingChanges === 0, `${pendingChanges} changes are held back from a server that takes them`);
  }
}

/** The connection that the client makes next; undefined when it does not for long. */
async function dialled({ clock, network }: ClientWorld): Promise<FakeLink | undefined> {
  for (let waitedMs = 0; waitedMs <= MAX_BACKOFF_MS; waitedMs += 10_000) {
    const link = network.links.at(-1);
    if (link !== undefined && !link.isClosed) return link;
    await clock.advance(waitedMs === 0 ? 2_000 : 10_000);
  }
  return undefined;
}
