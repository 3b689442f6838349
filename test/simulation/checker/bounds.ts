import { replicasOf, type Installation } from '../installation.ts';
import type { Simulation } from '../simulation.ts';
import { leaseKey, type WatchedRedis } from './watched-redis.ts';

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
  /** Those that are not ended yet of before, and as many. */
  generations: 2,
  /** Of one node: eight uses beside transactions, and a transaction of each thread; and likewise. */
  mariadbConnections: 8 + 2,
} as const;

/** What a process may wait for once everything is applied: timers, among them the deadlines of what it asks just then, and what is on its way to it. */
const AT_REST = {
  node: 30,
  client: 4,
  redis: 5,
  mariadb: 20,
  sessionsOfNode: 8 + 2,
} as const;

/** Looks whether anything in a running history has outgrown its bound. */
export function boundFaults(simulation: Simulation): string[] {
  const { nodes, rival, clients, network, servers, installation } = simulation;
  const redisConnections = BOUNDS.generations * redisConnectionsOf(installation);
  return [
    ...[...nodes, rival].flatMap(({ host, inFlightBytes }) => [
      ...over(`${host.name}: bytes in flight`, inFlightBytes, BOUNDS.inFlightBytes),
      ...servers.group.servers.flatMap(({ service }) =>
        over(`${host.name}: connections to ${service}`, network.connectionCount(host.name, service), redisConnections),
      ),
      ...over(
        `${host.name}: connections to the database`,
        network.connectionCount(host.name, 'mariadb'),
        BOUNDS.generations * BOUNDS.mariadbConnections,
      ),
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
export function leftovers(simulation: Simulation): string[] {
  const {
    partitions,
    nodes,
    clients,
    servers: { group, mariadb },
    network,
    installation,
  } = simulation;
  const lists = Array.from({ length: partitions }, (_, i) => {
    const list = `syncline:{${i}}:list:main`;
    return Number(group.primaryOf(list).execute(['LLEN', list]));
  });
  return [
    ...over('elements in the queue', Math.max(...lists), 0),
    ...over('keys of frames without elements', sumOf(group.primaries.map(orphansOf)), sumOf(group.servers.map(({ strays }) => strays))),
    ...nodes.flatMap(({ host: { name, waitingCount }, inFlightBytes }) => [
      ...over(`${name}: bytes in flight at rest`, inFlightBytes, 0),
      ...over(`${name}: timers`, waitingCount, AT_REST.node),
      ...group.primaries.flatMap(({ service }) =>
        over(`${name}: connections to ${service} at rest`, network.connectionCount(name, service), redisConnectionsOf(installation)),
      ),
    ]),
    ...sharesOf(simulation),
    ...group.primaries.flatMap(({ host }) => over(`${host.name}: timers`, host.waitingCount, AT_REST.redis)),
    ...over('mariadb: timers', mariadb.host.waitingCount, AT_REST.mariadb),
    ...over('sessions of the database', mariadb.sessionIds.length, AT_REST.sessionsOfNode * nodes.length),
    ...clients.flatMap(({ host, disk }) => [
      ...over(`${host.name}: timers`, host.waitingCount, AT_REST.client),
      ...over(`${host.name}: connections`, sumOf(nodes.map((node) => network.connectionCount(host.name, node.host.name))), 1),
      ...over(`${host.name}: frames in its spool`, disk.held.length, 0),
    ]),
  ];
}

function orphansOf({ store }: WatchedRedis): number {
  return store.keys().filter((key) => key.includes(':frames:') && store.get(key) !== undefined).length;
}

/** Of several nodes, who leads and who applies what, when nobody is in the way of anybody any more. */
function sharesOf({ installation: { mode }, nodes, servers: { group }, partitions }: Simulation): string[] {
  if (mode === 'standalone') return [];
  const holders = Array.from({ length: partitions }, (_, i) =>
    String(group.primaryOf(leaseKey(i)).execute(['GET', leaseKey(i)]))
      .split(' ')
      .at(-1),
  );
  const counts = nodes.map(({ host }) => holders.filter((holder) => holder === host.name).length);
  const primaries = nodes.filter((node) => node.isPrimary).map(({ host }) => host.name);
  const text = `partitions are held by ${holders.join(', ')}, and clients belong to ${primaries.join(', ')}`;
  const isRight =
    mode === 'standby'
      ? primaries.length === 1 && holders.every((holder) => holder === primaries[0])
      : primaries.length === nodes.length && sumOf(counts) === partitions && Math.max(...counts) - Math.min(...counts) <= 1;
  return isRight ? [] : [text];
}

/** Of one node: the queue's, and one for each thread; one for what nodes tell each other, and one for what replicas must have. */
function redisConnectionsOf(installation: Installation): number {
  return 3 + (installation.mode === 'standalone' ? 0 : 1) + (replicasOf(installation) > 0 ? 1 : 0);
}

function sumOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}

function over(what: string, value: number, bound: number): string[] {
  return value > bound ? [`${what}: ${value}, more than ${bound}`] : [];
}
