import { type Place, seqOf, show } from '../place.ts';
import type { Steps } from '../step.ts';
import { applierIndex, type Connection, type Model, NO_LOOK, type Queue, withApplier, withLink, type World } from '../world.ts';
import { flushed, isWaiting, owesRewind, refused, rewound, settledSeq, toldApplied, toldStored } from './acknowledgements.ts';
import { append, raise, storedOf } from './queue.ts';
import { floorOf, lettersOf } from './sink.ts';

/** A node's end of a client's connections: the one that lives, and the one that the client gave up. */
export function sessionSteps(model: Model, world: World, index: number, steps: Steps): void {
  const { live, stale } = world.links[index]!;
  if (stale !== null) staleSteps(model, world, index, steps);
  if (live === null || live.phase === 'closed') return;
  const name = `node ${live.node}`;
  if (live.phase === 'hello') {
    const isTakenOver = model.rules.takeover && stale?.node === live.node && stale.stream === live.stream;
    const opening: Connection = { ...live, phase: 'opening', look: { ...NO_LOOK, phase: 'due' } };
    steps.add(`${name} gets HELLO`, withLink(world, index, { live: opening, stale: isTakenOver ? null : stale }));
    return;
  }
  lookSteps(model, world, index, live, steps);
  if (live.phase !== 'open') return;
  const [frame, ...up] = live.up;
  if (frame !== undefined) {
    const { world: next, verdict, stored } = append(model, world, live.stream, frame);
    const judgedLive = judged({ ...live, up }, seqOf(frame), verdict, stored);
    steps.add(`${name} gets ${show(frame)}: ${verdict}`, withLink(next, index, { live: flushed(judgedLive) }));
  }
  if (isWaiting(live)) waitStep(model, world, index, live, steps);
}

function judged(connection: Connection, seq: number, verdict: string, stored: Place): Connection {
  let next = seq === connection.awaited ? { ...connection, awaited: 0, thrownAway: 0 } : connection;
  if (verdict === 'mismatch') return refused(next, 'mismatch');
  if (verdict === 'gap') {
    next = { ...next, thrownAway: Math.max(next.thrownAway, seq) };
    // A look that is under way deals with it too.
    return next.awaited === 0 && next.look.phase === 'no' ? { ...next, look: { ...NO_LOOK, phase: 'due' } } : next;
  }
  // Rolled back. STORED is not told below what was told: REWIND takes it back.
  return seqOf(stored) < seqOf(next.stored) ? asked(next) : toldStored(next, stored);
}

/** The connection with a look requested; when one is under way, once more after it. */
export function asked(connection: Connection): Connection {
  const { phase } = connection.look;
  if (phase === 'no') return { ...connection, look: { ...NO_LOOK, phase: 'due' } };
  return phase === 'due' ? connection : { ...connection, lookAgain: true };
}

/** The client has waited for 5 s: the session looks, and the node's appliers see whether the list lost what it waits for. */
function waitStep(model: Model, world: World, index: number, live: Connection, steps: Steps): void {
  let next = world;
  if (model.rules.look && live.look.phase === 'no') next = withLink(next, index, { live: asked(live) });
  for (let sink = 0; sink < model.sinks; sink++) {
    for (let node = 0; node < model.nodes; node++) {
      if (node !== live.node && !model.rules.waitIsHeard) continue;
      const at = applierIndex(model, node, sink);
      const { heal, lease } = world.appliers[at]!;
      if (model.rules.emptyListHeals && heal === 'no' && lease !== 0) next = withApplier(next, at, { heal: 'due' });
    }
  }
  if (next !== world) steps.add(`node ${live.node}: client ${index} has waited for 5 s`, next);
}

function lookSteps(model: Model, world: World, index: number, live: Connection, steps: Steps): void {
  const { look } = live;
  if (look.phase === 'no') return;
  if (look.phase === 'read') return settleStep(model, world, index, live, steps);
  const letters = look.phase === 'letters' ? look.rejected : lettersOf(world, live.stream);
  if (!model.rules.watermarkFirst && look.phase === 'due') {
    const next: Connection = { ...live, look: { ...look, phase: 'letters', rejected: letters } };
    return steps.add(`node ${live.node} reads the dead letters of stream ${live.stream}`, withLink(world, index, { live: next }));
  }
  const watermark = floorOf(model, world, live.stream);
  const settled = settledSeq(live);
  const label = `node ${live.node} reads the watermark of stream ${live.stream}: ${show(watermark)}`;
  if (model.rules.regressed && seqOf(watermark) < settled) {
    return steps.add(`${label}, which regressed`, withLink(world, index, { live: refused(live, 'regressed') }));
  }
  // Dead letters at or below a watermark do not change once it was reached: reading them later, but before they are told, is the same.
  const rejected = letters.filter((frame) => seqOf(frame) <= seqOf(watermark) && seqOf(frame) > settled);
  const next: Connection = {
    ...live,
    look: { phase: 'read', watermark, rejected: model.rules.rejectedFirst ? rejected : [], storedBefore: seqOf(live.stored) },
  };
  steps.add(label, withLink(world, index, { live: next }));
}

