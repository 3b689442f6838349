import { expect, test } from 'vitest';
import { apartOf, decodeElement, elementLength, FRAME_PLACE_BYTES, stampElement, writeElement } from '../element.ts';
import { QueueKeys } from './keys.ts';
import { fetchElements } from './redis-reader.ts';
import { loadScripts } from './scripts.ts';

const scripts = loadScripts();
const keys = new QueueKeys('test:');
const FRAME = Buffer.from('a frame that is kept apart');

/** An element whose frame is kept apart. */
function elementApart(ordinal: number): Buffer {
  const place = Buffer.alloc(FRAME_PLACE_BYTES);
  place.writeUInt32BE(FRAME.length, 4);
  const draft = { kind: 'apart', stream: 'ab'.repeat(16), producer: 'p', frame: place } as const;
  const element = Buffer.alloc(elementLength(draft));
  // The last bit says that frames are kept apart.
  writeElement(element, 0, draft, Buffer.from([0, 0, 0, 0, 0, 0, ordinal, 1]));
  stampElement(element, 1_000 + ordinal, ordinal);
  return element;
}

/** A list with its frames, of which `meanwhile` may take some between the two times that it is read. */
function listOf(elements: readonly Buffer[], meanwhile: (list: Buffer[], frames: Map<string, Buffer>) => void) {
  const list = [...elements];
  const placeOf = (element: Buffer) => keys.frames('main', 0, apartOf(decodeElement(element).identity)!);
  const frames = new Map(list.map((element) => [placeOf(element), FRAME]));
  const router = {
    run: () => {
      const reply = [...list];
      meanwhile(list, frames);
      for (const place of frames.keys()) if (!list.some((element) => placeOf(element) === place)) frames.delete(place);
      return Promise.resolve(reply);
    },
    command: (_name: string, place: string) => Promise.resolve(frames.get(place) ?? Buffer.alloc(0)),
  };
  const fetch = () => fetchElements(router, scripts, keys, { sink: 'main', partition: 0 }, { elements: 8, bytes: 8_000 });
  return { fetch, placeOf };
}

test('what others trim while frames are read, however often, is not taken for lost', async () => {
  let trims = 3;
  const { fetch } = listOf([1, 2, 3, 4].map(elementApart), (list) => {
    if (trims-- > 0) list.shift();
  });
  const fetched = await fetch();
  expect(fetched.map(({ ordinal, frame }) => [ordinal, Buffer.from(frame)])).toEqual([[4, FRAME]]);
});

test('a frame that is gone while its element stays is lost, and the others are there', async () => {
  const [first, second] = [elementApart(1), elementApart(2)];
  const { fetch, placeOf } = listOf([first, second], (_list, frames) => void frames.delete(placeOf(first)));
  const fetched = await fetch();
  expect(fetched.map(({ frame }) => frame.length)).toEqual([0, FRAME.length]);
});
