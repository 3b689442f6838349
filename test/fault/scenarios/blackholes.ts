import { eventually } from '../../support/eventually.ts';
import type { DeadConnections, Direction, FaultProxy } from '../../../src/chaos/fault-proxy.ts';
import { patchedEnv, type SourcePatch } from '../../support/source-patches.ts';
import { inTurn } from '../catch.ts';
import type { FaultWorld } from '../fault-world.ts';
import type { Scenario } from '../scenario.ts';

const HEARTBEAT_MS = 500;
/** The same deadlines as always, shorter: half a minute of silence in each turn would be waiting and nothing else. */
const SHORT_DEADLINES: readonly SourcePatch[] = [
  {
    name: 'a statement may take 1 s',
    file: 'src/sinks/mysql/mysql.ts',
    find: 'const DEFAULT_STATEMENT_TIMEOUT_MS = 30_000;',
    replace: 'const DEFAULT_STATEMENT_TIMEOUT_MS = 1_000;',
  },
  {
    name: 'a command may take 0.5 s',
    file: 'src/queue/redis/link.ts',
    find: 'const DEFAULT_COMMAND_TIMEOUT_MS = 2000;',
    replace: 'const DEFAULT_COMMAND_TIMEOUT_MS = 500;',
  },
];

const WAYS: readonly (readonly Direction[])[] = [['up', 'down'], ['up'], ['down']];

/** An end of a link that the product holds: it is the product that must find out that the link is dead. */
type End = keyof DeadConnections;

/**
 * Everything on a link vanishes, for as long as it takes: nobody is told, no connection is reset, and those that were
 * there stay dead. Heartbeats and deadlines alone must find out.
 */
export const BLACKHOLES: readonly Scenario[] = [
  blackhole('client-server', 'between client and server', ({ door }) => door, ['callers', 'targets']),
  blackhole('server-redis', 'between server and Redis', ({ services }) => services.toRedis, ['callers']),
  blackhole('server-mariadb', 'between server and MariaDB', ({ services }) => services.toMariadb, ['callers']),
];

function blackhole(name: string, where: string, wayOf: (world: FaultWorld) => FaultProxy, ends: readonly End[]): Scenario {
  return {
    name: `${name}-blackhole`,
    what: `all that travels ${where} vanishes, one way or both, until every connection is given up`,
    installation: 'services',
    async strike(world, turn) {
      await world.renewServer({ SYNCLINE_INGEST_HEARTBEAT_MS: String(HEARTBEAT_MS), ...patchedEnv(SHORT_DEADLINES) });
      await world.advance();
      const way = wayOf(world);
      world.struck();
      const dead = way.blackhole(inTurn(WAYS, turn));
      await eventually(() => {
        if (ends.every((end) => dead[end] === 0)) throw new Error('nothing was sent into the blackhole');
      });
      await eventually(() => {
        const held = ends.filter((end) => dead[end] > 0);
        if (held.length > 0) throw new Error(`dead connections are still held by their ${held.join(' and ')} after ${world.patienceMs} ms`);
      }, world.patienceMs);
      way.heal();
    },
  };
}
