import { strict as assert } from 'node:assert';
import type { Clock } from '../../core/clock.ts';
import type { Row } from '../../core/change.ts';
import { messageOf, SyncError, type ChangeFault } from '../../core/errors.ts';
import type { DeadLetter, LockedPartition, PartitionMoves, Shape, SinkTransaction, WriteGroup } from '../sink.ts';
import { passBarrier } from './barrier.ts';
import type { ConnectionSet } from './connection-set.ts';
import type { Connection } from './connection.ts';
import { insertDeadLetters } from './dead-letters.ts';
import { writeInSavepoint } from './savepoint.ts';
import { MysqlShape } from './table.ts';
import { moveWatermarks } from './watermarks.ts';
import { Writer } from './writer.ts';

export interface OpenTransaction {
  readonly connection: Connection;
  readonly connections: ConnectionSet;
  readonly clock: Clock;
  readonly partitions: readonly LockedPartition[];
}

/**
 * A transaction that holds the locks of its watermarks.
 *
 *     open ── write, writeOne fail ──▶ failed ── rollback ──▶ ended
 *       └──── commit (or its failure), rollback ────────────▶ ended
 *
 * The connection goes back only after COMMIT or ROLLBACK was confirmed; in every other case it is dropped, and the server
 * undoes what was open on it.
 */
export class MysqlTransaction implements SinkTransaction {
  readonly partitions: readonly LockedPartition[];
  readonly #open: OpenTransaction;
  readonly #writer: Writer;
  #state: 'open' | 'failed' | 'ended' = 'open';

  constructor(open: OpenTransaction) {
    this.partitions = open.partitions;
    this.#open = open;
    this.#writer = new Writer(open.connection);
  }

  async write(groups: readonly WriteGroup[]): Promise<void> {
    await this.#guarded(async () => {
      for (const { shape, rows } of groups) await this.#writer.write(own(shape), rows);
      await this.#writer.settle();
    });
  }

  async writeOne(shape: Shape, row: Row): Promise<ChangeFault | undefined> {
    return this.#guarded(() => writeInSavepoint(this.#open.connection, this.#writer, own(shape), row));
  }

  async commit(moves: readonly PartitionMoves[], deadLetters: readonly DeadLetter[]): Promise<void> {
    const { connection, connections, clock } = this.#open;
    const moved = moves.some(({ places }) => places.size > 0);
    await this.#guarded(async () => {
      if (deadLetters.length > 0) await insertDeadLetters(connection, deadLetters, clock.wallMs());
      if (moved) await moveWatermarks(connection, this.partitions, moves, clock.wallMs());
    });
    this.#state = 'ended';
    try {
      await connection.run('COMMIT');
    } catch (error) {
      // Whatever was answered, or not: only the watermark can tell whether the commit happened.
      connections.drop(connection);
      throw new SyncError('commit_unknown', `the outcome of COMMIT is unknown: ${messageOf(error)}`);
    }
    try {
      // A transaction that changed nothing ends without waiting for the disk, and what it saw may not be there yet.
      if (!moved && deadLetters.length === 0) await passBarrier(connection);
    } finally {
      connections.give(connection);
    }
  }

  async rollback(): Promise<void> {
    if (this.#state === 'ended') return;
    this.#state = 'ended';
    const { connection, connections } = this.#open;
    try {
      await this.#writer.settle().catch(() => {});
      await connection.run('ROLLBACK');
      connections.give(connection);
    } catch {
      // The server rolls back when it notices that the connection is gone.
      connections.drop(connection);
    }
  }

  async #guarded<T>(work: () => Promise<T>): Promise<T> {
    assert(this.#state === 'open', `a transaction is used after it has ${this.#state}`);
    try {
      return await work();
    } catch (error) {
      this.#state = 'failed';
      throw error;
    }
  }
}

function own(shape: Shape): MysqlShape {
  assert(shape instanceof MysqlShape, 'a shape comes from the sink that writes it');
  return shape;
}
