import { expect, test } from 'vitest';
import { createWorld, FrameChain, PARTITIONS, STREAM, type TestPeer, type World } from '../../test/support/ingest-world.ts';
import { SeededRandom } from '../../test/support/seeded-random.ts';
import { type Place, START } from '../core/stream.ts';
import { FRAME, type Frame, readHeader } from '../protocol/frame.ts';
import { decodeCredit, decodeError, decodeWelcome } from '../protocol/messages.ts';

/*
 * A client and an applier that follow the rules of docs/protocol.md, sessions between them, and a world that loses,
 * delays and cuts at random. Whatever happened: once it stops, everything is applied, in order and exactly once, and
 * the server never asks for what it has told to be applied.
 */

/** Frames on their way in one direction, so that either side acts on what is no longer true. */
const WINDOW_FRAMES = 6;

class ModelClient {
  readonly chains = Array.from({ length: PARTITIONS }, (_, partition) => new FrameChain(partition, 0));
  readonly applied: number[] = Array.from({ length: PARTITIONS }, () => 0);
  readonly #sent: number[] = Array.from({ length: PARTITIONS }, () => 0);
  readonly #stored: number[] = Array.from({ length: PARTITIONS }, () => 0);
  readonly #world: World;
  #peer: TestPeer | undefined;
  #isOpen = false;
  #credit = 0;
  #wire: Uint8Array[] = [];

  constructor(world: World) {
    this.#world = world;
  }

  get isDone(): boolean {
    return this.chains.every(({ frames }, partition) => this.applied[partition] === frames.length);
  }

  /** What a HELLO says about the partitions used. */
  get #oldest(): Map<number, number> {
    return new Map(
      this.chains.flatMap(({ frames }, partition) => (frames.length === 0 ? [] : [[partition, this.applied[partition]! + 1] as const])),
    );
  }

  connect(): void {
    this.#isOpen = false;
    this.#wire = [];
    this.#peer = this.#world.connect();
    this.#peer.hello({ oldest: this.#oldest });
  }

  cut(): void {
    this.#peer?.vanish();
  }

  /** Reads some of what has come, sends some of what is due. */
  step(random: SeededRandom): void {
    const peer = this.#peer;
    if (peer === undefined || (peer.isClosed && peer.frames.length === 0)) return this.connect();
    const readCount = random.chance(0.7) ? peer.frames.length : random.below(peer.frames.length + 1);
    for (const frame of peer.frames.splice(0, readCount)) this.#read(frame, peer);
    if (this.#isOpen) this.#fillWire();
    const sendCount = random.chance(0.7) ? this.#wire.length : random.below(this.#wire.length + 1);
    if (sendCount > 0 && !peer.isClosed) peer.sendBytes(...this.#wire.splice(0, sendCount));
  }

  #fillWire(): void {
    for (const [partition, chain] of this.chains.entries()) {
      let sent = Math.max(this.#sent[partition]!, this.applied[partition]!);
      while (this.#credit > 0 && sent < chain.frames.length && sent - this.#stored[partition]! < WINDOW_FRAMES) {
        sent++;
        this.#wire.push(chain.bytes(sent));
      }
      this.#sent[partition] = sent;
    }
  }

  #read(frame: Frame, peer: TestPeer): void {
    const { type, partition, seq, prev } = frame;
    if (type === FRAME.ping) peer.send({ type: FRAME.pong, payload: frame.payload });
    else if (type === FRAME.credit) this.#credit = decodeCredit(frame.payload).bytes;
    else if (type === FRAME.error) expect(['stream_taken_over', 'heartbeat_lost']).toContain(decodeError(frame.payload).code);
    else if (type === FRAME.welcome) this.#welcomed(decodeWelcome(frame.payload).stored);
    else if (type === FRAME.stored) {
      expect(prev).toBe(this.chains[partition]!.place(seq).crc);
      this.#stored[partition] = Math.max(this.#stored[partition]!, seq);
    } else if (type === FRAME.applied) {
      expect(prev).toBe(this.chains[partition]!.place(seq).crc);
      expect(seq).toBeGreaterThanOrEqual(this.applied[partition]!);
      this.applied[partition] = seq;
      this.#stored[partition] = Math.max(this.#stored[partition]!, seq);
      this.#sent[partition] = Math.max(this.#sent[partition]!, seq);
    } else if (type === FRAME.rewind) {
      expect(seq, 'a REWIND below what was told to be applied').toBeGreaterThan(this.applied[partition]!);
      this.#stored[partition] = seq - 1;
      this.#sent[partition] = seq - 1;
      this.#wire = this.#wire.filter((bytes) => readHeader(bytes).partition !== partition);
    }
  }

  #welcomed(stored: ReadonlyMap<number, Place>): void {
    for (const partition of this.chains.keys()) {
      const place = stored.get(partition) ?? START;
      expect(place.seq, 'stored is at least what was told to be applied').toBeGreaterThanOrEqual(this.applied[partition]!);
      expect(place.crc).toBe(this.chains[partition]!.place(place.seq).crc);
      this.#stored[partition] = place.seq;
      this.#sent[partition] = place.seq;
    }
    this.#credit = 1;
    this.#isOpen = true;
  }
}

