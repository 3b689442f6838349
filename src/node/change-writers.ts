import { createHash } from 'node:crypto';
import { type Clock, sleep, type Timer } from '../core/clock.ts';
import { SyncError } from '../core/errors.ts';
import type { Random } from '../core/random.ts';
import { REQUEST_STREAM_TAG, START, type StreamId } from '../core/stream.ts';
import { createMemorySpool } from '../client/memory-spool.ts';
import { encodeFacts, type ServerFacts } from '../client/server-facts.ts';
import type { ClientSettings } from '../client/sync-client.ts';
import type { Ack, ChangeWriter, ChangeWriters, RequestChange } from '../ingest/http/change-writer.ts';
import type { Queue } from '../queue/queue.ts';
import { createLocalClient } from './local-client.ts';
import type { Node } from './node.ts';
import { SharedMemory } from './request-memory.ts';
import { RequestWriter } from './request-writer.ts';
import { SCHEMA_AGE_MS } from './table-infos.ts';
import { WriterStream } from './writer-stream.ts';

export interface ChangeWriterParts {
  readonly node: Pick<Node, 'sessions' | 'facts' | 'takesRequests'>;
  readonly queue: Pick<Queue, 'admission'>;
  readonly clock: Clock;
  readonly random: Random;
  /** What requests and their changes may take of memory until they are applied. */
  readonly bufferBytes: number;
}

/** Streams that are open at a time, idle ones among them, and how many of them one producer may have. */
const MAX_STREAMS = 256;
const MAX_STREAMS_PER_PRODUCER = 64;
/** An idle stream is closed after this; the next one is new, and leaves watermarks of its own. */
const IDLE_MS = 300_000;
const SWEEP_MS = 60_000;
/** What is known of tables is looked up again after this, beside what is asked for because it is not known. */
const FACTS_AGE_MS = 5_000;
/** How long a request waits for a stream, or for another one with its key. */
const PATIENCE_MS = 5_000;
/** How long what was written has to be stored when the node closes. */
const CLOSE_MS = 2_000;
/** The size of a batch. For ever: a repetition that is cut otherwise would be taken for another body. */
const BATCH_BYTES = 64 * 1024;

/**
 * Writers that are clients of this very node: what they write goes through sessions like everything else. Requests that
 * only want their changes stored share one stream for each producer; one that asks what was applied has one alone for its
 * time; one that may come again has its own.
 */
export class ClientWriters implements ChangeWriters {
  readonly memory: SharedMemory;
  readonly #parts: ChangeWriterParts;
  readonly #shared = new Map<string, WriterStream>();
  /** Free ones of those that are had alone, and all that are open. */
  readonly #free = new Map<string, WriterStream[]>();
  readonly #open = new Set<WriterStream>();
  /** Places that are given away and have no stream yet: whose they are. */
  readonly #coming: string[] = [];
  /** Streams of keys that a request has. */
  readonly #keys = new Set<StreamId>();
  /** Those of requests that were answered as stored, until they are applied: the queue may lose what it has. */
  readonly #lingering = new Map<StreamId, WriterStream>();
  /** Who waits for a key, or for a place. */
  readonly #waiting = new Set<() => void>();
  #facts: ServerFacts | undefined;
  #factsAtMs = -Infinity;
  #sweep: Timer;
  #isClosed = false;

