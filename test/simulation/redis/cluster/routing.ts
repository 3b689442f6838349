import { DATA_COMMANDS } from '../commands.ts';
import { ErrorReply } from '../replies.ts';
import { slotOfKey } from './slots.ts';
import type { KnownNode, Topology } from './topology.ts';

/** Where a command on keys is carried out, or why nowhere. */
export type Route = 'here' | ErrorReply;

/** What decides where a command goes, besides who has which slot. */
export interface RouteParts {
  readonly topology: Topology;
  readonly isDown: boolean;
  hasKey(key: string): boolean;
}

/** How a command came. */
export interface Coming {
  /** ASKING came directly before it, or it is one that needs none. */
  readonly isAsking: boolean;
  /** The connection reads from replicas. */
  readonly isReading: boolean;
  readonly isWrite: boolean;
  readonly isMigrate: boolean;
}

export const DOWN = 'CLUSTERDOWN The cluster is down';
const WITHOUT_KEYS = new Set(['DBSIZE', 'FLUSHALL', 'TIME']);

/** The keys that a command names; a script by its count. */
export function keysOf(args: readonly string[]): readonly string[] {
  const name = args[0]!.toUpperCase();
  if (name === 'EVAL' || name === 'EVALSHA') {
    const count = Number(args[2]);
    return count > 0 && count <= args.length - 3 ? args.slice(3, 3 + count) : [];
  }
  if (name === 'MIGRATE') return args.slice(3, 4);
  if (name === 'RESTORE' || name === 'RESTORE-ASKING') return args.slice(1, 2);
  if (!Object.hasOwn(DATA_COMMANDS, name) || WITHOUT_KEYS.has(name)) return [];
  return name === 'DEL' ? args.slice(1) : args.slice(1, 2);
}

/** As `getNodeByQuery` of Redis 7.0 decides, in its order. */
export function routeOf(keys: readonly string[], coming: Coming, parts: RouteParts): Route {
  const [first] = keys;
  if (first === undefined) return 'here';
  const { topology } = parts;
  const slot = slotOfKey(first);
  const owner = topology.ownerOf(slot);
  if (owner === undefined) return new ErrorReply('CLUSTERDOWN Hash slot not served');
  if (keys.some((key) => slotOfKey(key) !== slot)) return new ErrorReply("CROSSSLOT Keys in request don't hash to the same slot");
  if (parts.isDown) return new ErrorReply(DOWN);
  const target = owner === topology.self ? topology.migrating.get(slot) : undefined;
  const isImporting = target === undefined && topology.importing.has(slot);
  if ((target !== undefined || isImporting) && coming.isMigrate) return 'here';
  if (target !== undefined) {
    const missing = keys.filter((key) => !parts.hasKey(key)).length;
    if (missing === 0) return 'here';
    return missing < keys.length ? apart() : to('ASK', slot, target);
  }
  if (isImporting && coming.isAsking) {
    const hasSeveral = keys.some((key) => key !== first);
    return hasSeveral && keys.some((key) => !parts.hasKey(key)) ? apart() : 'here';
  }
  if (coming.isReading && !coming.isWrite && topology.self.master === owner) return 'here';
  return owner === topology.self ? 'here' : to('MOVED', slot, owner);
}

function apart(): ErrorReply {
  return new ErrorReply('TRYAGAIN Multiple keys request during rehashing of slot');
}

function to(kind: 'MOVED' | 'ASK', slot: number, { host }: KnownNode): ErrorReply {
  return new ErrorReply(`${kind} ${slot} ${host}:6379`);
}
