import { afterEach, describe, expect, test } from 'vitest';
import type { Spool, SpooledFrame } from '../../src/client/spool.ts';
import type { Place } from '../../src/core/stream.ts';
import { FrameChain, heldOf } from '../support/frame-chain.ts';
import { SeededRandom } from '../support/seeded-random.ts';

/** Where a spool keeps what it has. */
export interface SpoolPlace {
  /** Opens it, also again after what was opened before is closed. */
  open(): Promise<Spool>;
}

const STREAM = '00112233445566778899aabbccddeeff';
const OTHER = 'ffeeddccbbaa99887766554433221100';

/** What every spool must do; `newPlace` gives an empty one. */
export function describeNewSpool(name: string, newPlace: () => Promise<SpoolPlace>): void {
  describe(`${name} that is new`, () => {
    test('holds nothing, and takes frames, marks, notes and new streams', async () => {
      const spool = await (await newPlace()).open();
      expect(spool.restored).toEqual({ stream: undefined, assigned: new Map(), held: [], left: [], note: undefined });
      const chain = new FrameChain(1);
      await spool.reset(STREAM, [], []);
      await spool.append(chain.next(3));
      spool.applied(1, chain.place(2));
      await spool.remember('a note');
      await spool.append(chain.next(1));
      await spool.reset(OTHER, new FrameChain(2).next(2), []);
      await spool.append(new FrameChain(3).next(1));
      await spool.close();
      await spool.close();
    });
  });
}

