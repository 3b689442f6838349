import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FaultProxy } from '../../src/chaos/fault-proxy.ts';
import { eventually } from './eventually.ts';
import { freePort } from './free-port.ts';
import { startRedis, type RedisServer } from './redis-server.ts';
import { LOOPBACK, type Site } from './test-network.ts';

/** A master with replicas that three Sentinels watch, each in a temporary folder. */
export interface SentinelGroup {
  /** Master and replicas; the first one was the master at the start. */
  readonly servers: readonly RedisServer[];
  readonly sentinels: readonly RedisServer[];
  /** In front of each Sentinel, for whoever uses {@link url}; the Sentinels talk to each other without them. */
  readonly proxies: readonly FaultProxy[];
  /** `redis+sentinel://…`, through the proxies. */
  readonly url: string;
  /** The same without them, for processes that cannot reach our loopback. */
  readonly directUrl: string;
  /** The server that the Sentinels name, all of them the same. */
  master(): Promise<RedisServer>;
  /** Resolves when every other server is a replica of the master and has all that it has. */
  inSync(): Promise<void>;
  /** Makes a replica that has everything the master, and resolves when all Sentinels name it and the old one follows it. */
  promote(): Promise<RedisServer>;
  /** Cuts a server off from Sentinels and other servers, and from nobody else. */
  isolate(server: RedisServer): Promise<void>;
  /** Starts one more Sentinel, which reaches nobody: it goes on naming the server that is the master now. */
  startCutOff(): Promise<RedisServer>;
  /** Ends what {@link isolate} began. */
  rejoin(server: RedisServer): Promise<void>;
  close(): Promise<void>;
}

export interface SentinelGroupOptions {
  readonly replicas?: number;
  /** Further arguments of every server. */
  readonly args?: readonly string[];
  /** Where the first server runs: on loopback when it is left out, as is everything else. */
  readonly firstSite?: Site;
  /** Where the others and the Sentinels run. */
  readonly site?: Site;
  /** How often the Sentinels look and tell: as it comes, or when it is left out more often, so that tests wait for less. */
  readonly pace?: 'as it comes';
  /** The folder that its own is made in. */
  readonly dir?: string;
}

const NAME = 'main';
const SENTINELS = 3;
const QUORUM = 2;
/** What everybody else needs: without one, whoever gives a wrong password would be let in all the same. */
const PASSWORD = 'secret';
/** How long a server may be silent until a Sentinel takes it for dead. */
export const DOWN_AFTER_MS = 2_000;
/**
 * How often the Sentinels ask a server for its role and tell each other what they know. It comes as 10 s and 2 s, and only
 * after four times the latter is an old master made a replica.
 */
const SHORT_PERIODS = ['info-period', '1000', 'publish-period', '1000'] as const;
/** The user as which Sentinels and replicas come: {@link SentinelGroup.isolate} turns away nobody else. */
const PEER = 'peer';
const PEER_PASSWORD = 'peer-secret';
/** Longer than a failover takes whose first attempt failed. */
const SETTLE_TIMEOUT_MS = 90_000;

/** Starts the servers and the Sentinels; resolves when the replicas follow and the Sentinels know each other. */
export async function startSentinelGroup(options: SentinelGroupOptions = {}): Promise<SentinelGroup> {
  const { replicas = 1, args = [], site = LOOPBACK, firstSite = site } = options;
  const folder = mkdtempSync(join(options.dir ?? tmpdir(), 'syncline-sentinel-'));
  const servers: RedisServer[] = [];
  const sentinels: RedisServer[] = [];
  const proxies: FaultProxy[] = [];
  const close = async () => {
    await Promise.all([...proxies, ...sentinels, ...servers].map((part) => part.close()));
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    for (let i = 0; i <= replicas; i++) {
      // In a file, because what a Sentinel makes of a server must outlive its process.
      const dir = join(folder, `redis-${i}`);
      const config = join(dir, 'redis.conf');
      mkdirSync(dir);
      const [first] = servers;
      writeFileSync(config, first === undefined ? SERVER_LINES : `${SERVER_LINES}replicaof ${first.address} ${first.port}\n`);
      servers.push(await startRedis({ dir, config, args, password: PASSWORD, site: first === undefined ? firstSite : site }));
    }
    for (let i = 0; i < SENTINELS; i++) {
      const sentinel = await startSentinel(join(folder, String(i)), servers[0] as RedisServer, PEER_PASSWORD, site);
      sentinels.push(sentinel);
      proxies.push(await FaultProxy.start(sentinel.port, sentinel.address));
    }
    const group = groupOf(folder, servers, sentinels, proxies, close);
    await group.inSync();
    if (options.pace !== 'as it comes') for (const sentinel of sentinels) await sentinel.command('SENTINEL', 'DEBUG', ...SHORT_PERIODS);
    await eventually(async () => {
      for (const sentinel of sentinels) await expectKnown(sentinel, replicas);
    }, SETTLE_TIMEOUT_MS);
    return group;
  } catch (error) {
    await close();
    throw error;
  }
}

