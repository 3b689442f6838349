import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { SyncError } from '../../core/errors.ts';
import { decodeWholeElement } from '../element.ts';
import type { Element, FetchLimits, QueueReader } from '../queue.ts';
import { sqliteError } from './errors.ts';
import { listTable, openForReading, PARTITION_SPAN } from './schema.ts';

export interface EmbeddedReaderOptions {
  readonly folder: string;
}

/**
 * Opens the reading half of the embedded queue in `folder`, with a connection of its own. The file is opened by the first
 * fetch, and anew after a failure. Reads block the calling thread: that is what slice threads are for.
 */
export async function openEmbeddedReader({ folder }: EmbeddedReaderOptions): Promise<QueueReader> {
  return new EmbeddedReader(folder);
}

class EmbeddedReader implements QueueReader {
  readonly #folder: string;
  #database: DatabaseSync | undefined;
  /** By sink. */
  readonly #statements = new Map<string, StatementSync>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  async fetch(sink: string, partition: number, limits: FetchLimits): Promise<Element[]> {
    try {
      const statement = this.#statement(sink);
      const start = partition * PARTITION_SPAN;
      const elements: Element[] = [];
      let bytes = 0;
      for (const row of statement.iterate(start, start + PARTITION_SPAN, limits.elements)) {
        const element = row['element'] as Uint8Array;
        elements.push(decodeWholeElement(element));
        bytes += element.length;
        if (bytes >= limits.bytes) break;
      }
      return elements;
    } catch (error) {
      const problem = sqliteError(error);
      if (problem === undefined) throw error;
      if (problem.code !== 'newer_format') await this.close();
      throw problem;
    }
  }

  async close(): Promise<void> {
    this.#statements.clear();
    this.#database?.close();
    this.#database = undefined;
  }

  #statement(sink: string): StatementSync {
    this.#database ??= openForReading(this.#folder);
    let statement = this.#statements.get(sink);
    if (statement === undefined) {
      const table = listTable(this.#database, sink);
      if (table === undefined) throw new SyncError('queue_unavailable', `the queue in ${this.#folder} has no list for sink ${sink}`);
      statement = this.#database.prepare(`SELECT element FROM ${table} WHERE id > ? AND id < ? ORDER BY id LIMIT ?`);
      this.#statements.set(sink, statement);
    }
    return statement;
  }
}
