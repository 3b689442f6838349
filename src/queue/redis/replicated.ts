import type { Clock } from '../../core/clock.ts';
import { SyncError } from '../../core/errors.ts';
import type { Argument, Command, Passage, RedisLink } from './link.ts';
import type { Script } from './scripts.ts';

/** A script that is to be on replicas before its result is told. */
export interface ReplicatedCall {
  /** Sent directly before it. */
  readonly ahead?: Command | undefined;
  readonly script: Script;
  readonly keys: readonly string[];
  readonly args: readonly Argument[];
  /** A hash on the same server. A field of it is written where the script wrote nothing: see {@link ReplicatedWrites}. */
  readonly mark: string;
  readonly hasWritten: (reply: unknown) => boolean;
}

interface Mark {
  readonly key: string;
  readonly passage: Passage | undefined;
}

/** Calls whose replies came in one turn, and that wait together. */
interface Batch {
  /** The connection over which their replies came. */
  readonly connection: number;
  /** Where to write first, if one of the calls wrote nothing. */
  mark: Mark | undefined;
  readonly promise: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

const MARK_FIELD = 'mark';

/**
 * Runs scripts that write over a link of their own, and resolves when enough replicas have what they wrote, or found
 * written. A WAIT holds up everything that is sent behind it, so nothing else uses that link.
 *
 * WAIT speaks of what its own connection wrote, and of nothing when it wrote nothing. So it goes over the connection
 * over which the replies came, and where a script wrote nothing because all of it was there already (a frame that is
 * sent again because the last WAIT failed), a write goes before it: the stream of replication is one, and a replica that
 * has this write has all that was written before.
 */
export class ReplicatedWrites {
  readonly #link: RedisLink;
  readonly #replicas: number;
  readonly #timeoutMs: number;
  readonly #clock: Clock;
  #open: Batch | undefined;

  constructor(link: RedisLink, replicas: number, timeoutMs: number, clock: Clock) {
    this.#link = link;
    this.#replicas = replicas;
    this.#timeoutMs = timeoutMs;
    this.#clock = clock;
  }

  /** @throws {SyncError} `queue_unreplicated` when too few replicas had it in time; it may then be run again. */
  async run({ ahead, script, keys, args, mark, hasWritten }: ReplicatedCall, passage?: Passage): Promise<unknown> {
    const { connection } = this.#link;
    const reply = await this.#link.run(script, keys, args, passage, ahead);
    await this.#replicated(connection, hasWritten(reply) ? undefined : { key: mark, passage });
    return reply;
  }

  /** Shows whether enough replicas follow now. @throws {SyncError} as {@link run}. */
  probe(mark: string): Promise<void> {
    return this.#replicated(this.#link.connection, { key: mark, passage: undefined });
  }

  #replicated(connection: number, mark: Mark | undefined): Promise<void> {
    if (this.#open?.connection !== connection) {
      const batch: Batch = { connection, mark, ...Promise.withResolvers<void>() };
      this.#open = batch;
      this.#clock.defer(() => {
        if (this.#open === batch) this.#open = undefined;
        this.#wait(batch).then(batch.resolve, batch.reject);
      });
      return batch.promise;
    }
    this.#open.mark ??= mark;
    return this.#open.promise;
  }

  async #wait({ connection, mark }: Batch): Promise<void> {
    // Another connection may lead to another server, which need not have what was written.
    if (!this.#link.up || this.#link.connection !== connection)
      throw new SyncError('queue_unavailable', 'redis cannot be reached: the connection ended before replicas had what was written');
    const [, count] = await Promise.all([
      mark === undefined ? undefined : this.#link.command('HSET', [mark.key, MARK_FIELD, '1'], mark.passage),
      this.#link.command('WAIT', [this.#replicas, this.#timeoutMs]),
    ]);
    if (Number(count) < this.#replicas)
      throw new SyncError(
        'queue_unreplicated',
        `${Number(count)} of ${this.#replicas} replicas had what was written within ${this.#timeoutMs} ms; see INFO replication of redis, or lower queue.replicas`,
      );
  }
}
