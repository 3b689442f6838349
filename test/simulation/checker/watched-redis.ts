import { decodeElement } from '../../../src/queue/element.ts';
import type { SeededRandom } from '../../support/seeded-random.ts';
import type { Client } from '../redis/channels.ts';
import type { Reply } from '../redis/replies.ts';
import { SimRedis, type SimRedisOptions } from '../redis/server.ts';
import type { Host } from '../world/host.ts';
import type { Network } from '../world/network.ts';
import type { SinkWatch } from './sink-watch.ts';

const LIST = /^(.*\{(\d+)\}):list:/;
/** Where an element names its stream, and where the producer's name before the frame ends; `docs/queue.md` has the layout. */
const STREAM_AT = 30;
const PRODUCER_AT = 46;
const SEQ_IN_FRAME = 8;

/**
 * A Redis that is watched: no element leaves a list before the database has it, unless the record of its stream says that
 * the client is to send it again.
 */
export class WatchedRedis extends SimRedis {
  readonly #sink: SinkWatch;
  readonly #fault: (message: string) => void;

  constructor(
    host: Host,
    network: Network,
    random: SeededRandom,
    options: SimRedisOptions,
    sink: SinkWatch,
    fault: (message: string) => void,
  ) {
    super(host, network, random, options);
    this.#sink = sink;
    this.#fault = fault;
  }

  override execute(args: readonly string[], client?: Client): Reply {
    const key = /^EVAL/i.test(args[0] ?? '') ? LIST.exec(args[3] ?? '') : null;
    if (key === null) return super.execute(args, client);
    const list = args[3]!;
    const before = this.store.listAt(list);
    const reply = super.execute(args, client);
    const after = this.store.listAt(list).length;
    if (after < before.length) this.#look(key[1]!, Number(key[2]), before.slice(0, before.length - after));
    return reply;
  }

  #look(prefix: string, partition: number, removed: readonly string[]): void {
    for (const element of removed) {
      const bytes = Buffer.from(element, 'latin1');
      // It does not say whose it is; the record of its stream is set back when it has left.
      if (decodeElement(bytes).kind === 'damaged') continue;
      const stream = bytes.toString('hex', STREAM_AT, PRODUCER_AT);
      const frameAt = PRODUCER_AT + 1 + bytes[PRODUCER_AT]!;
      const seq = Number(bytes.readBigUInt64BE(frameAt + SEQ_IN_FRAME));
      if (seq <= this.#sink.everApplied(stream, partition)) continue;
      const record = super.execute(['HGET', `${prefix}:streams`, stream]);
      const stored = record === null ? 0 : Number(String(record).split(' ')[0]);
      if (stored >= seq) this.#fault(`${stream} ${partition} ${seq} left the queue before it was applied, and counts as stored`);
    }
  }
}
