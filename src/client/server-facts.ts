import { MAX_PARTITIONS } from '../core/stream.ts';
import type { TableInfo, Welcome } from '../protocol/messages.ts';

/**
 * What a client must know of the server to make batches. Kept in the spool, so that a program whose server is away when
 * it starts can write at once.
 */
export interface ServerFacts {
  readonly producer: string;
  readonly partitions: number;
  readonly maxFrameBytes: number;
  readonly tables: ReadonlyMap<string, TableInfo>;
}

export function factsOf(welcome: Welcome): ServerFacts {
  const { producer, partitions, maxFrameBytes, tables } = welcome;
  return { producer, partitions, maxFrameBytes, tables };
}

export function encodeFacts(facts: ServerFacts): string {
  return JSON.stringify({ version: 1, ...facts, tables: [...facts.tables] });
}

/** Undefined for a note that another version wrote or that makes no sense: the server tells it again. */
export function decodeFacts(note: string | undefined): ServerFacts | undefined {
  if (note === undefined) return undefined;
  try {
    const read = JSON.parse(note) as Partial<Omit<ServerFacts, 'tables'>> & { version?: unknown; tables?: [string, TableInfo][] };
    const { version, producer, partitions, maxFrameBytes, tables } = read;
    if (version !== 1 || typeof producer !== 'string' || !isCount(partitions, MAX_PARTITIONS)) return undefined;
    if (!isCount(maxFrameBytes, Number.MAX_SAFE_INTEGER) || !Array.isArray(tables)) return undefined;
    return { producer, partitions, maxFrameBytes, tables: new Map(tables) };
  } catch {
    return undefined;
  }
}

function isCount(value: unknown, most: number): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 1 && value <= most;
}
