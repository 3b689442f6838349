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

/** Barriers for many who ask at once: one that begins after they asked serves them all. */
export class Barrier {
  readonly #connections: ConnectionSet;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(connections: ConnectionSet) {
    this.#connections = connections;
  }

  /** Resolves when everything that any connection of the set has read before survives a crash of the server. */
  pass(): Promise<void> {
    if (this.#running === undefined) return this.#run();
    // It may have begun before the caller's read.
    this.#next ??= this.#running.then(
      () => this.#run(),
      () => this.#run(),
    );
    return this.#next;
  }

  #run(): Promise<void> {
    this.#next = undefined;
    const running = this.#connections
      .use((connection) => passBarrier(connection))
      .finally(() => {
        if (this.#running === running) this.#running = undefined;
      });
    this.#running = running;
    return running;
  }
}
