import { expect, test } from 'vitest';
import { SeededRandom } from '../../support/seeded-random.ts';
import { Host } from './host.ts';
import { Network } from './network.ts';
import type { Wire } from './wire.ts';
import { Timeline } from './timeline.ts';

function makeWorld(seed = 1) {
  const timeline = new Timeline();
  const network = new Network(timeline, new SeededRandom(seed));
  const [a, b] = [new Host('a', timeline), new Host('b', timeline)];
  a.boot();
  b.boot();
  const heard: string[] = [];
  const listen = () =>
    network.listen(b, 'service', (wire) =>
      wire.open({ message: (message) => heard.push(String(message)), closed: (error) => heard.push(error?.message ?? 'closed') }),
    );
  listen();
  return { timeline, network, a, b, heard, listen };
}

async function dialled({ timeline, network, a }: ReturnType<typeof makeWorld>): Promise<Wire & { readonly heard: string[] }> {
  const dialling = network.dial(a, 'service');
  await timeline.run(timeline.nowMs + 10);
  const heard: string[] = [];
  const wire = await dialling;
  wire.open({ message: (message) => heard.push(String(message)), closed: (error) => heard.push(error?.message ?? 'closed') });
  return Object.assign(wire, { heard });
}

test('events run in the order of their times, and of their making at one time', async () => {
  const timeline = new Timeline();
  const ran: number[] = [];
  for (const delay of [5, 1, 3, 1, 5]) timeline.at(delay, () => ran.push(delay));
  timeline.at(2, () => ran.push(2)).cancel();
  await timeline.run(4);
  expect([ran, timeline.nowMs]).toEqual([[1, 1, 3], 4]);
  await timeline.run(10);
  expect(ran).toEqual([1, 1, 3, 5, 5]);
});

test('long delays keep the order of all, whichever of them are cancelled', async () => {
  const timeline = new Timeline();
  const random = new SeededRandom(1);
  const expected: { readonly dueMs: number; readonly n: number }[] = [];
  const ran: number[] = [];
  const begin = (n: number) => {
    const delayMs = random.pick([499, 500, 500.5, 2000, 2000, 2000, 4000]);
    const timer = timeline.at(delayMs, () => ran.push(n));
    if (random.fraction() < 0.7) timeline.at(random.pick([0, 100, delayMs - 1]), () => timer.cancel());
    else expected.push({ dueMs: timeline.nowMs + delayMs, n });
  };
  for (let n = 0; n < 1000; n++) timeline.at(random.below(10_000), () => begin(n));
  await timeline.run(20_000);
  expect(ran.length).toBeGreaterThan(100);
  expect(ran).toEqual(expected.sort((a, b) => a.dueMs - b.dueMs).map(({ n }) => n));
});

test('messages arrive in order, then the end', async () => {
  const world = makeWorld();
  const wire = await dialled(world);
  for (let i = 0; i < 5; i++) wire.send(i);
  wire.close();
  await world.timeline.run(100);
  expect(world.heard).toEqual(['0', '1', '2', '3', '4', 'closed']);
});

test('what is sent into a cut path arrives when it is mended', async () => {
  const world = makeWorld();
  const wire = await dialled(world);
  world.network.cut('a', 'b');
  wire.send('late');
  await world.timeline.run(1000);
  expect(world.heard).toEqual([]);
  world.network.mend('a', 'b');
  await world.timeline.run(1010);
  expect(world.heard).toEqual(['late']);
});

test('a process that is paused hears everything when it goes on, and its timers fire then', async () => {
  const world = makeWorld();
  const wire = await dialled(world);
  world.b.pause();
  wire.send('first');
  await world.timeline.run(1000);
  expect(world.heard).toEqual([]);
  world.b.resume();
  await world.timeline.run(1010);
  expect(world.heard).toEqual(['first']);
});

test('a pause lasts since it began, also when another one came just before', async () => {
  const { timeline, b } = makeWorld();
  const sinceMs = [b.pausedSinceMs];
  for (const untilMs of [1_000, 2_000]) {
    await timeline.run(untilMs);
    b.resume();
    b.pause();
    await timeline.run(untilMs + 500);
    b.pause();
    sinceMs.push(b.pausedSinceMs);
  }
  b.resume();
  expect([...sinceMs, b.pausedSinceMs]).toEqual([undefined, 1_000, 2_000, undefined]);
});

test('a crash ends connections, timers and doors of the process, and the next process starts afresh', async () => {
  const world = makeWorld();
  const wire = await dialled(world);
  world.b.crash();
  world.b.boot();
  wire.send('to the dead');
  await world.timeline.run(1000);
  expect(world.heard).toEqual([]);
  expect(wire.heard).toEqual(['read ECONNRESET']);
  const refused = expect(world.network.dial(world.a, 'service')).rejects.toThrow('ECONNREFUSED');
  await world.timeline.run(1010);
  await refused;
  world.listen();
  (await dialled(world)).send('to the living');
  await world.timeline.run(1100);
  expect(world.heard).toEqual(['to the living']);
});

test('a receiver that stops taking holds its peer back', async () => {
  const world = makeWorld();
  let taken: Wire | undefined;
  world.network.listen(world.b, 'service', (wire) => {
    taken = wire;
    wire.open({ message: (message) => world.heard.push(String(message)), closed: () => {} });
  });
  const wire = await dialled(world);
  taken!.pause();
  wire.send('one', 10);
  wire.send('two', 20);
  await world.timeline.run(1000);
  expect([wire.inFlightBytes, world.heard]).toEqual([30, []]);
  taken!.resume();
  await world.timeline.run(1010);
  expect([wire.inFlightBytes, world.heard]).toEqual([0, ['one', 'two']]);
});

test('a connection that breaks may end in the middle of a chunk', async () => {
  const lengths = new Set<number>();
  for (let seed = 1; seed <= 50; seed++) {
    const world = makeWorld(seed);
    let received = 0;
    world.network.listen(world.b, 'service', (wire) =>
      wire.open({ message: (message) => (received += (message as Uint8Array).length), closed: () => {} }),
    );
    const wire = await dialled(world);
    wire.send(new Uint8Array(10), 10);
    wire.send(new Uint8Array(10), 10);
    wire.reset();
    await world.timeline.run(1000);
    lengths.add(received);
  }
  expect([...lengths].some((length) => length % 10 !== 0)).toBe(true);
});
