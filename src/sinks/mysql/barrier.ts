import type { Clock } from '../../core/clock.ts';
import type { ConnectionSet } from './connection-set.ts';
import type { Connection } from './connection.ts';

/** Rows that barriers change: few of those that come at once wait for one another. */
const SLOTS = 64;

/**
 * Waits until every commit that this session has seen survives a crash of the server.
 *
 * InnoDB shows a commit to others before its log is on the disk, and undoes it if the server dies in between; only whoever
 * sent the COMMIT waits for the disk. The log is written in order of commits, so once a commit of our own is answered,
 * everything that we saw before is on the disk too. Nothing but a changed row makes a commit wait.
 */
export async function passBarrier(connection: Connection): Promise<void> {
  const slot = connection.facts.connectionId % SLOTS;
  await connection.run(`INSERT INTO syncline_barrier (id,passed) VALUES (${slot},1) ON DUPLICATE KEY UPDATE passed=passed+1`);
}

/** Nobody waits for the end of a barrier that has taken longer than this, ms: its connection may hang. */
const STALE_MS = 1_000;

/** Barriers for many who ask at once: one that begins after they asked serves them all. */
export class Barrier {
  readonly #connections: Pick<ConnectionSet, 'use'>;
  readonly #clock: Clock;
  #running: { readonly done: Promise<void>; readonly sinceMs: number } | undefined;
  #next: Promise<void> | undefined;

  constructor(connections: Pick<ConnectionSet, 'use'>, clock: Clock) {
    this.#connections = connections;
    this.#clock = clock;
  }

  /** Resolves when everything that any connection of the set has read before survives a crash of the server. */
  pass(): Promise<void> {
    if (this.#running === undefined || this.#clock.monotonicMs() - this.#running.sinceMs >= STALE_MS) return this.#run();
    // The one that runs may have begun before the caller's read.
    this.#next ??= this.#running.done.then(
      () => this.#run(),
      () => this.#run(),
    );
    return this.#next;
  }

  #run(): Promise<void> {
    this.#next = undefined;
    const done = this.#connections
      .use((connection) => passBarrier(connection))
      .finally(() => {
        if (this.#running === running) this.#running = undefined;
      });
    const running = { done, sinceMs: this.#clock.monotonicMs() };
    this.#running = running;
    return done;
  }
}