/** What every spool that survives its client must do besides. */
export function describeSpool(name: string, newPlace: () => Promise<SpoolPlace>): void {
  describeNewSpool(name, newPlace);

  describe(`${name} that is opened again`, () => {
    const opened: Spool[] = [];
    afterEach(async () => {
      for (const spool of opened.splice(0)) await spool.close();
    });
    const open = async (place: SpoolPlace) => {
      const spool = await place.open();
      opened.push(spool);
      return spool;
    };

    test('has the streams that were left', async () => {
      const place = await newPlace();
      const spool = await open(place);
      await spool.reset(STREAM, [], []);
      await spool.reset(OTHER, [], [STREAM]);
      await spool.close();
      expect((await open(place)).restored).toMatchObject({ stream: OTHER, left: [STREAM] });
    });

    test('has the stream, the note, the frames byte for byte, and what was assigned', async () => {
      const place = await newPlace();
      const spool = await open(place);
      const [one, two] = [new FrameChain(1), new FrameChain(250)];
      await spool.reset(STREAM, [], []);
      await spool.remember('{"a":"note"}');
      await spool.append([...one.next(2), ...two.next(1)]);
      await spool.append(one.next(1));
      await spool.close();
      const again = await open(place);
      expect(again.restored.stream).toBe(STREAM);
      expect(again.restored.note).toBe('{"a":"note"}');
      expect(again.restored.assigned).toEqual(
        new Map([
          [1, one.place(3)],
          [250, two.place(1)],
        ]),
      );
      // In the order in which they were made.
      expect(heldOf(again)).toEqual(['1:1', '1:2', '250:1', '1:3']);
      const expected = [...one.frames.slice(0, 2), ...two.frames, ...one.frames.slice(2)];
      expect(again.restored.held.map((frame) => Buffer.from(frame.bytes).toString('hex'))).toEqual(
        expected.map((frame) => Buffer.from(frame.bytes).toString('hex')),
      );
      expect(again.restored.held.map((frame) => frame.crc)).toEqual(expected.map((frame) => frame.crc));
    });

    test('has forgotten what was applied, but not what was assigned', async () => {
      const place = await newPlace();
      const spool = await open(place);
      const chain = new FrameChain(0);
      await spool.reset(STREAM, [], []);
      await spool.append(chain.next(5));
      spool.applied(0, chain.place(3));
      await spool.close();
      const again = await open(place);
      expect(heldOf(again)).toEqual(['0:4', '0:5']);
      again.applied(0, chain.place(5));
      await again.close();
      const last = await open(place);
      expect(heldOf(last)).toEqual([]);
      expect(last.restored.assigned).toEqual(new Map([[0, chain.place(5)]]));
    });

    test('has only the new stream after a reset, and still its note', async () => {
      const place = await newPlace();
      const spool = await open(place);
      await spool.reset(STREAM, [], []);
      await spool.remember('kept');
      await spool.append(new FrameChain(0).next(4));
      const chain = new FrameChain(7);
      await spool.reset(OTHER, chain.next(2), []);
      await spool.append(chain.next(1));
      await spool.close();
      const again = await open(place);
      expect(again.restored.stream).toBe(OTHER);
      expect(again.restored.note).toBe('kept');
      expect(heldOf(again)).toEqual(['7:1', '7:2', '7:3']);
      expect(again.restored.assigned).toEqual(new Map([[7, chain.place(3)]]));
    });

    test('deletes nothing of a new stream for what was applied of the one before', async () => {
      const place = await newPlace();
      const spool = await open(place);
      const before = new FrameChain(0);
      await spool.reset(STREAM, [], []);
      await spool.append(before.next(4));
      spool.applied(0, before.place(3));
      await spool.reset(OTHER, new FrameChain(0).next(4), []);
      await spool.close();
      expect(heldOf(await open(place))).toEqual(['0:1', '0:2', '0:3', '0:4']);
    });

    test('is refused while another client uses it', async () => {
      const place = await newPlace();
      await open(place);
      await expect(place.open()).rejects.toMatchObject({ code: 'spool_locked' });
    });

    test.each([1, 2, 3])('has what a spool in memory has, whatever was asked for before (seed %i)', async (seed) => {
      const random = new SeededRandom(seed);
      const place = await newPlace();
      let spool = await open(place);
      let model = new Model();
      let chains: FrameChain[] = [];
      const begin = async (stream: string, frames: number) => {
        chains = Array.from({ length: 3 }, (_, partition) => new FrameChain(partition, 1 + random.below(60)));
        const held = chains[0]!.next(frames);
        const left = random.chance(0.5) ? [OTHER] : [];
        model = model.reset(stream, held, left);
        await spool.reset(stream, held, left);
      };
      await begin(STREAM, 0);
      for (let step = 0; step < 60; step++) {
        const chain = random.pick(chains);
        const kind = random.below(10);
        if (kind < 5) {
          const frames = [...chain.next(1 + random.below(3)), ...random.pick(chains).next(1)];
          model.append(frames);
          await spool.append(frames);
        } else if (kind < 8 && chain.frames.length > 0) {
          const seq = 1 + random.below(chain.frames.length);
          if (seq <= model.appliedSeq(chain.partition)) continue;
          model.applied(chain.partition, seq);
          spool.applied(chain.partition, chain.place(seq));
        } else if (kind === 8) {
          await begin(step % 2 === 0 ? OTHER : STREAM, random.below(3));
        } else {
          model.note = `note ${step}`;
          await spool.remember(model.note);
        }
        if (!random.chance(0.2)) continue;
        await spool.close();
        spool = await open(place);
        expect({ ...spool.restored, held: heldOf(spool) }).toEqual(model.state());
      }
    });
  });
}

class Model {
  note: string | undefined;
  #stream: string | undefined;
  #left: readonly string[] = [];
  #held: SpooledFrame[] = [];
  readonly #assigned = new Map<number, Place>();
  readonly #applied = new Map<number, number>();

  reset(stream: string, frames: readonly SpooledFrame[], left: readonly string[]): Model {
    const next = new Model();
    next.#left = left;
    next.note = this.note;
    next.#stream = stream;
    next.append(frames);
    return next;
  }

  append(frames: readonly SpooledFrame[]): void {
    for (const frame of frames) {
      this.#held.push(frame);
      this.#assigned.set(frame.partition, { seq: frame.seq, crc: frame.crc });
    }
  }

  appliedSeq(partition: number): number {
    return this.#applied.get(partition) ?? 0;
  }

  applied(partition: number, seq: number): void {
    this.#applied.set(partition, seq);
    this.#held = this.#held.filter((frame) => frame.partition !== partition || frame.seq > seq);
  }

  state() {
    const held = this.#held.map(({ partition, seq }) => `${partition}:${seq}`);
    return { stream: this.#stream, left: this.#left, note: this.note, assigned: this.#assigned, held };
  }
}
