import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../../support/free-port.ts';
import { startRedis, type RedisServer } from '../../../support/redis-server.ts';
import { SeededRandom } from '../../../support/seeded-random.ts';
import { Host } from '../../world/host.ts';
import { Network } from '../../world/network.ts';
import { Timeline } from '../../world/timeline.ts';
import { Together } from '../../world/wire.ts';
import { ErrorReply, type Reply } from '../replies.ts';
import { SimSentinel } from '../sentinel/sentinel.ts';
import { SimRedis } from '../server.ts';
import { connectReal } from './real-connection.ts';

/** A primary, which is server 0, with a replica, and three Sentinels that watch it; real or simulated. */
export interface SentinelWorld {
  readonly addresses: readonly (readonly [host: string, port: string])[];
  /** What Sentinel 0 tells of switches. */
  readonly switches: readonly string[];
  ask(sentinel: number, ...args: string[]): Promise<Reply>;
  role(server: number): Promise<Reply>;
  kill(server: number): Promise<void>;
  restart(server: number): Promise<void>;
  /** Lets a moment pass. */
  pass(): Promise<void>;
  close(): Promise<void>;
}

export const SENTINELS = 3;
const QUORUM = 2;
const DOWN_AFTER_MS = 1_000;
const FAILOVER_TIMEOUT_MS = 6_000;
const SWITCH = '+switch-master';

export async function realSentinelWorld(): Promise<SentinelWorld> {
  const folder = mkdtempSync(join(tmpdir(), 'syncline-sentinel-'));
  const primary = await startRedis();
  const replica = await startRedis({ args: ['--replicaof', '127.0.0.1', String(primary.port), '--repl-diskless-sync-delay', '0'] });
  const servers = [primary, replica];
  const sentinels: RedisServer[] = [];
  for (let i = 0; i < SENTINELS; i++) sentinels.push(await startSentinel(join(folder, String(i)), primary.port));
  const execute = async ({ port }: RedisServer, args: readonly string[]) => {
    const connection = await connectReal(port);
    const reply = await connection.execute(args);
    connection.close();
    return reply;
  };
  /** A Sentinel that makes a server a replica ends the connections that the server has, once. */
  const role = (server: RedisServer) => execute(server, ['ROLE']).catch(() => execute(server, ['ROLE']));
  const listener = await connectReal(sentinels[0]!.port);
  await listener.execute(['SUBSCRIBE', SWITCH]);
  return {
    addresses: servers.map(({ port }) => ['127.0.0.1', String(port)]),
    get switches() {
      return listener.others.map((message) => String((message as Reply[])[2]));
    },
    ask: (sentinel, ...args) => execute(sentinels[sentinel]!, args),
    role: (server) => role(servers[server]!),
    kill: (server) => servers[server]!.kill(),
    restart: (server) => servers[server]!.restart(),
    pass: () => new Promise((resolve) => void setTimeout(resolve, 50)),
    close: async () => {
      listener.close();
      for (const server of [...sentinels, ...servers]) await server.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function startSentinel(dir: string, primaryPort: number): Promise<RedisServer> {
  const port = await freePort();
  const file = join(dir, 'sentinel.conf');
  mkdirSync(dir);
  const lines = [
    `port ${port}`,
    'bind 127.0.0.1',
    `dir ${dir}`,
    `sentinel monitor main 127.0.0.1 ${primaryPort} ${QUORUM}`,
    `sentinel down-after-milliseconds main ${DOWN_AFTER_MS}`,
    `sentinel failover-timeout main ${FAILOVER_TIMEOUT_MS}`,
  ];
  writeFileSync(file, `${lines.join('\n')}\n`);
  return startRedis({ port, dir, sentinel: file });
}

export async function simulatedSentinelWorld(): Promise<SentinelWorld> {
  const timeline = new Timeline();
  const random = new SeededRandom(1);
  const network = new Network(timeline, random);
  const servers = ['a', 'b'].map((name) => new SimRedis(new Host(name, timeline), network, random));
  for (const server of servers) server.boot();
  servers[1]!.execute(['REPLICAOF', 'a', '6379']);
  const names = Array.from({ length: SENTINELS }, (_, i) => `sentinel-${i}`);
  for (const name of names) {
    const host = new Host(name, timeline);
    const times = { downAfterMs: DOWN_AFTER_MS, failoverTimeoutMs: FAILOVER_TIMEOUT_MS };
    new SimSentinel({ host, network, random, name: 'main', primary: 'a', sentinels: names, quorum: QUORUM, ...times }).boot();
  }
  const node = new Host('node', timeline);
  node.boot();
  const send = async (sentinel: number, args: readonly string[], received: (reply: Reply) => void) => {
    const wire = network.dial(node, names[sentinel]!);
    await timeline.run(timeline.nowMs + 10);
    const open = await wire;
    open.open({ message: (message) => (message as Together).messages.forEach((reply) => received(reply as Reply)), closed: () => {} });
    open.send(new Together([args]));
    await timeline.run(timeline.nowMs + 10);
  };
  const switches: string[] = [];
  await send(0, ['SUBSCRIBE', SWITCH], (reply) => {
    const [kind, , text] = reply as readonly Reply[];
    if (kind === 'message') switches.push(String(text));
  });
  return {
    addresses: servers.map(({ service }) => [service, '6379']),
    switches,
    ask: async (sentinel, ...args) => {
      let answer: Reply = new ErrorReply('no answer');
      await send(sentinel, args, (reply) => (answer = reply));
      return answer;
    },
    role: async (server) => servers[server]!.execute(['ROLE']),
    kill: async (server) => servers[server]!.kill('process'),
    restart: async (server) => servers[server]!.boot(),
    pass: () => timeline.run(timeline.nowMs + 50),
    close: async () => {},
  };
}