function settleStep(model: Model, world: World, index: number, live: Connection, steps: Steps): void {
  const { watermark, rejected } = live.look;
  const queue = raise(model, world.queue, live.stream, watermark);
  const stored = storedOf(model, queue, live.stream);
  const next: World = { ...world, queue };
  const label = `node ${live.node} reads what is stored of stream ${live.stream}: ${show(stored)}`;
  if (live.phase === 'opening') {
    let opened: Connection = { ...live, phase: 'open', down: [['WELCOME', stored]], stored, look: NO_LOOK, lookAgain: false };
    opened = toldApplied(model, opened, appliedPlace(model, queue, live, watermark), rejected);
    if (live.lookAgain) opened = asked(opened);
    return steps.add(`${label}, WELCOME`, withLink(next, index, { live: opened }));
  }
  const { connection, again } = settled(model, queue, live, stored);
  let done: Connection = { ...connection, look: NO_LOOK, lookAgain: false };
  if (again || live.lookAgain || owesRewind(done)) done = asked(done);
  steps.add(label, withLink(next, index, { live: flushed(done) }));
}

/** Tells the client how its stream stands now. */
function settled(model: Model, queue: Queue, live: Connection, stored: Place): { connection: Connection; again: boolean } {
  const { watermark, rejected, storedBefore } = live.look;
  let connection = live;
  connection = toldApplied(model, connection, appliedPlace(model, queue, live, watermark), rejected);
  const seq = seqOf(stored);
  // A commit overtook the look, and the floor is above what was read.
  if (seq < seqOf(connection.applied)) return { connection, again: model.rules.floor };
  if (seq < storedBefore) return { connection: model.rules.look ? rewound(connection, stored) : connection, again: false };
  const newest = seq > seqOf(connection.stored) ? stored : connection.stored;
  if (connection.thrownAway > seqOf(newest)) {
    // Suppressed until the frame that the last REWIND asked for arrives.
    if (!isAwaited(model, connection, newest)) connection = rewound(connection, newest);
  } else if (seqOf(newest) > seqOf(connection.stored) || connection.thrownAway > 0) connection = toldStored(connection, newest);
  return { connection, again: false };
}

function isAwaited({ rules }: Model, { awaited }: Connection, newest: Place): boolean {
  return rules.staleRewind ? awaited > seqOf(newest) : awaited > 0;
}

/** What is told as APPLIED: the watermark; without the rule `appliedFromSinks`, what the queue recorded. */
function appliedPlace(model: Model, queue: Queue, { stream }: Connection, watermark: Place): Place {
  return model.rules.appliedFromSinks ? watermark : storedOf(model, queue, stream);
}

/** News of a commit of `node` for its session with the stream. */
export function told(model: Model, connection: Connection, before: Place, after: Place, rejected: readonly Place[]): Connection {
  if (connection.phase === 'opening') return connection.look.phase === 'due' ? connection : { ...connection, lookAgain: true };
  if (connection.phase !== 'open') return connection;
  // With several sinks, the others decide whether it is applied.
  const mustLook = model.sinks > 1 && model.rules.appliedByAll;
  const hole = seqOf(before) > seqOf(connection.applied) && seqOf(after) > seqOf(connection.applied);
  if (hole && model.rules.hole) return asked(connection);
  if (mustLook) return seqOf(after) > seqOf(connection.applied) ? asked(connection) : connection;
  return flushed(toldApplied(model, connection, after, rejected));
}

/** What a client sent before it gave up the connection may still arrive, or not. */
function staleSteps(model: Model, world: World, index: number, steps: Steps): void {
  const { live } = world.links[index]!;
  const stale = world.links[index]!.stale!;
  const name = `node ${stale.node}`;
  steps.add(`${name} closes the old connection of client ${index}`, withLink(world, index, { stale: null }));
  if (stale.hello) {
    const isTakenOver =
      model.rules.takeover &&
      live?.node === stale.node &&
      live.stream === stale.stream &&
      (live.phase === 'opening' || live.phase === 'open');
    if (isTakenOver)
      steps.add(`${name} gets the HELLO of an old connection`, withLink(world, index, { live: refused(live, 'taken over'), stale: null }));
    return;
  }
  const [frame, ...up] = stale.up;
  if (frame === undefined) return;
  const { world: next, verdict } = append(model, world, stale.stream, frame);
  const rest = verdict === 'mismatch' || up.length === 0 ? null : { ...stale, up };
  steps.add(`${name} gets ${show(frame)} of an old connection: ${verdict}`, withLink(next, index, { stale: rest }));
}
