import type { Clock, Timer } from '../../core/clock.ts';
import { SyncError } from '../../core/errors.ts';
import type { Random } from '../../core/random.ts';
import type { QueueEvents } from '../queue-events.ts';
import { RedisLink, type LinkTarget, type RedisAccess, type RedisLinkOptions } from './link.ts';

/** How often it is looked whether the connection still answers: nothing else is asked over it. */
const PING_MS = 1_000;

/**
 * Hears what is announced on `channel`, over a connection of its own that is made again for ever; after each time that it
 * was, what was announced meanwhile is missed, and {@link QueueEvents.listening} says so.
 */
export class RedisAnnouncements {
  readonly #channel: string;
  readonly #clock: Clock;
  readonly #events: QueueEvents;
  readonly #link: RedisLink;
  #timer: Timer | undefined;
  /** Counts connections. */
  #epoch = 0;
  #closed = false;

  constructor(channel: string, link: RedisLinkOptions, target: LinkTarget, clock: Clock, random: Random, events: QueueEvents) {
    this.#channel = channel;
    this.#clock = clock;
    this.#events = events;
    this.#link = new RedisLink(
      link,
      {
        up: () => void this.#subscribe(++this.#epoch),
        down: () => {
          this.#epoch++;
          this.#timer?.cancel();
        },
        message: (message) => events.announced(message),
      },
      random,
      target,
    );
  }

  /** As {@link RedisLink.useAccess}. */
  useAccess(access: RedisAccess): void {
    this.#link.useAccess(access);
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#link.close();
  }

  async #subscribe(epoch: number): Promise<void> {
    try {
      // The driver knows what a subscription is by this spelling only.
      await this.#link.command('subscribe', [this.#channel]);
    } catch (error) {
      if (!(error instanceof SyncError)) throw error;
      // Not permitted, or no answer: without hints everything is found at intervals, and this is tried again at one, too.
      return this.#later(epoch, () => this.#subscribe(epoch));
    }
    if (epoch !== this.#epoch) return;
    this.#link.settled();
    this.#events.listening();
    this.#later(epoch, () => this.#watch(epoch));
  }

  /** The link gives a connection up that does not answer. */
  async #watch(epoch: number): Promise<void> {
    await this.#link.command('ping', []).catch((error: unknown) => {
      if (!(error instanceof SyncError)) throw error;
    });
    this.#later(epoch, () => this.#watch(epoch));
  }

  #later(epoch: number, run: () => Promise<void>): void {
    if (this.#closed || epoch !== this.#epoch) return;
    this.#timer = this.#clock.setTimer(PING_MS, () => void run());
  }
}
