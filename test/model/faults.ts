import { away, holds, leave } from './actors/client.ts';
import { isDone } from './actors/sink.ts';
import { asked } from './actors/session.ts';
import { batchOf, bitOf, framesAbove, type Place, placeAt, seqOf, show, START } from './place.ts';
import type { Steps } from './step.ts';
import {
  applierIndex,
  type Client,
  emptyQueue,
  IDLE_APPLIER,
  type Model,
  newClient,
  type Queue,
  withClient,
  withLedger,
  type World,
} from './world.ts';

/** What can go wrong. The batch that every sink refuses and the COMMITs strike where a batch is made and a slice commits. */
export const FAULTS = {
  'connection cut': 'client and node hear no more of each other; what was sent may still arrive, late',
  'client killed': 'and started again with its spool',
  'spool restored': 'an older state of the spool is put in place of what the client had',
  'spool lost': 'the client starts without saved state',
  'node killed': 'and started again; its connections and leases are left behind',
  'lease runs out': 'the holder stood still for too long and does not know',
  FLUSHALL: 'Redis is emptied under open connections',
  'Redis restarted empty': 'everybody connects again',
  'Redis rolled back': 'a replica that stayed behind at any earlier time is promoted; everybody connects again',
  'list deleted': 'the list of one sink is gone, the records stay; everybody connects again',
  'COMMIT lost': 'the connection breaks before the sink has it',
  'COMMIT unknown': 'the connection breaks after the sink has it',
  'sink restored': 'an older state of a sink, data and watermarks',
  'poison batch': 'a batch that every sink refuses for good',
} as const;

export type FaultName = keyof typeof FAULTS;
export const ALL_FAULTS = Object.keys(FAULTS) as FaultName[];

export function faultSteps(model: Model, world: World, steps: Steps): void {
  // The fault was that the replica stayed behind; being promoted is what comes of it.
  if (world.replica !== null)
    steps.add('the replica is promoted', connectedAgain(model, { ...world, queue: world.replica, replica: null }));
  if (world.ledger.faults >= model.faults) return;
  for (const kind of model.kinds) STRIKES[kind]?.(model, world, steps);
}

type Strike = (model: Model, world: World, steps: Steps) => void;

const STRIKES: Partial<Record<FaultName, Strike>> = {
  'connection cut'(_, world, steps) {
    for (const [index, { live }] of world.links.entries())
      if (live !== null) steps.addFault(`the connection of client ${index} is cut`, leave(world, index, world.clients[index]!, live));
  },
  'client killed'(_, world, steps) {
    for (const [index, client] of world.clients.entries()) {
      if (client.phase !== 'stopped') steps.addFault(`client ${index} is killed`, killed(world, index, client));
    }
  },
  'spool restored'(_, world, steps) {
    for (const [index, client] of world.clients.entries()) {
      const newest = seqOf(client.assigned);
      for (let assigned = 0; assigned <= newest; assigned++) {
        for (let applied = 0; applied <= Math.min(assigned, client.applied); applied++) {
          if (client.phase === 'stopped' || (assigned === newest && applied === client.applied)) continue;
          const older = { ...client, assigned: placeAt(client.assigned, assigned), applied, unsure: 0 };
          const next = killed(world, index, older);
          const label = `client ${index} is killed, and its spool restored to ${show(older.assigned)}, applied ${applied}`;
          steps.addFault(label, losing(assigned < newest ? holdingAgain(next, older) : next, client, assigned));
        }
      }
    }
  },
  'spool lost'({ rules }, world, steps) {
    for (const [index, client] of world.clients.entries()) {
      if (client.assigned === START || client.phase === 'stopped') continue;
      const { streams } = world.ledger;
      const stream = rules.streamOfItsOwn ? streams : client.stream;
      const next = withLedger(killed(world, index, newClient(stream)), { streams: rules.streamOfItsOwn ? streams + 1 : streams });
      steps.addFault(`client ${index} is killed, and its spool lost`, losing(next, client, 0));
    }
  },
  'node killed'(model, world, steps) {
    for (let node = 0; node < model.nodes; node++) {
      let next = world;
      for (let sink = 0; sink < model.sinks; sink++) {
        next = { ...next, appliers: next.appliers.with(applierIndex(model, node, sink), IDLE_APPLIER) };
      }
      for (const [index, link] of world.links.entries()) {
        const client = next.clients[index]!;
        const live = link.live?.node === node ? null : link.live;
        const stale = link.stale?.node === node ? null : link.stale;
        if (live === null && link.live !== null) next = withClient(next, index, away(client));
        next = { ...next, links: next.links.with(index, { live, stale }) };
      }
      steps.addFault(`node ${node} is killed`, next);
    }
  },
  'lease runs out'(_, { queue, ...world }, steps) {
    for (const [sink, token] of queue.leases.entries()) {
      if (token !== 0)
        steps.addFault(`the lease of sink ${sink} runs out`, { ...world, queue: { ...queue, leases: queue.leases.with(sink, 0) } });
    }
  },
  FLUSHALL(model, world, steps) {
    steps.addFault('FLUSHALL', { ...world, queue: emptyQueue(model) });
  },
  'Redis restarted empty'(model, world, steps) {
    steps.addFault('Redis is restarted empty', connectedAgain(model, { ...world, queue: emptyQueue(model) }));
  },
  'Redis rolled back'(_, world, steps) {
    if (world.replica === null) steps.addFault('the replica stays behind', { ...world, replica: world.queue });
  },
  'list deleted'(model, world, steps) {
    for (const [sink, list] of world.queue.lists.entries()) {
      const queue: Queue = { ...world.queue, lists: world.queue.lists.with(sink, []) };
      if (list.length > 0) steps.addFault(`the list of sink ${sink} is deleted`, connectedAgain(model, { ...world, queue }));
    }
  },
  'sink restored'(_, world, steps) {
    for (const [at, { log }] of world.sinks.entries()) {
      for (let length = 0; length < log.length; length++) {
        let { undone } = world.ledger;
        for (const { place } of log.slice(length)) if (isTold(world, place)) undone |= bitOf(batchOf(place));
        const restored = withLedger({ ...world, sinks: world.sinks.with(at, { log: log.slice(0, length) }) }, { undone });
        steps.addFault(`sink ${at} is restored to its first ${length} batches`, restored);
      }
    }
  },
};