  constructor(parts: ChangeWriterParts) {
    this.#parts = parts;
    this.memory = new SharedMemory(parts.bufferBytes, () => this.#pendingBytes(), parts.clock);
    this.#sweep = parts.clock.setTimer(SWEEP_MS, this.#closeIdle);
  }

  get obstacle(): SyncError | undefined {
    const { node, queue } = this.#parts;
    if (this.#isClosed || !node.takesRequests) return shuttingDown();
    const { admission } = queue;
    return admission.state === 'open' ? undefined : new SyncError('queue_unavailable', `the queue takes nothing now: ${admission.reason}`);
  }

  /** Streams that are open. */
  get streamCount(): number {
    return this.#open.size;
  }

  async open(producer: string, ack: Ack, signal: AbortSignal): Promise<ChangeWriter> {
    const stream = ack === 'stored' ? await this.#sharedStream(producer, signal) : await this.#freeStream(producer, signal);
    if (this.#parts.clock.monotonicMs() - this.#factsAtMs > FACTS_AGE_MS) void this.#renewFacts(stream).catch(() => {});
    return new RequestWriter(stream, ack === 'stored' ? 'shared' : 'alone', this.#lookUp, () => {
      stream.users--;
      stream.idleSinceMs = this.#parts.clock.monotonicMs();
      if (stream.failure !== undefined) void this.#close(stream);
      else if (ack === 'applied') this.#freeOf(producer).push(stream);
      this.#wake();
    });
  }

  async openRepeatable(producer: string, key: string, digest: Uint8Array, signal: AbortSignal): Promise<ChangeWriter> {
    const id = requestStream(producer, key);
    const giveBack = await this.#takeKey(id, signal);
    try {
      const earlier = this.#lingering.get(id);
      if (earlier !== undefined) await this.#close(earlier);
      const facts = await this.#parts.node.facts(producer);
      await this.#place(producer, signal);
      const restored = {
        stream: id,
        // All of them: whatever partitions another body under this key was cut into, WELCOME tells.
        assigned: new Map(Array.from({ length: facts.partitions }, (_, partition) => [partition, START])),
        held: [],
        left: [],
        note: encodeFacts(facts),
      };
      const stream = this.#create(
        facts,
        { cut: 'by size', origin: digest, onDiverged: 'stop', onRegressed: 'stop', numbered: true },
        restored,
      );
      stream.users++;
      const writer = new RequestWriter(stream, 'alone', this.#lookUp, () => {
        stream.users--;
        if (stream.isSettled && stream.failure === undefined && stream.client.pendingBytes > 0) {
          this.#linger(id, stream);
          giveBack();
        } else void this.#close(stream).then(giveBack);
      });
      return repeatable(writer, stream);
    } catch (error) {
      giveBack();
      throw error;
    }
  }

  /** Takes nothing any more; what was written has a moment to be stored. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#sweep.cancel();
    const { clock } = this.#parts;
    const stored = new AbortController();
    const time = sleep(clock, CLOSE_MS, stored.signal);
    const flushed = Promise.allSettled([...this.#open].map((stream) => stream.client.flush({ until: 'stored' })));
    await Promise.race([flushed, time]);
    stored.abort();
    await Promise.all([...this.#open].map((stream) => this.#close(stream)));
  }

  #linger(id: StreamId, stream: WriterStream): void {
    this.#lingering.set(id, stream);
    const applied = stream.client.flush().catch(() => {});
    void applied.then(() => this.#close(stream));
  }

  async #sharedStream(producer: string, signal: AbortSignal): Promise<WriterStream> {
    let known = this.#sharedOf(producer);
    if (known === undefined) {
      const stream = await this.#newStream(producer, {}, signal);
      // Another request may have made one meanwhile.
      known = this.#sharedOf(producer);
      if (known === undefined) this.#shared.set(producer, (known = stream));
      else void this.#close(stream);
    }
    known.users++;
    return known;
  }

  async #freeStream(producer: string, signal: AbortSignal): Promise<WriterStream> {
    for (const failed of this.#freeOf(producer).filter((one) => one.failure !== undefined)) void this.#close(failed);
    // Not one on which an earlier request gave up waiting: whoever takes that waits for the same.
    const free = this.#freeOf(producer);
    const at = free.findLastIndex((one) => one.failure === undefined && one.client.pendingBytes === 0);
    const [found] = at < 0 ? [] : free.splice(at, 1);
    const stream = found ?? (await this.#newStream(producer, { numbered: true }, signal));
    stream.users++;
    return stream;
  }

  #sharedOf(producer: string): WriterStream | undefined {
    const stream = this.#shared.get(producer);
    if (stream?.failure === undefined) return stream;
    // Those who still write to it hear of it.
    this.#shared.delete(producer);
    if (stream.users === 0) void this.#close(stream);
    return undefined;
  }

  async #newStream(producer: string, settings: Partial<ClientSettings>, signal: AbortSignal): Promise<WriterStream> {
    await this.#place(producer, signal);
    try {
      const facts = await this.#factsFor(producer);
      const restored = { ...createMemorySpool().restored, note: encodeFacts(facts) };
      const stream = this.#create(facts, { onRegressed: 'new-stream', ...settings }, restored);
      stream.client.start();
      return stream;
    } catch (error) {
      this.#placeTaken(producer);
      throw error;
    }
  }

  /** Takes the place that {@link #place} gave. @throws {SyncError} `shutting_down`. */
  #create(facts: ServerFacts, settings: Partial<ClientSettings>, restored: Parameters<typeof createMemorySpool>[0]): WriterStream {
    const { node, clock, random } = this.#parts;
    if (this.#isClosed) throw shuttingDown();
    const client = createLocalClient(
      { clock, random, sessions: node.sessions },
      facts.producer,
      // What is held is bounded over all of them: see `memory`.
      { agent: 'syncline http', onRegressed: 'stop', bufferBytes: Number.MAX_SAFE_INTEGER, batchBytes: BATCH_BYTES, ...settings },
      restored,
    );
    const stream = new WriterStream(client, facts, clock);
    this.#placeTaken(facts.producer);
    this.#open.add(stream);
    return stream;
  }

