import { batchOf, isPoison, prevOf, seqOf, show } from '../place.ts';
import { commitViolation } from '../properties.ts';
import type { Steps } from '../step.ts';
import {
  type Applier,
  applierIndex,
  type Element,
  type Entry,
  type Model,
  type Plan,
  type Queue,
  type Slice,
  type StreamPlace,
  withApplier,
  withLink,
  type World,
} from '../world.ts';
import { heal, newToken, recordOf, trim } from './queue.ts';
import { told } from './session.ts';
import { isDone, watermarkOf } from './sink.ts';

/**
 * What one node does for one sink: takes the lease, sets streams back, and runs one slice after the other:
 * fetch, one transaction, news to its own sessions, trim. It does not know when it has become a zombie until it asks.
 */
export function applierSteps(model: Model, world: World, node: number, sink: number, steps: Steps): void {
  const at = applierIndex(model, node, sink);
  const applier = world.appliers[at]!;
  const name = model.sinks === 1 ? `node ${node}` : `node ${node}, sink ${sink}`;
  const set = (value: Partial<Applier>) => withApplier(world, at, value);
  const holder = world.queue.leases[sink]!;
  if (applier.lease !== 0 && holder !== applier.lease) {
    // A slice that runs is left to finish: the sink is the fence.
    steps.add(`${name} learns that its lease is lost`, set({ lease: 0, heal: 'no' }));
  }
  if (applier.lease === 0 && (holder === 0 || !isHeld(world, holder))) {
    const lease = newToken(world);
    const queue = { ...world.queue, leases: world.queue.leases.with(sink, lease) };
    const due = model.rules.emptyListHeals ? 'due' : 'no';
    steps.add(`${name} takes the lease`, { ...set({ lease, heal: due }), queue });
  }
  if (applier.slice !== null) return sliceSteps(model, world, at, sink, name, steps);
  if (applier.lease === 0) return;
  if (applier.heal === 'due') {
    const watermarks = lagging(world, sink);
    steps.add(`${name} compares what is stored with the watermarks`, set({ heal: watermarks.length === 0 ? 'no' : watermarks }));
    return;
  }
  if (applier.heal !== 'no') {
    const queue = heal(model, world.queue, sink, applier.lease, applier.heal);
    steps.add(`${name} sets back what the list does not hold`, { ...set({ heal: 'no' }), queue });
    return;
  }
  const list = world.queue.lists[sink]!;
  if (list.length === 0) return;
  // Where in the queue it lies no longer matters to what was read.
  const elements = list.map((element) => ({ ...element, ordinal: 0 }));
  const fetched: Slice = { phase: 'fetched', elements, plan: null };
  steps.add(`${name} fetches ${showElements(elements)}`, set({ slice: fetched }));
}

/** A lease that nobody renews runs out by itself. */
function isHeld({ appliers }: World, token: number): boolean {
  return appliers.some(({ lease }) => lease === token);
}

/** Streams of which more is stored than applied. */
function lagging({ queue, sinks }: World, sink: number): StreamPlace[] {
  return queue.records.flatMap((_, stream) => {
    const place = watermarkOf(sinks[sink]!, stream);
    return seqOf(recordOf(queue, stream).place) > seqOf(place) ? [{ stream, place }] : [];
  });
}

function sliceSteps(model: Model, world: World, at: number, sink: number, name: string, steps: Steps): void {
  const { slice, lease } = world.appliers[at]!;
  const { phase, elements, plan } = slice!;
  const advance = (next: World, value: Partial<Slice>) => withApplier(next, at, { slice: { ...slice!, ...value } });
  if (phase === 'fetched') {
    const made = planOf(model, world, sink, elements);
    if (model.rules.lock) return commitSteps(model, world, at, sink, name, made, steps);
    return steps.add(`${name} reads the watermarks, without a lock`, advance(world, { phase: 'planned', plan: made }));
  }
  if (phase === 'planned') return commitSteps(model, world, at, sink, name, plan!, steps);
  if (phase === 'half') {
    const { second } = entriesOf(model, plan!);
    const done = advance(committed(world, sink, second), { phase: 'committed' });
    return steps.add(`${name} commits the other half`, done, commitViolation(model, world, sink, second));
  }
  if (phase === 'committed') {
    return steps.add(`${name} tells its sessions`, advance(news(model, world, at, plan!), { phase: 'reported' }));
  }
  // Without a lease there is nothing to trim with; the elements are dropped by whoever reads them next.
  if (lease === 0) return steps.add(`${name} gives its slice up`, withApplier(world, at, { slice: null }));
  const { queue, trimmed } = trim(model, world.queue, sink, lease, elements, plan!.resets);
  const next = withApplier({ ...world, queue }, at, { slice: null });
  const label = trimmed.length === 0 ? 'is refused the trim' : `trims ${showElements(trimmed)}`;
  steps.add(`${name} ${label}`, next, isUnsafe(world, queue, sink, slice!, trimmed) ? 'unsafe trim' : undefined);
}

