import { setTimeout as delay } from 'node:timers/promises';
import type { Direction, FaultProxy } from '../../../src/chaos/fault-proxy.ts';
import { within } from '../../support/within.ts';
import { inTurn } from '../catch.ts';
import type { FaultWorld } from '../fault-world.ts';
import type { Scenario, Turn } from '../scenario.ts';

/** What happens to a connection. Takes `ms`, and leaves the way as it was before. */
interface Disturbance {
  readonly name: string;
  inflict(way: FaultProxy, ms: number, turn: Turn): Promise<void>;
}

const MAX_CUT_BYTES = 20_000;
/** How long a disturbance may wait for what it needs, such as bytes on the way. */
const INFLICT_MS = 30_000;
const BOTH: readonly Direction[] = ['up', 'down'];

const CUTS: readonly Disturbance[] = [
  { name: 'reset', inflict: async (way) => way.reset() },
  { name: 'half-closed up', inflict: async (way) => way.halfClose('up') },
  { name: 'half-closed down', inflict: async (way) => way.halfClose('down') },
  ...BOTH.map((direction): Disturbance => ({
    name: `cut ${direction} after some bytes`,
    inflict: (way, _, { random }) => way.cut(direction, { afterBytes: 1 + random.below(MAX_CUT_BYTES) }),
  })),
  {
    name: 'reset, and refused for a while',
    inflict: (way, ms) => {
      way.refuse();
      way.reset();
      return delay(ms);
    },
  },
];

const STALLS: readonly Disturbance[] = [
  ...[BOTH, ['up'] as const, ['down'] as const].flatMap((directions): Disturbance[] => [
    {
      name: `frozen ${directions.join(' and ')}`,
      inflict: (way, ms) => {
        way.freeze(directions);
        return delay(ms);
      },
    },
    {
      name: `blackholed ${directions.join(' and ')}`,
      inflict: async (way, ms) => {
        way.blackhole(directions);
        await delay(ms);
        // Bytes are missing in the middle: no connection goes on after that.
        way.reset();
      },
    },
  ]),
];

const TEARS: readonly Disturbance[] = [
  {
    name: 'sliced into bytes',
    inflict: (way, ms) => {
      way.disturb({ sliceBytes: 1 });
      return delay(ms);
    },
  },
  {
    name: 'slow and unsteady',
    inflict: (way, ms) => {
      way.disturb({ latencyMs: 50, jitterMs: 100, bytesPerSecond: 200_000 });
      return delay(ms);
    },
  },
];

const CORRUPTIONS = BOTH.map((direction): Disturbance => ({ name: `corrupted ${direction}`, inflict: (way) => way.corrupt(direction) }));

/** Connections are cut, held up, torn and corrupted on the way. */
export const NETWORKS: readonly Scenario[] = [
  ...onTheWay('client-server', 'between client and server', ({ door }) => door),
  // A reply of Redis that cannot be is a bug to the server, which then ends.
  ...onTheWay('server-redis', 'between server and Redis', ({ services }) => services.toRedis).map((scenario): Scenario =>
    scenario.name.endsWith('-corrupted') ? { ...scenario, supervised: true } : scenario,
  ),
  ...onTheWay('server-mariadb', 'between server and MariaDB', ({ services }) => services.toMariadb).filter(
    // What reaches the database with other bytes than were sent is another statement: only TLS tells.
    ({ name }) => !name.endsWith('-corrupted'),
  ),
  {
    name: 'commit-cut',
    what: 'the connection is cut between COMMIT and its answer, or just before COMMIT',
    installation: 'services',
    async strike(world, { random }) {
      const cut = world.services.toMariadb.cut('up', random.chance(0.7) ? { answerTo: 'COMMIT' } : { before: 'COMMIT' });
      await within(INFLICT_MS, cut, 'nothing was committed');
      world.struck();
    },
  },
];

function onTheWay(name: string, where: string, way: (world: FaultWorld) => FaultProxy): Scenario[] {
  const scenario = (suffix: string, what: string, disturbances: readonly Disturbance[]): Scenario => ({
    name: `${name}-${suffix}`,
    what: `connections ${where} are ${what}`,
    installation: 'services',
    async strike(world, turn) {
      const disturbance = inTurn(disturbances, turn);
      world.struck();
      const ms = 200 + turn.random.below(1500);
      await within(INFLICT_MS, disturbance.inflict(way(world), ms, turn), `"${disturbance.name}" did not happen`);
      way(world).heal();
    },
  });
  return [
    scenario('cut', 'reset, half-closed, cut at a byte, refused', CUTS),
    scenario('stalled', 'frozen or blackholed, one way or both', STALLS),
    scenario('torn', 'sliced into single bytes, or slow and unsteady', TEARS),
    scenario('corrupted', 'corrupted in one bit', CORRUPTIONS),
  ];
}
