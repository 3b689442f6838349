import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { eventually } from '../../../support/eventually.ts';
import { SeededRandom } from '../../../support/seeded-random.ts';
import { redisAvailable, startRedis, type RedisServer } from '../../../support/redis-server.ts';
import { Host } from '../../world/host.ts';
import { Network } from '../../world/network.ts';
import { Timeline } from '../../world/timeline.ts';
import { ErrorReply, StatusReply, type Reply } from '../replies.ts';
import { SimRedis } from '../server.ts';
import { connectReal, type RealConnection } from './real-connection.ts';

/** A Redis, real or simulated, as the comparisons drive it. */
export interface Subject {
  execute(...args: string[]): Promise<Answer>;
  sleep(ms: number): Promise<void>;
  /** Ends the process and starts it again with its file. */
  restart(): Promise<void>;
  /** As {@link restart}; the server then loads its file for longer than a scenario takes. */
  restartSlowly(): Promise<void>;
  becomeReplica(): Promise<void>;
  failSaves(): Promise<void>;
  close(): Promise<void>;
}

export interface Answer {
  /** The reply, for what the next command needs of it. */
  readonly reply: Reply;
  /** The reply as text that can be compared: what depends on the time of day is masked. */
  readonly text: string;
}

const NEAR_MS = 3_600_000;
const ARGS = ['--appendonly', 'yes', '--appendfsync', 'everysec'];
/** While it loads, Redis looks at its connections after each 1024 commands, which are slowed down then. */
const SLOW_COMMANDS = 40_000;

/** Whether a real Redis of the version that is simulated is here; in CI there must be one. */
export function comparable(): boolean {
  if (!redisAvailable()) return false;
  const isSame = spawnSync('redis-server', ['--version']).stdout.includes(' v=7.0.');
  if (!isSame && process.env['CI'] === 'true') throw new Error('redis-server 7.0 must be installed where CI=true');
  return isSame;
}

export async function realSubject(): Promise<Subject> {
  const server = await startRedis({ args: ARGS });
  let connection = await connectReal(server.port);
  let loading: Promise<RedisServer> | undefined;
  return {
    execute: async (...args) => answer(args, await connection.execute(args), Date.now()),
    sleep: (ms) => new Promise((resolve) => void setTimeout(resolve, ms)),
    restart: async () => {
      // Else a kill would lose what is held back from the file while it is forced to the disk.
      await connection.execute(['CONFIG', 'SET', 'appendfsync', 'always']);
      connection.close();
      await server.restart();
      connection = await connectReal(server.port);
    },
    restartSlowly: async () => {
      await connection.execute(['EVAL', `for i = 1, ${SLOW_COMMANDS} do redis.call('RPUSH', KEYS[1], i) end`, '1', 'filling']);
      await connection.execute(['CONFIG', 'SET', 'appendfsync', 'always']);
      connection.close();
      await server.kill();
      loading = startRedis({ args: [...ARGS, '--key-load-delay', '10'], port: server.port, dir: server.dir });
      connection = await eventually(() => connectReal(server.port));
    },
    becomeReplica: async () => void (await connection.execute(['REPLICAOF', '127.0.0.1', '1'])),
    failSaves: () => failSaves(server, connection),
    close: async () => {
      connection.close();
      await (await loading)?.close();
      await server.close();
    },
  };
}

export async function simulatedSubject(): Promise<Subject> {
  const timeline = new Timeline();
  const random = new SeededRandom(1);
  const redis = new SimRedis(new Host('redis', timeline), new Network(timeline, random), random, { persistence: 'always' });
  redis.boot();
  return {
    execute: async (...args) => answer(args, redis.execute(args), redis.store.wallMs),
    sleep: (ms) => timeline.run(timeline.nowMs + ms),
    restart: async () => {
      redis.kill('process');
      redis.boot();
    },
    restartSlowly: async () => {
      redis.kill('process');
      redis.boot(60_000);
    },
    becomeReplica: async () => redis.setRole('replica'),
    failSaves: async () => redis.setSaves('fail'),
    close: async () => {},
  };
}

/** The folder of the server is gone, so saving fails. */
async function failSaves(server: RedisServer, connection: RealConnection): Promise<void> {
  await connection.execute(['CONFIG', 'SET', 'appendonly', 'no']);
  await connection.execute(['CONFIG', 'SET', 'save', '3600 1']);
  rmSync(server.dir, { recursive: true });
  await connection.execute(['BGSAVE']);
  while (!String(await connection.execute(['INFO', 'persistence'])).includes('rdb_last_bgsave_status:err')) {
    await new Promise((resolve) => void setTimeout(resolve, 10));
  }
}

function answer(args: readonly string[], reply: Reply, nowMs: number): Answer {
  if (args[0] === 'TIME' && Array.isArray(reply)) return { reply, text: `the time, in ${reply.length} parts` };
  return { reply, text: describe(args[0] === 'HSCAN' ? sortedScan(reply) : reply, nowMs) };
}

/** The order in which a hash is walked through is nobody's business. */
function sortedScan(reply: Reply): Reply {
  if (!Array.isArray(reply)) return reply;
  const pairs = reply[1] as string[];
  const names = pairs.filter((_, i) => i % 2 === 0).sort();
  return [reply[0] as string, ...names.flatMap((name) => [name, pairs[pairs.indexOf(name) + 1]!])];
}

/** A reply as text that can be compared; times near `nowMs` are masked. */
export function describe(reply: Reply, nowMs: number): string {
  if (reply instanceof ErrorReply) return `-${reply.message}`;
  if (reply instanceof StatusReply) return `+${reply.text}`;
  if (Array.isArray(reply)) return `[${(reply as readonly Reply[]).map((item) => describe(item, nowMs)).join(', ')}]`;
  return typeof reply === 'string' ? JSON.stringify(masked(reply, nowMs)) : String(reply);
}

/** Masks times near now: of an element, where they are in its check too, and of the last push in the hash `meta`. */
function masked(text: string, nowMs: number): string {
  const isNear = (us: number) => Math.abs(us / 1000 - nowMs) < NEAR_MS;
  if (/^\d{16}$/.test(text) && isNear(Number(text))) return '<now>';
  if (text.length >= 21 && text.startsWith('\xb2')) {
    const bytes = Buffer.from(text, 'latin1');
    const check = (bytes.readUInt32BE(1) - bytes.readUInt32BE(5) - bytes.readUInt32BE(9)) >>> 0;
    if (isNear(Number(bytes.readBigUInt64BE(5)))) return `\xb2<${check} and now><now>${text.slice(13)}`;
  }
  return text;
}
