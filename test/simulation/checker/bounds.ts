import type { Simulation } from '../simulation.ts';

/**
 * What may be held at most while a history runs. Each is what the settings of `SimNode` and `SimClient` say, and a frame
 * for everybody who can be in the middle of one.
 */
const BOUNDS = {
  /** `maxInFlightBytes`, and for each of three clients a frame with its overhead. */
  inFlightBytes: 8_000 + 3 * 1_000,
  /** `bufferBytes`, and the change that fills it with the headers of its frames. */
  pendingBytes: 20_000 + 1_000,
  /** `creditBytes`, or one frame. */
  outstandingBytes: 4_000,
  /** What is held, and what is applied and not marked yet. */
  spoolBytes: 2 * 20_000,
  /** Of one node: the queue's, and one for each thread; and those that are not ended yet of before. */
  redisConnections: 2 * 3,
  /** Of one node: eight uses beside transactions, and a transaction of each thread; and likewise. */
  mariadbConnections: 2 * (8 + 2),
} as const;

/** What a process may wait for once everything is applied: timers, and what is on its way to it. */
const AT_REST = { node: 20, client: 4, redis: 5, mariadb: 20, redisConnections: 3, sessions: 8 + 2 } as const;

/** Looks whether anything in a running history has outgrown its bound. */
export function boundFaults(simulation: Simulation): string[] {
  const { node, rival, clients, network } = simulation;
  return [
    ...[node, rival].flatMap(({ host, inFlightBytes }) => [
      ...over(`${host.name}: bytes in flight`, inFlightBytes, BOUNDS.inFlightBytes),
      ...over(`${host.name}: connections to Redis`, network.connectionCount(host.name, 'redis'), BOUNDS.redisConnections),
      ...over(`${host.name}: connections to the database`, network.connectionCount(host.name, 'mariadb'), BOUNDS.mariadbConnections),
    ]),
    ...clients.flatMap((client) => {
      const { pendingBytes = 0, outstandingBytes = 0 } = client.status() ?? {};
      const spoolBytes = client.disk.held.reduce((sum, { bytes }) => sum + bytes.length, 0);
      return [
        ...over(`${client.host.name}: bytes pending`, pendingBytes, BOUNDS.pendingBytes),
        ...over(`${client.host.name}: bytes outstanding`, outstandingBytes, BOUNDS.outstandingBytes),
        ...over(`${client.host.name}: bytes in its spool`, spoolBytes, BOUNDS.spoolBytes),
      ];
    }),
  ];
}

/** Looks whether anything is left over when nobody has anything to do any more. */
export function leftovers({ node, clients, servers: { redis, mariadb }, network }: Simulation, partitions: number): string[] {
  const lists = Array.from({ length: partitions }, (_, i) => Number(redis.execute(['LLEN', `syncline:{${i}}:list:main`])));
  return [
    ...over('elements in the queue', Math.max(...lists), 0),
    ...over('node: bytes in flight at rest', node.inFlightBytes, 0),
    ...over('node: timers', node.host.waitingCount, AT_REST.node),
    ...over('node: connections to Redis at rest', network.connectionCount('node', 'redis'), AT_REST.redisConnections),
    ...over('redis: timers', redis.host.waitingCount, AT_REST.redis),
    ...over('mariadb: timers', mariadb.host.waitingCount, AT_REST.mariadb),
    ...over('sessions of the database', mariadb.sessionIds.length, AT_REST.sessions),
    ...clients.flatMap(({ host, disk }) => [
      ...over(`${host.name}: timers`, host.waitingCount, AT_REST.client),
      ...over(`${host.name}: connections`, network.connectionCount(host.name, 'node'), 1),
      ...over(`${host.name}: frames in its spool`, disk.held.length, 0),
    ]),
  ];
}

function over(what: string, value: number, bound: number): string[] {
  return value > bound ? [`${what}: ${value}, more than ${bound}`] : [];
}
