import { batchOf, bitOf, frameAfter, framesAbove, moved, type Place, placeAt, seqOf, show, START } from '../place.ts';
import type { Steps } from '../step.ts';
import {
  batchesOf,
  type Client,
  type Connection,
  type Link,
  type Message,
  type MessageType,
  type Model,
  BLANK_SESSION,
  type StaleConnection,
  withClient,
  withLedger,
  withLink,
  type World,
} from '../world.ts';
import { flushed } from './acknowledgements.ts';
import { recordOf } from './queue.ts';
import { watermarkOf } from './sink.ts';

/**
 * A client: makes batches, keeps each until APPLIED, connects again whenever it has no connection. A batch is durable the
 * moment that it is made: with the rule `durableFirst` nobody sees one that is not, and a crash undoes its making.
 */
export function clientSteps(model: Model, world: World, index: number, steps: Steps): void {
  const client = world.clients[index]!;
  if (client.phase === 'stopped') return;
  makeSteps(model, world, index, steps);
  if (client.phase === 'away') connectSteps(model, world, index, steps);
  const connection = world.links[index]!.live;
  if (connection === null) return;
  if (client.phase === 'open' && !client.diverged && client.sent < seqOf(client.assigned)) {
    const frame = placeAt(client.assigned, client.sent + 1);
    const next = withClient(world, index, { ...client, sent: client.sent + 1 });
    // After its ERROR a node reads no more.
    const up = connection.phase === 'closed' ? connection.up : [...connection.up, frame];
    steps.add(`client ${index} sends ${show(frame)}`, withLink(next, index, { live: { ...connection, up } }));
  }
  const [message, ...rest] = connection.down;
  if (message !== undefined) receive(model, world, index, { ...connection, down: rest }, message, steps);
}

function makeSteps(model: Model, world: World, index: number, steps: Steps): void {
  const client = world.clients[index]!;
  if (client.unsure > 0) steps.add(`client ${index}: the spool is durable`, withClient(world, index, { ...client, unsure: 0 }));
  let batch = index * model.batches + 1;
  while ((world.ledger.made & bitOf(batch)) !== 0) batch++;
  if ((batchesOf(model, index) & bitOf(batch)) === 0) return;
  const made = withLedger(world, { made: world.ledger.made | bitOf(batch) });
  const unsure = model.rules.durableFirst ? 0 : client.unsure + 1;
  const sound = { ...client, unsure, assigned: frameAfter(client.assigned, batch, 'sound') };
  steps.add(`client ${index} makes batch ${batch}`, withClient(made, index, sound));
  if (world.ledger.faults >= model.faults || !model.kinds.has('poison batch')) return;
  const poison = { ...client, unsure, assigned: frameAfter(client.assigned, batch, 'poison') };
  steps.addFault(`client ${index} makes batch ${batch}, which every sink refuses`, withClient(made, index, poison));
}

function connectSteps(model: Model, world: World, index: number, steps: Steps): void {
  const client = world.clients[index]!;
  for (let node = 0; node < model.nodes; node++) {
    const live: Connection = {
      ...BLANK_SESSION,
      node,
      stream: client.stream,
      phase: 'hello',
      down: [],
      forgotten: client.applied,
      applied: START,
    };
    steps.add(
      `client ${index} says HELLO to node ${node}`,
      withLink(withClient(world, index, { ...client, phase: 'greeting' }), index, { live }),
    );
  }
}

function receive(model: Model, world: World, index: number, connection: Connection, [type, value]: Message, steps: Steps): void {
  const { rules } = model;
  let client = world.clients[index]!;
  let next = world;
  const label = `client ${index} hears ${type} ${type === 'REWIND' ? value : show(value)}`;
  switch (type) {
    case 'WELCOME': {
      const seq = seqOf(value);
      client = { ...client, phase: 'open', heardStored: seq, heardApplied: 0, sent: client.applied };
      client = compared(model, client, value);
      if (!client.diverged)
        client = { ...client, sent: Math.max(client.applied, rules.everythingAboveStored ? seq : seqOf(client.assigned)) };
      break;
    }
    case 'STORED':
      client = compared(model, { ...client, heardStored: Math.max(client.heardStored, seqOf(value)) }, value);
      if (!rules.forgetAtApplied) client = forgotten(model, client, value);
      break;
    case 'APPLIED': {
      const seq = seqOf(value);
      client = { ...client, heardApplied: Math.max(client.heardApplied, seq), heardStored: Math.max(client.heardStored, seq) };
      client = forgotten(model, compared(model, client, value), value);
      break;
    }
    case 'REWIND':
      client = { ...client, heardStored: value - 1 };
      if (value > seqOf(client.assigned) + 1) client = { ...client, diverged: rules.chainAtClient };
      else if (value > client.applied) client = { ...client, sent: value - 1 };
      else if (rules.helloAgain) return steps.add(`${label}, and closes`, leave(world, index, client, connection));
      break;
    case 'REJECTED':
      next = withLedger(world, { heard: world.ledger.heard | bitOf(batchOf(value)) });
      break;
    case 'mismatch':
      return steps.add(label, leave(world, index, { ...client, diverged: rules.chainAtClient }, connection));
    case 'taken over':
      return steps.add(label, leave(world, index, client, connection));
    case 'regressed':
      return steps.add(
        label,
        withLink(withClient(world, index, { ...away(client), phase: 'stopped' }), index, { live: null }),
        (world.ledger.undone & batchesOf(model, index)) !== 0 ? undefined : 'false incident',
      );
  }
  if (client.diverged && (!rules.settleFirst || isSettled(client)))
    return steps.add(`${label}, and begins stream ${next.ledger.streams}`, newStream(next, index, client, connection, type));
  steps.add(label, withLink(withClient(next, index, client), index, { live: flushed(connection) }));
}

