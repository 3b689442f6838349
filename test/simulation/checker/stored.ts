import type { Tap } from '../client/tap.ts';
import type { RedisGroup } from '../redis-group.ts';
import type { Host } from '../world/host.ts';
import type { Timeline } from '../world/timeline.ts';
import type { SinkWatch } from './sink-watch.ts';
import { TYPE, unpack, type WireFrame } from './wire.ts';

const LOOK_MS = 500;
/** How long what a server said may be on its way, and in the hands of a node that runs. */
const QUIET_MS = 5_000;

/**
 * Watches that nodes acknowledge nothing as stored but what so many servers of Redis have, or the database. Only while all
 * is quiet: a server that dies may lose what it had when it was asked, and a node that stands still tells it late.
 */
export class Stored {
  readonly #timeline: Timeline;
  readonly #group: RedisGroup;
  readonly #sink: SinkWatch;
  readonly #copies: number;
  readonly #fault: (message: string) => void;
  #upsets = 0;
  #upsetMs = 0;
  readonly #stoodStillMs = new Map<Host, number>();

  constructor(timeline: Timeline, group: RedisGroup, sink: SinkWatch, copies: number, fault: (message: string) => void) {
    this.#timeline = timeline;
    this.#group = group;
    this.#sink = sink;
    this.#copies = copies;
    this.#fault = fault;
  }

  /** Hears a connection that a node on `host` accepted. */
  tap(host: Host): Tap {
    let stream = '';
    return {
      received: ({ type, payload }) => {
        if (type === TYPE.hello) stream = Buffer.from((unpack(payload) as Map<string, Uint8Array>).get('stream')!).toString('hex');
      },
      sent: (frame) => {
        for (const [partition, seq] of storedBy(frame)) this.#look(host, stream, partition, seq);
      },
    };
  }

  start(nodes: readonly Host[]): void {
    this.#timeline.every(LOOK_MS, () => {
      this.#noteUpsets();
      for (const host of nodes) if (!host.isRunning) this.#stoodStillMs.set(host, this.#timeline.nowMs);
    });
  }

  #look(host: Host, stream: string, partition: number, seq: number): void {
    this.#noteUpsets();
    const { nowMs } = this.#timeline;
    if (nowMs - Math.max(this.#upsetMs, this.#stoodStillMs.get(host) ?? 0) < QUIET_MS) return;
    const holders = this.#group.servers.filter(({ store }) => {
      const record = store.getHash(`syncline:{${partition}}:streams`)?.get(stream);
      return Number(record?.split(' ')[0] ?? 0) >= seq;
    });
    // Where no primary has it any more, it was taken back because of a gap while the replica was waited for: a REWIND follows.
    const isTakenBack = !holders.some((server) => this.#group.primaries.includes(server));
    if (isTakenBack || holders.length >= this.#copies || seq <= this.#sink.everApplied(stream, partition)) return;
    const where = holders.map((server) => server.host.name).join(', ');
    this.#fault(`${host.name} acknowledged ${stream} ${partition} ${seq} as stored, which has only: ${where}`);
  }

  #noteUpsets(): void {
    const upsets = this.#group.servers.reduce((sum, server) => sum + server.upsets, 0);
    if (upsets !== this.#upsets) this.#upsetMs = this.#timeline.nowMs;
    this.#upsets = upsets;
  }
}

/** Partitions and seqs that a frame says are stored. */
function storedBy({ type, partition, seq, payload }: WireFrame): (readonly [partition: number, seq: number])[] {
  if (type === TYPE.stored) return [[partition, seq]];
  if (type !== TYPE.welcome) return [];
  const stored = (unpack(payload) as Map<string, Map<number, readonly [seq: number, crc: number]>>).get('stored')!;
  return [...stored].map(([of, [place]]) => [of, place]);
}
