import type { Reply } from './replies.ts';

/** A connection as the server sees it. */
export interface Client {
  /** Sends what is not the reply to the command that runs: a message, or one of several answers. */
  deliver(message: Reply): void;
  /** The name of the host at its other end. */
  readonly peer: string;
  /** Answers the command that it waits for, and goes on with what came after it, or ends. */
  answer(reply: Reply, then?: 'and end'): void;
  /** Sends a replica what is no reply. */
  transmit(message: unknown, bytes: number): void;
  /** Ends it at once, as a reset. */
  break(): void;
}

/** Who listens to which channel of a server. What is published reaches those who listen at that moment, and nobody later. */
export class Channels {
  readonly #listeners = new Map<string, Set<Client>>();
  readonly #channels = new Map<Client, Set<string>>();

  /** Whether it listens to a channel, and so may send nothing but what is about channels. */
  isSubscribed(client: Client): boolean {
    return this.#channels.has(client);
  }

  /** Gives the answer to the last channel; those to the others are delivered before. */
  subscribe(client: Client, channels: readonly string[]): Reply {
    const answers = channels.map((channel) => {
      const own = this.#channels.get(client) ?? new Set<string>();
      const listeners = this.#listeners.get(channel) ?? new Set<Client>();
      this.#channels.set(client, own.add(channel));
      this.#listeners.set(channel, listeners.add(client));
      return ['subscribe', channel, own.size];
    });
    return lastOf(client, answers);
  }

  /** From all channels when none is named. The answers come as those of {@link subscribe}. */
  unsubscribe(client: Client, channels: readonly string[]): Reply {
    const named = channels.length > 0 ? channels : [...(this.#channels.get(client) ?? [])];
    const answers = named.map((channel) => {
      this.#leave(client, channel);
      return ['unsubscribe', channel, this.#channels.get(client)?.size ?? 0];
    });
    return lastOf(client, answers.length > 0 ? answers : [['unsubscribe', null, 0]]);
  }

  /** Gives how many it is delivered to. */
  publish(channel: string, message: string): number {
    const listeners = this.#listeners.get(channel);
    for (const client of listeners ?? []) client.deliver(['message', channel, message]);
    return listeners?.size ?? 0;
  }

  /** The connection has ended. */
  drop(client: Client): void {
    for (const channel of this.#channels.get(client) ?? []) this.#leave(client, channel);
  }

  #leave(client: Client, channel: string): void {
    const [own, listeners] = [this.#channels.get(client), this.#listeners.get(channel)];
    if (own?.delete(channel) && own.size === 0) this.#channels.delete(client);
    if (listeners?.delete(client) && listeners.size === 0) this.#listeners.delete(channel);
  }
}

function lastOf(client: Client, answers: readonly Reply[]): Reply {
  for (const answer of answers.slice(0, -1)) client.deliver(answer);
  return answers.at(-1)!;
}