  /** A place for a stream of `producer`, that of an idle one if need be: of its own, where it has as many as it may. @throws {SyncError} */
  async #place(producer: string, signal: AbortSignal): Promise<void> {
    const until = this.#parts.clock.monotonicMs() + PATIENCE_MS;
    for (;;) {
      const isAtLimit = this.#streamsOf(producer) >= MAX_STREAMS_PER_PRODUCER;
      if (!isAtLimit && this.#open.size + this.#coming.length < MAX_STREAMS) break;
      const idle = this.#leastNeeded((stream) => !isAtLimit || stream.producer === producer);
      if (idle !== undefined) {
        await this.#close(idle);
        continue;
      }
      const most = isAtLimit ? `${MAX_STREAMS_PER_PRODUCER} requests of producer ${producer}` : `${MAX_STREAMS} requests`;
      await this.#woken(until, signal, () => new SyncError('buffer_full', `${most} write already, which are the most`));
    }
    this.#coming.push(producer);
  }

  #placeTaken(producer: string): void {
    this.#coming.splice(this.#coming.indexOf(producer), 1);
  }

  #streamsOf(producer: string): number {
    let count = 0;
    for (const stream of this.#open) if (stream.producer === producer) count++;
    for (const coming of this.#coming) if (coming === producer) count++;
    return count;
  }

  /** An idle one; else one that only waits for what was answered as stored; else one of which somebody was told that it is not known. */
  #leastNeeded(isMeant: (stream: WriterStream) => boolean): WriterStream | undefined {
    const idle = [...this.#open].find((stream) => isMeant(stream) && stream.users === 0 && stream.client.pendingBytes === 0);
    return idle ?? [...this.#lingering.values()].find(isMeant) ?? [...this.#free.values()].flat().find(isMeant);
  }

  /** Resolves when nobody else has the key; what it returns gives it back. @throws {SyncError} `stream_taken_over`. */
  async #takeKey(id: StreamId, signal: AbortSignal): Promise<() => void> {
    const until = this.#parts.clock.monotonicMs() + PATIENCE_MS;
    while (this.#keys.has(id))
      await this.#woken(until, signal, () => new SyncError('stream_taken_over', 'another request with this Idempotency-Key is under way'));
    this.#keys.add(id);
    return () => {
      this.#keys.delete(id);
      this.#wake();
    };
  }

  /** Resolves when a stream or a key became free; rejects with what `late` makes after `until`. */
  async #woken(until: number, signal: AbortSignal, late: () => SyncError): Promise<void> {
    const { clock } = this.#parts;
    signal.throwIfAborted();
    const leftMs = until - clock.monotonicMs();
    if (leftMs <= 0) throw late();
    const woken = new AbortController();
    const wake = () => woken.abort();
    this.#waiting.add(wake);
    await sleep(clock, leftMs, AbortSignal.any([signal, woken.signal]));
    this.#waiting.delete(wake);
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
  }

  async #close(stream: WriterStream): Promise<void> {
    if (!this.#open.has(stream)) return;
    if (this.#shared.get(stream.producer) === stream) this.#shared.delete(stream.producer);
    for (const [id, one] of this.#lingering) if (one === stream) this.#lingering.delete(id);
    const free = this.#free.get(stream.producer)?.filter((one) => one !== stream) ?? [];
    if (free.length > 0) this.#free.set(stream.producer, free);
    else this.#free.delete(stream.producer);
    // Whatever it has failed with was told to those who wrote.
    await stream.client.close({ flush: false }).catch(() => {});
    this.#open.delete(stream);
    this.#wake();
  }

  readonly #closeIdle = (): void => {
    const beforeMs = this.#parts.clock.monotonicMs() - IDLE_MS;
    for (const stream of [...this.#open])
      if (stream.users === 0 && stream.idleSinceMs < beforeMs && stream.client.pendingBytes === 0) void this.#close(stream);
    this.#sweep = this.#parts.clock.setTimer(SWEEP_MS, this.#closeIdle);
  };

  #freeOf(producer: string): WriterStream[] {
    let free = this.#free.get(producer);
    if (free === undefined) this.#free.set(producer, (free = []));
    return free;
  }

  #pendingBytes(): number {
    let bytes = 0;
    for (const { client } of this.#open) bytes += client.pendingBytes;
    return bytes;
  }

  /** What is known of the node and its tables, not always the newest. */
  async #factsFor(producer: string): Promise<ServerFacts> {
    if (this.#facts === undefined || this.#parts.clock.monotonicMs() - this.#factsAtMs > FACTS_AGE_MS) await this.#readFacts(producer);
    return { ...this.#facts!, producer };
  }

  readonly #lookUp = async (stream: WriterStream, { table, key }: RequestChange): Promise<void> => {
    await this.#renewFacts(stream);
    if (stream.knows(table) || key !== undefined) return;
    // It may have been created a moment ago, and the request would be refused for no other reason.
    await sleep(this.#parts.clock, SCHEMA_AGE_MS + 1);
    await this.#renewFacts(stream);
  };

  async #renewFacts(stream: WriterStream): Promise<void> {
    await this.#readFacts(stream.producer);
    stream.learn({ ...this.#facts!, producer: stream.producer });
  }

  async #readFacts(producer: string): Promise<void> {
    this.#factsAtMs = this.#parts.clock.monotonicMs();
    this.#facts = await this.#parts.node.facts(producer);
  }
}

function shuttingDown(): SyncError {
  return new SyncError('shutting_down', 'this node is being taken out of service; send to another, or again in a moment');
}

/** What it writes is sent when it settles, and not before: until then it can be taken back. */
function repeatable(writer: RequestWriter, stream: WriterStream): ChangeWriter {
  return {
    lookUp: (change) => writer.lookUp(change),
    check: (change) => writer.check(change),
    write: (change) => writer.write(change),
    settle: (ack, signal) => {
      stream.client.start();
      return writer.settle(ack, signal);
    },
    release: () => writer.release(),
  };
}

/** Whoever sends the same key for the same producer comes to the same stream, at any node. */
function requestStream(producer: string, key: string): StreamId {
  const digest = createHash('sha256').update(`${producer}\0${key}`, 'utf8').digest('hex');
  return `${REQUEST_STREAM_TAG}${digest.slice(0, 24)}`;
}
