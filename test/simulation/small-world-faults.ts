import { createHash } from 'node:crypto';
import { REDIS_MEMORY_BYTES } from './redis-group.ts';
import type { Simulation } from './simulation.ts';
import type { Interference, Sending } from './world/network.ts';
import { Together } from './world/wire.ts';

/** What can happen to a message, to those that it passes between, to what it asks for, or to a write of the client's disk. */
export type FaultKind =
  | 'lost'
  | 'last'
  | 'sender dies'
  | 'receiver dies'
  | 'Redis is wiped'
  | 'database dies'
  | 'a node stands still beyond its lease'
  | 'Redis is full'
  | 'Redis is a replica'
  | 'Redis is loading'
  | 'deadlock'
  | 'lock wait'
  | 'the database is read-only'
  | 'the disk of the database is full'
  | 'the disk is full';

/** How long a process that dies here is away. */
const AWAY_MS = 20;
/** Longer than the leases of a node. */
const STILL_MS = 4_500;
/** How long a state of the database lasts that a statement is to meet. */
const STATEMENT_MS = 3;

/** What can go wrong with a message. */
export function kindsOf({ from, to, message }: Sending, scripts: ScriptFlags): readonly FaultKind[] {
  const kinds: FaultKind[] = ['lost', 'last', 'sender dies', 'receiver dies', 'Redis is wiped'];
  if (to !== 'mariadb') kinds.push('database dies');
  if (to.startsWith('node') && !from.startsWith('client')) kinds.push('a node stands still beyond its lease');
  if (to === 'redis' && message instanceof Together) {
    const ofCommands = message.messages.flatMap((command) => kindsOfCommand(command as string[], scripts));
    kinds.push(...new Set(ofCommands));
  }
  if (to === 'mariadb') kinds.push(...kindsOfStatement((message as { sql?: string }).sql ?? ''));
  return kinds;
}

/** What scripts may do, by the flags in their first line; heard of as they are loaded. */
export class ScriptFlags {
  readonly #flags = new Map<string, string>();

  heard(script: string): void {
    const sha = createHash('sha1').update(script, 'latin1').digest('hex');
    this.#flags.set(sha, script.slice(0, script.indexOf('\n')));
  }

  of(sha: string): string {
    return this.#flags.get(sha) ?? '';
  }
}

function kindsOfCommand(args: readonly string[], scripts: ScriptFlags): FaultKind[] {
  const name = args[0]!.toUpperCase();
  if (name === 'SCRIPT') scripts.heard(args[2] ?? '');
  if (['INFO', 'CONFIG', 'CLIENT', 'SCRIPT', 'PING'].includes(name)) return [];
  const flags = name === 'EVALSHA' ? scripts.of(args[1]!) : 'no-writes';
  if (flags.includes('no-writes')) return ['Redis is loading'];
  return ['Redis is loading', 'Redis is a replica', ...(flags.includes('allow-oom') ? [] : ['Redis is full' as const])];
}

function kindsOfStatement(sql: string): FaultKind[] {
  if (sql.endsWith('WHERE FALSE')) return [];
  const isWrite = /^(INSERT|UPDATE|DELETE) /.test(sql);
  if (!isWrite && !sql.endsWith(' FOR UPDATE')) return [];
  return ['deadlock', 'lock wait', ...(isWrite ? (['the database is read-only', 'the disk of the database is full'] as const) : [])];
}

/** Does it. */
export function interference(simulation: Simulation, { from, to, message }: Sending, kind: FaultKind): Interference {
  const { redis, mariadb } = simulation.servers;
  const afterwards = (run: () => void): Interference => ({ arrives: message, afterwards: run });
  const meanwhile = (begin: () => void, end: () => void): Interference => ({ arrives: message, before: begin, afterwards: end });
  const forStatement = (begin: () => void, end: () => void) => meanwhile(begin, () => simulation.at(STATEMENT_MS, end));
  switch (kind) {
    case 'lost':
      return { arrives: undefined, afterwards: (breakConnection) => breakConnection() };
    case 'last':
      return { arrives: message, afterwards: (breakConnection) => breakConnection() };
    case 'sender dies':
      return { arrives: undefined, afterwards: () => die(simulation, from) };
    case 'receiver dies':
      return afterwards(() => die(simulation, to));
    case 'database dies':
      return afterwards(() => die(simulation, 'mariadb'));
    case 'Redis is wiped':
      return afterwards(() => redis.host.isUp && redis.flushAll());
    case 'a node stands still beyond its lease':
      return standStill(simulation, to, message);
    case 'Redis is full':
      return meanwhile(
        () => redis.setMaxMemory(1),
        () => redis.setMaxMemory(REDIS_MEMORY_BYTES),
      );
    case 'Redis is a replica':
      return meanwhile(
        () => redis.setRole('replica'),
        () => redis.setRole('master'),
      );
    case 'Redis is loading':
      return meanwhile(
        () => redis.setLoading('yes'),
        () => redis.setLoading('no'),
      );
    case 'deadlock':
    case 'lock wait':
      return meanwhile(
        () => mariadb.failStatement(kind),
        () => {},
      );
    case 'the database is read-only':
      return forStatement(
        () => mariadb.setReadOnly('on'),
        () => mariadb.setReadOnly('off'),
      );
    case 'the disk of the database is full':
      return forStatement(
        () => mariadb.setFull('on'),
        () => mariadb.setFull('off'),
      );
    case 'the disk is full':
      throw new Error('a message has no disk');
  }
}

/** A node stands still before it receives the message, and another one leads until it goes on. */
function standStill({ nodes, rival, at }: Simulation, name: string, message: unknown): Interference {
  const still = nodes.find(({ host }) => host.name === name)?.host;
  still?.pause();
  if (nodes.length === 1 && !rival.host.isUp) rival.boot();
  at(STILL_MS, () => {
    still?.resume();
    rival.host.crash();
  });
  return { arrives: message, afterwards: () => {} };
}

/** Kills the process on a host and starts it again a little later. */
function die(simulation: Simulation, name: string): void {
  const { servers, nodes, clients } = simulation;
  const parts = [servers.redis, servers.mariadb, ...nodes, ...clients];
  const part = parts.find(({ host }) => host.name === name);
  if (part === undefined || !part.host.isUp) return;
  part.host.crash();
  simulation.at(AWAY_MS, () => {
    if (!part.host.isUp) part.boot();
  });
}
