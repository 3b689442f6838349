import { createHash } from 'node:crypto';
import type { Client } from '../redis/channels.ts';
import { ErrorReply, type Reply } from '../redis/replies.ts';

/** The first key of an append, which has a list besides, other than the scripts that only look at records. */
const RECORDS = /\}:streams$/;
const KEYS_OF_APPEND = 3;

/**
 * Watches how appends go from one server of a cluster to another: one that was carried out is made nowhere again, and one
 * that ASK sends to a server comes there directly behind ASKING. An append has bytes of chance in it, so no two are equal.
 */
export class Redirections {
  readonly #fault: (message: string) => void;
  readonly #done = new Set<string>();
  /** To which server each was sent by ASK. */
  readonly #sentOn = new Map<string, string>();
  /** Connections whose last command was ASKING. */
  readonly #asking = new WeakSet<Client>();

  constructor(fault: (message: string) => void) {
    this.#fault = fault;
  }

  answered(server: string, client: Client, args: readonly string[], reply: Reply): void {
    const wasAsking = this.#asking.delete(client);
    if (args[0]!.toUpperCase() === 'ASKING') return void this.#asking.add(client);
    if (!/^EVAL/i.test(args[0]!) || !RECORDS.test(args[3] ?? '') || Number(args[2]) < KEYS_OF_APPEND) return;
    const append = createHash('sha1').update(args.slice(2).join('\n')).digest('hex');
    const [code, , place = ''] = reply instanceof ErrorReply ? reply.message.split(' ') : [];
    if (this.#sentOn.get(append) === server) {
      if (!wasAsking) this.#fault(`${client.peer} was sent to ${server} by ASK, and came without ASKING`);
      // The script itself follows.
      if (code !== 'NOSCRIPT') this.#sentOn.delete(append);
    }
    if (code === 'ASK') this.#sentOn.set(append, place.split(':')[0]!);
    if (code !== undefined) return;
    if (this.#done.has(append)) this.#fault(`${client.peer} made an append again that ${server} or another had carried out`);
    this.#done.add(append);
  }
}