function groupOf(
  folder: string,
  servers: readonly RedisServer[],
  sentinels: readonly RedisServer[],
  proxies: readonly FaultProxy[],
  closeGroup: () => Promise<void>,
): SentinelGroup {
  const cutOff: RedisServer[] = [];
  const master = () => eventually(() => agreedMaster(servers, sentinels), SETTLE_TIMEOUT_MS);
  const inSync = () =>
    eventually(async () => {
      const offsets = await Promise.all(servers.map((server) => replicationOf(server)));
      const masters = offsets.filter((fields) => fields.get('role') === 'master');
      const following = offsets.filter((fields) => fields.get('role') === 'slave' && fields.get('master_link_status') === 'up');
      if (masters.length !== 1 || following.length !== servers.length - 1) throw new Error('not every server follows the master');
      const offset = masters[0]?.get('master_repl_offset');
      if (following.some((fields) => fields.get('slave_repl_offset') !== offset)) throw new Error('a replica lacks something');
    }, SETTLE_TIMEOUT_MS);
  return {
    servers,
    sentinels,
    proxies,
    url: `redis+sentinel://:${PASSWORD}@${proxies.map(({ port }) => `127.0.0.1:${port}`).join(',')}/${NAME}`,
    directUrl: `redis+sentinel://:${PASSWORD}@${sentinels.map(({ address, port }) => `${address}:${port}`).join(',')}/${NAME}`,
    master,
    inSync,
    promote: async () => {
      const before = await master();
      // Sentinel hands over at once, and what the replica lacks at that moment is lost.
      await inSync();
      const after = await eventually(
        async () => {
          const named = await agreedMaster(servers, sentinels);
          if (named !== before) return named;
          // Refused while one is under way; one that was given up is begun again.
          await (sentinels[0] as RedisServer).command('SENTINEL', 'FAILOVER', NAME);
          throw new Error('the Sentinels still name the old master');
        },
        SETTLE_TIMEOUT_MS,
        100,
      );
      await inSync();
      return after;
    },
    isolate: async (server) => {
      await server.command('ACL', 'SETUSER', PEER, 'off');
      await server.command('CLIENT', 'KILL', 'USER', PEER);
    },
    rejoin: async (server) => void (await server.command('ACL', 'SETUSER', PEER, 'on')),
    startCutOff: async () => {
      const dir = join(folder, `cut-off-${cutOff.length}`);
      const sentinel = await startSentinel(dir, await master(), 'wrong', LOOPBACK);
      cutOff.push(sentinel);
      return sentinel;
    },
    close: async () => {
      await Promise.all(cutOff.map((sentinel) => sentinel.close()));
      await closeGroup();
    },
  };
}

const SERVER_LINES = `user ${PEER} on >${PEER_PASSWORD} ~* &* +@all
requirepass ${PASSWORD}
masteruser ${PEER}
masterauth ${PEER_PASSWORD}
protected-mode no
repl-diskless-sync-delay 0
`;

async function startSentinel(dir: string, master: RedisServer, password: string, site: Site): Promise<RedisServer> {
  const port = await freePort();
  const file = join(dir, 'sentinel.conf');
  mkdirSync(dir);
  const lines = [
    `port ${port}`,
    `bind ${site.address}`,
    'protected-mode no',
    `dir ${dir}`,
    `sentinel monitor ${NAME} ${master.address} ${master.port} ${QUORUM}`,
    `sentinel auth-user ${NAME} ${PEER}`,
    `sentinel auth-pass ${NAME} ${password}`,
    `sentinel down-after-milliseconds ${NAME} ${DOWN_AFTER_MS}`,
    `sentinel failover-timeout ${NAME} 6000`,
  ];
  writeFileSync(file, `${lines.join('\n')}\n`);
  return startRedis({ port, dir, sentinel: file, site });
}

async function expectKnown(sentinel: RedisServer, replicas: number): Promise<void> {
  const fields = fieldsOf((await sentinel.command('INFO', 'sentinel')).replaceAll(',', '\r\n').replaceAll('=', ':'));
  if (fields.get('sentinels') !== String(SENTINELS) || fields.get('slaves') !== String(replicas))
    throw new Error('a Sentinel does not know all the others yet');
}

async function agreedMaster(servers: readonly RedisServer[], sentinels: readonly RedisServer[]): Promise<RedisServer> {
  const replies = await Promise.all(sentinels.map((sentinel) => sentinel.command('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', NAME)));
  const ports = new Set(replies.map((reply) => Number(reply.split('\r\n').at(-1))));
  const named = servers.find(({ port }) => ports.size === 1 && ports.has(port));
  if (named === undefined) throw new Error('the Sentinels do not name the same master');
  return named;
}

async function replicationOf(server: RedisServer): Promise<Map<string, string>> {
  return fieldsOf(await server.command('INFO', 'replication'));
}

function fieldsOf(info: string): Map<string, string> {
  return new Map(
    info
      .split('\r\n')
      .filter((line) => line.includes(':'))
      .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]),
  );
}