/** Holds a place that the server named against the client's own frames: what it forgot, it takes for its own. */
function compared({ rules }: Model, client: Client, place: Place): Client {
  if (!rules.chainAtClient || client.diverged) return client;
  const seq = seqOf(place);
  const agrees = seq < client.applied || (seq <= seqOf(client.assigned) && placeAt(client.assigned, seq) === place);
  return agrees ? client : { ...client, diverged: true };
}

/** An agreeing APPLIED covers what it names; a diverged stream still has those. */
function forgotten({ rules }: Model, client: Client, place: Place): Client {
  const seq = rules.chainAtClient ? seqOf(place) : Math.min(seqOf(place), seqOf(client.assigned));
  if (seq <= client.applied || seq > seqOf(client.assigned)) return client;
  if (rules.chainAtClient && placeAt(client.assigned, seq) !== place) return client;
  return { ...client, applied: seq, sent: Math.max(client.sent, seq) };
}

/** An answer to everything that was sent has come, and everything that was stored is applied. */
function isSettled({ sent, heardStored, heardApplied }: Client): boolean {
  return heardStored >= sent && heardApplied >= heardStored;
}

/** Everything that is held goes on in a stream of its own, in order. */
function newStream(world: World, index: number, client: Client, connection: Connection, cause: MessageType): World {
  const { streams } = world.ledger;
  const held = framesAbove(client.assigned, client.applied);
  let { again } = world.ledger;
  for (const frame of held) if (isBeyondRecall(world, client.stream, frame, cause)) again |= bitOf(batchOf(frame));
  const left = leave(world, index, client, connection);
  const moving = { ...away(client), diverged: false, stream: streams, applied: 0, assigned: held.reduce(moved, START) };
  return withLedger(withClient(left, index, moving), { again, streams: streams + 1 });
}

/**
 * The old stream applies it although the client cannot know, and so it takes effect once more in the new one. Known and
 * documented (`docs/client.md`, `docs/decisions/0006-limits-of-a-restored-spool.md`): the old stream went on behind it, so that
 * no APPLIED names it and agrees; or Redis was rolled back below it, and a slice had read it before.
 */
function isBeyondRecall({ sinks, appliers, queue }: World, stream: number, frame: Place, cause: MessageType): boolean {
  const seq = seqOf(frame);
  const applied = Math.max(...sinks.map((sink) => seqOf(watermarkOf(sink, stream))));
  if (applied > seq) return true;
  const isRolledBack = cause === 'REWIND' || seqOf(recordOf(queue, stream).place) < seq;
  const isRead = appliers.some(({ slice }) => slice?.elements.some((element) => element.stream === stream && element.frame === frame));
  return isRolledBack && (applied === seq || isRead);
}

/** The client closes: a node may still read what was sent. */
export function leave(world: World, index: number, client: Client, connection: Connection | null): World {
  const stale = staleOf(connection) ?? world.links[index]!.stale;
  return withLink(withClient(world, index, away(client)), index, { live: null, stale });
}

export function away(client: Client): Client {
  return { ...client, phase: 'away', sent: 0, heardStored: 0, heardApplied: 0 };
}

export function holds(client: Client, batch: number): boolean {
  return framesAbove(client.assigned, client.applied).some((frame) => batchOf(frame) === batch);
}

/** Of an older one that is still on its way nothing more arrives: the model keeps one. */
function staleOf(connection: Connection | null): Link['stale'] {
  if (connection === null || connection.phase === 'closed') return null;
  const { node, stream, phase, up } = connection;
  const stale: StaleConnection = { node, stream, hello: phase === 'hello', up };
  return stale.hello || up.length > 0 ? stale : null;
}