/** Applies elements by rules 7 and 8, in one transaction with the watermark; its news and its trims may get lost. */
class ModelApplier {
  readonly order: number[][] = Array.from({ length: PARTITIONS }, () => []);
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  async step(partition: number, random: SeededRandom): Promise<void> {
    const { queue, progress } = this.#world;
    if (progress.isAway) return;
    const lease = { sink: 'main', partition, token: 'token' };
    await queue.acquire(lease, 'node-1', 1_000_000, 'steal');
    const elements = await queue.fetch('main', partition, { elements: 1 + random.below(8), bytes: 1e6 });
    let place = progress.watermarks.get(partition) ?? START;
    let isGap = false;
    for (const { frame } of elements) {
      const { seq, prev, crc } = readHeader(frame);
      if (seq <= place.seq) continue;
      if (seq !== place.seq + 1 || prev !== place.crc) {
        isGap = true;
        continue;
      }
      place = { seq, crc };
      this.order[partition]!.push(seq);
    }
    if (place.seq > (progress.watermarks.get(partition)?.seq ?? 0)) {
      if (random.chance(0.7)) progress.commit(partition, place);
      else progress.commitElsewhere(partition, place);
    }
    if (elements.length === 0 || random.chance(0.2)) return;
    await queue.trim(lease, elements.length, elements.at(-1)!.identity, isGap ? [{ stream: STREAM, place }] : []);
  }

  async heal(partition: number): Promise<void> {
    const lease = { sink: 'main', partition, token: 'token' };
    await this.#world.queue.acquire(lease, 'node-1', 1_000_000, 'steal');
    await this.#world.queue.heal(lease, new Map([[STREAM, this.#world.progress.watermarks.get(partition) ?? START]]));
  }
}

async function harm(world: World, client: ModelClient, random: SeededRandom): Promise<void> {
  const { queue, progress } = world;
  const partition = random.below(PARTITIONS);
  switch (random.below(9)) {
    case 0:
      return queue.memory.wipe();
    case 1: {
      // The record ends earlier, in silence.
      const stored = (await queue.memory.streams(partition)).get(STREAM)?.seq ?? 0;
      const place = client.chains[partition]!.place(random.below(stored + 1));
      await queue.memory.forget(partition, [STREAM]);
      await queue.memory.raise([{ partition, stream: STREAM, producer: 'shop', place }]);
      return;
    }
    case 2: {
      // Elements are gone, the record stays.
      const lease = { sink: 'main', partition, token: 'token' };
      await queue.acquire(lease, 'node-1', 1_000_000, 'steal');
      const elements = await queue.fetch('main', partition, { elements: 1 + random.below(4), bytes: 1e6 });
      if (elements.length > 0) await queue.trim(lease, elements.length, elements.at(-1)!.identity, []);
      return;
    }
    case 3:
      progress.isAway = !progress.isAway;
      return;
    case 4:
      queue.fault = random.pick(['none', 'before', 'after']);
      return;
    case 5:
      return client.cut();
    case 6:
      return client.connect();
    case 7: {
      // Calls hang for a while.
      let opened = () => {};
      const gate = new Promise<void>((resolve) => void (opened = resolve));
      if (random.chance(0.5)) queue.gate = gate;
      else progress.gate = gate;
      world.clock.setTimer(random.below(3_000), () => {
        queue.gate = undefined;
        progress.gate = undefined;
        opened();
      });
      return;
    }
    default:
      return world.clock.advance(random.below(7_000));
  }
}

async function run(seed: number): Promise<void> {
  const random = new SeededRandom(seed);
  const world = createWorld();
  const client = new ModelClient(world);
  const applier = new ModelApplier(world);
  const step = async () => {
    client.step(random);
    await world.clock.advance(random.below(60));
    if (random.chance(0.6)) await applier.step(random.below(PARTITIONS), random);
    for (const partition of world.waiting.splice(0)) await applier.heal(partition);
  };
  for (let i = 0; i < 120; i++) {
    if (random.chance(0.3)) client.chains[random.below(PARTITIONS)]!.add();
    if (random.chance(0.12)) await harm(world, client, random);
    await step();
  }
  world.progress.isAway = false;
  world.queue.fault = 'none';
  const deadlineMs = world.clock.monotonicMs() + 60_000;
  while (!client.isDone && world.clock.monotonicMs() < deadlineMs) {
    await step();
    for (let partition = 0; partition < PARTITIONS; partition++) await applier.step(partition, random);
  }
  expect(client.applied, `seed ${seed}: applied of what was sent`).toEqual(client.chains.map(({ frames }) => frames.length));
  for (const [partition, order] of applier.order.entries()) expect(order).toEqual(client.chains[partition]!.frames.map((_, i) => i + 1));
  world.sessions.close();
  // Calls that still hang end first.
  await world.clock.advance(3_000);
  expect(world.clock.timerCount, `seed ${seed}: timers left behind`).toBe(0);
}

test('whatever is lost, cut and delayed, everything is applied once, in order, and nothing is asked for in vain', async () => {
  const seeds = Number(process.env['SEEDS'] ?? 40);
  for (let seed = 1; seed <= seeds; seed++) await run(seed);
});