function killed(world: World, index: number, client: Client): World {
  const unsure = framesAbove(client.assigned, seqOf(client.assigned) - client.unsure);
  let { unpromised } = world.ledger;
  for (const frame of unsure) unpromised |= bitOf(batchOf(frame));
  const durable = placeAt(client.assigned, seqOf(client.assigned) - client.unsure);
  const next = leave(world, index, { ...client, assigned: durable, unsure: 0, diverged: false }, world.links[index]!.live);
  return unpromised === world.ledger.unpromised ? next : withLedger(next, { unpromised });
}

/** What was applied in the meantime is held again, by a client that does not know how its stream went on: see `docs/client.md`. */
function holdingAgain(world: World, { assigned, applied }: Client): World {
  let { again } = world.ledger;
  for (const frame of framesAbove(assigned, applied))
    if (world.sinks.some((sink) => isDone(sink, batchOf(frame)))) again |= bitOf(batchOf(frame));
  return withLedger(world, { again });
}

/** Of what the client held, everything above `seq` is not in its spool any more: nobody owes that. */
function losing(world: World, before: Client, seq: number): World {
  let { lost } = world.ledger;
  for (const frame of framesAbove(before.assigned, Math.max(seq, before.applied))) lost |= bitOf(batchOf(frame));
  return withLedger(world, { lost });
}

/** The client has forgotten it, or somebody knows that it was applied, and will say so. */
function isTold({ clients, links, appliers }: World, frame: Place): boolean {
  const index = clients.findIndex((client) => holds(client, batchOf(frame)));
  if (
    index === -1 ||
    appliers.some(({ slice }) => slice?.phase === 'committed' && slice.plan!.accepted.some((element) => element.frame === frame))
  )
    return true;
  const live = links[index]!.live;
  const known = live === null || live.stream !== clients[index]!.stream ? START : Math.max(live.applied, live.look.watermark);
  return seqOf(known) >= seqOf(frame);
}

/** Connected to Redis again: whoever talks to it looks whether it holds less than before. */
function connectedAgain({ rules }: Model, world: World): World {
  return {
    ...world,
    links: world.links.map((link) => (rules.look && link.live?.phase === 'open' ? { ...link, live: asked(link.live) } : link)),
    appliers: world.appliers.map((applier) => (rules.emptyListHeals && applier.lease !== 0 ? { ...applier, heal: 'due' } : applier)),
  };
}