/** The fate of each element, from the watermarks as they are. */
function planOf({ rules }: Model, world: World, sink: number, elements: readonly Element[]): Plan {
  const places = new Map<number, number>();
  const gaps = new Set<number>();
  const accepted: Element[] = [];
  for (const element of elements) {
    const { stream, frame } = element;
    const place = places.get(stream) ?? watermarkOf(world.sinks[sink]!, stream);
    const [seq, applied] = [seqOf(frame), seqOf(place)];
    if (seq <= applied && rules.compare) continue;
    const follows = rules.gapInSlice ? seq === applied + 1 : seq > applied;
    const chained = !rules.chainInSlice || seq !== applied + 1 || prevOf(frame) === place;
    if ((follows && chained) || seq <= applied) {
      accepted.push(element);
      places.set(stream, frame);
    } else gaps.add(stream);
  }
  const before = (stream: number) => watermarkOf(world.sinks[sink]!, stream);
  return {
    accepted,
    moves: [...places].map(([stream, after]) => ({ stream, before: before(stream), after })),
    resets: [...gaps].map((stream) => ({ stream, place: places.get(stream) ?? before(stream) })),
  };
}

function commitSteps(model: Model, world: World, at: number, sink: number, name: string, plan: Plan, steps: Steps): void {
  const slice = world.appliers[at]!.slice!;
  const { first, second } = entriesOf(model, plan);
  const violation = commitViolation(model, world, sink, first);
  const done = committed(world, sink, first);
  const label = `${name} commits ${plan.accepted.length === 0 ? 'nothing' : showElements(plan.accepted)}`;
  const phase = second.length > 0 ? 'half' : 'committed';
  steps.add(label, withApplier(done, at, { slice: { ...slice, phase, plan } }), violation);
  if (first.length === 0 || phase === 'half' || violation !== undefined || world.ledger.faults >= model.faults) return;
  // Of unknown outcome: with the rule the slice begins again with reading; without, it is taken for done.
  const next: Slice | null = model.rules.commitUnknown ? null : { ...slice, phase: 'committed', plan };
  if (model.kinds.has('COMMIT lost')) steps.addFault(`${label}: the connection breaks before`, withApplier(world, at, { slice: next }));
  if (model.kinds.has('COMMIT unknown')) steps.addFault(`${label}: the connection breaks after`, withApplier(done, at, { slice: next }));
}

/** What a slice adds to the sink's log: all in one commit, or without some rule in two. */
function entriesOf({ rules }: Model, { accepted }: Plan): { first: Entry[]; second: Entry[] } {
  const first: Entry[] = [];
  const second: Entry[] = [];
  for (const { stream, frame } of accepted) {
    const done = isPoison(frame) ? 'letter' : 'batch';
    if (!rules.oneCommit) {
      first.push({ stream, place: frame, kind: `${done} alone` });
      second.push({ stream, place: frame, kind: 'watermark' });
    } else if (done === 'letter' && !rules.lettersWithWatermark) {
      first.push({ stream, place: frame, kind: 'watermark' });
      second.push({ stream, place: frame, kind: 'letter alone' });
    } else first.push({ stream, place: frame, kind: done === 'letter' && !rules.deadLetters ? 'watermark' : done });
  }
  return { first, second };
}

function committed(world: World, sink: number, entries: readonly Entry[]): World {
  if (entries.length === 0) return world;
  return { ...world, sinks: world.sinks.with(sink, { log: [...world.sinks[sink]!.log, ...entries] }) };
}

/** Tells this node's sessions of a commit that returned. */
function news(model: Model, world: World, at: number, { moves, accepted }: Plan): World {
  const node = Math.floor(at / model.sinks);
  let next = world;
  for (const { stream, before, after } of moves) {
    const rejected = accepted.filter((element) => element.stream === stream && isPoison(element.frame)).map(({ frame }) => frame);
    for (const [index, { live }] of world.links.entries()) {
      if (live?.node === node && live.stream === stream) next = withLink(next, index, { live: told(model, live, before, after, rejected) });
    }
  }
  return next;
}

/** Something left the list that this slice did not read, or dropped for a gap, and still counts as stored: nobody is asked for it again. */
function isUnsafe(world: World, queue: Queue, sink: number, { elements, plan }: Slice, trimmed: readonly Element[]): boolean {
  return trimmed.some(({ stream, frame, identity }) => {
    const isGap = plan!.resets.some((reset) => reset.stream === stream && seqOf(reset.place) < seqOf(frame));
    if (!isGap && elements.some((element) => element.identity === identity)) return false;
    const isThere = queue.lists[sink]!.some((element) => element.frame === frame);
    return !isThere && !isDone(world.sinks[sink]!, batchOf(frame)) && seqOf(recordOf(queue, stream).place) >= seqOf(frame);
  });
}

function showElements(elements: readonly Element[]): string {
  return `[${elements.map(({ stream, frame }) => `${stream}:${show(frame)}`).join(' ')}]`;
}
