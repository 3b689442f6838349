import { strict as assert } from 'node:assert';
import { type ErrorCode, SyncError } from '../core/errors.ts';
import type { Connection } from '../core/network.ts';
import type { StreamId } from '../core/stream.ts';
import { encodeFrame, FRAME } from '../protocol/frame.ts';
import { encodeError } from '../protocol/messages.ts';
import type { QueueEvent } from '../queue/queue.ts';
import { networkOf } from './address-ranges.ts';
import type { IngestContext } from './context.ts';
import { refusal } from './endings.ts';
import { PayloadCheck } from './payload-check.ts';
import { type ProducerLoad, ProducerLoads, type Rate } from './producer-load.ts';
import { Session } from './session.ts';
import type { SessionKeeper, SessionStatus } from './session-keeper.ts';

/** What happened since the start, for metrics. */
export interface SessionCounters {
  accepted: number;
  /** Turned away because a limit was reached. */
  refused: number;
  /** Closed with an error, by code. */
  readonly errors: Map<ErrorCode, number>;
  /** Reading stopped because a producer exceeded a rate. */
  readonly paced: Record<Rate, number>;
}

/** Connections from one address that have not shown a token yet. */
const MAX_UNAUTHENTICATED_PER_ADDRESS = 64;
/** Connections that are being told why they are turned away; more are cut off without a word. */
const MAX_REFUSALS = 64;
const REFUSAL_DEADLINE_MS = 1_000;
const STOPPING = 'the server is stopping; connect again in a moment';
const DRAINED = 'this node is drained; connect to another, or again in a moment';

/** All sessions of a node: takes connections from the doors, enforces their limits, and brings them the news. */
export class Sessions implements SessionKeeper {
  readonly counters: SessionCounters = { accepted: 0, refused: 0, errors: new Map(), paced: { bytes: 0, changes: 0 } };
  readonly #context: IngestContext;
  #payloads: PayloadCheck;
  readonly #all = new Set<Session>();
  readonly #byStream = new Map<StreamId, Session>();
  /** By {@link networkOf} their address. */
  readonly #byAddress = new Map<string, AddressCount>();
  readonly #loads: ProducerLoads;
  readonly #refusals = new Set<Connection>();
  readonly #unwatch: (() => void)[];
  #waitingBytes = 0;
  readonly #leaving = new Set<{ readonly left: Set<Session>; readonly emptied: () => void }>();
  /** Why connections are turned away; undefined while they are taken. */
  #shut: string | undefined;

  constructor(context: IngestContext) {
    this.#context = context;
    this.#payloads = new PayloadCheck(context.settings.maxFrameBytes, context.clock);
    this.#loads = new ProducerLoads(context.settings, context.clock);
    this.#unwatch = [
      context.progress.watch((advance) => this.#byStream.get(advance.stream)?.advanced(advance)),
      context.queue.watch((event) => this.#queueChanged(event)),
    ];
  }

  get size(): number {
    return this.#all.size;
  }

  /** Runs a session on a connection that a door accepted, or turns it away. */
  accept(connection: Connection): void {
    const refusal = this.#refusalFor(connection);
    if (refusal !== undefined) return this.#refuse(connection, refusal);
    this.counters.accepted++;
    const session = new Session(connection, this.#context, this, this.#payloads);
    this.#all.add(session);
    if (!session.isInternal) {
      const count = this.#countOf(session.address);
      count.connections++;
      count.unauthenticated.add(session);
    }
    session.start();
  }

  snapshot(): SessionStatus[] {
    return [...this.#all].map((session) => session.status);
  }

  /** Another node moved watermarks of these streams. */
  confirm(streams: readonly StreamId[]): void {
    for (const stream of streams) this.#byStream.get(stream)?.confirm();
  }

  /** News of other nodes may have been missed. */
  confirmAll(): void {
    for (const session of this.#byStream.values()) session.confirm();
  }

  /**
   * Asks every client to go and come back after `retryAfterMs`, and waits until what is in flight is answered; what is
   * left after `timeoutMs` is cut off. Connections that come from now on are turned away. This is for good.
   */
  async drainAll(timeoutMs: number, retryAfterMs: number): Promise<void> {
    await this.#sendAway(STOPPING, timeoutMs, retryAfterMs);
    this.close();
  }

  /** Resolves when no connection is left, or after `timeoutMs`. Connections are taken as ever. */
  async empty(timeoutMs: number): Promise<void> {
    await this.#allGone(this.#all, timeoutMs);
  }

  /** As {@link drainAll}, but only until {@link resume}. */
  async drain(timeoutMs: number, retryAfterMs: number): Promise<void> {
    await this.#sendAway(DRAINED, timeoutMs, retryAfterMs);
  }

  /** Takes connections again. */
  resume(): void {
    this.#shut = undefined;
  }

  /** Holds new connections, and all producers, to the settings that are in the context now. */
  settingsChanged(): void {
    this.#loads.configure(this.#context.settings);
    this.#payloads = new PayloadCheck(this.#context.settings.maxFrameBytes, this.#context.clock);
  }

  /** Ends sessions whose token the authenticator in the context no longer knows; the others notice nothing. */
  reauthenticate(): void {
    for (const session of [...this.#all]) session.reauthenticate();
  }

  /** Cuts off every connection and stops listening to queue and sinks. */
  close(): void {
    this.#shut = STOPPING;
    for (const unwatch of this.#unwatch.splice(0)) unwatch();
    for (const session of [...this.#all]) session.destroy();
    for (const connection of [...this.#refusals]) connection.destroy();
  }

  opening(session: Session): ProducerLoad {
    this.#byAddress.get(networkOf(session.address))?.unauthenticated.delete(session);
    const { stream, producer } = session;
    assert(stream !== undefined && producer !== undefined, 'a session that opens has said HELLO');
    const other = this.#byStream.get(stream);
    if (other !== undefined && other.producer !== producer) {
      throw new SyncError('stream_owned_by_other', `stream ${stream} is in use by another producer than ${producer}; start a new stream`);
    }
    const load = this.#loads.of(producer);
    load.connect(other === undefined ? 0 : 1);
    this.#byStream.set(stream, session);
    // Of those within the server, whose door tells who it was.
    if (!session.isInternal) this.#context.access?.admitted({ address: session.address, producer, token: session.tokenId, stream });
    other?.fail(new SyncError('stream_taken_over', `a newer connection, from ${session.address}, uses stream ${stream}`));
    return load;
  }

  /**
   * Many peers of which much waits here would fill our memory, so some of them go: first who sent although it had to wait, then who
   * has owed the rest of a frame longest, and where nobody does, who has most.
   */
  waiting(deltaBytes: number): void {
    this.#waitingBytes += deltaBytes;
    const { maxInFlightBytes } = this.#context.appender;
    if (deltaBytes < 0 || this.#waitingBytes <= maxInFlightBytes) return;
    const message = `this server holds ${this.#waitingBytes} bytes of frames that it cannot handle yet, and yours are among the first to go`;
    const clogging = [...this.#all].filter(({ intake }) => intake.waitingBytes > 0);
    for (const session of clogging.sort(firstToGo)) {
      session.fail(refusal('frame_unfinished', message));
      if (this.#waitingBytes <= maxInFlightBytes) return;
    }
  }

  closing(session: Session, code: ErrorCode | undefined): void {
    if (code !== undefined) {
      this.counters.errors.set(code, (this.counters.errors.get(code) ?? 0) + 1);
      this.#context.access?.refused({ address: session.address, producer: session.producer, code });
    }
    if (session.stream !== undefined && this.#byStream.get(session.stream) === session) this.#byStream.delete(session.stream);
  }

  closed(session: Session): void {
    this.#all.delete(session);
    session.load?.disconnect();
    if (!session.isInternal) {
      const count = this.#countOf(session.address);
      count.unauthenticated.delete(session);
      if (--count.connections === 0) this.#byAddress.delete(networkOf(session.address));
    }
    for (const { left, emptied } of this.#leaving) {
      left.delete(session);
      if (left.size === 0) emptied();
    }
  }

  paced(rate: Rate): void {
    this.counters.paced[rate]++;
  }

  async #sendAway(reason: string, timeoutMs: number, retryAfterMs: number): Promise<void> {
    this.#shut = reason;
    // Not those that come after a resume.
    const left = new Set(this.#all);
    const gone = this.#allGone(left, timeoutMs);
    for (const session of [...left]) session.drain(reason, retryAfterMs);
    await gone;
    for (const session of [...left]) session.destroy();
  }

  /** Resolves when none of `left` is left, or after `timeoutMs`. */
  async #allGone(left: Set<Session>, timeoutMs: number): Promise<void> {
    if (left.size === 0) return;
    const { promise, resolve: emptied } = Promise.withResolvers<void>();
    const leaving = { left, emptied };
    this.#leaving.add(leaving);
    const timer = this.#context.clock.setTimer(timeoutMs, emptied);
    await promise;
    timer.cancel();
    this.#leaving.delete(leaving);
  }

  /** The limits are for those who connect to this process: within it, whoever connects has limits of its own. */
  #refusalFor({ remoteAddress: address, peer }: Connection): SyncError | undefined {
    const { maxConnections, maxConnectionsPerAddress } = this.#context.settings;
    if (this.#shut !== undefined) return refusal('shutting_down', this.#shut);
    if (peer?.producer !== undefined) return undefined;
    if (this.#all.size >= maxConnections) {
      return refusal('too_many_connections', `this server takes ${maxConnections} connections (ingest.maxConnections) and has them`);
    }
    const count = this.#byAddress.get(networkOf(address));
    if (count === undefined) return undefined;
    if (count.connections >= maxConnectionsPerAddress) {
      return refusal(
        'too_many_connections',
        `${address} has ${count.connections} connections; ingest.maxConnectionsPerAddress is ${maxConnectionsPerAddress}`,
      );
    }
    if (count.unauthenticated.size >= MAX_UNAUTHENTICATED_PER_ADDRESS) {
      return refusal(
        'too_many_connections',
        `${address} has ${count.unauthenticated.size} connections that have not said HELLO; finish those first`,
      );
    }
    return undefined;
  }

  /** Says why and closes; what the peer sends meanwhile is thrown away. */
  #refuse(connection: Connection, { code, message }: SyncError): void {
    this.counters.refused++;
    this.#context.access?.refused({ address: connection.remoteAddress, producer: undefined, code });
    if (this.#refusals.size >= MAX_REFUSALS) return connection.destroy();
    this.#refusals.add(connection);
    const deadline = this.#context.clock.setTimer(REFUSAL_DEADLINE_MS, () => connection.destroy());
    connection.open({
      data: () => {},
      drain: () => {},
      close: () => {
        deadline.cancel();
        this.#refusals.delete(connection);
      },
    });
    connection.write(encodeFrame({ type: FRAME.error, payload: encodeError({ code, message }) }));
    connection.end();
  }

  #queueChanged(event: QueueEvent): void {
    for (const session of this.#byStream.values()) {
      if (event.type === 'connected') session.queueConnected();
      else if (event.type === 'admission') session.admissionChanged(event.admission.state === 'held' ? event.admission.reason : undefined);
    }
  }

  #countOf(address: string): AddressCount {
    const network = networkOf(address);
    let count = this.#byAddress.get(network);
    if (count === undefined) {
      count = { connections: 0, unauthenticated: new Set() };
      this.#byAddress.set(network, count);
    }
    return count;
  }
}

function firstToGo({ intake: one }: Session, { intake: other }: Session): number {
  // Two infinities have no difference.
  if (one.clogsSinceMs !== other.clogsSinceMs) return one.clogsSinceMs < other.clogsSinceMs ? -1 : 1;
  return other.waitingBytes - one.waitingBytes;
}

interface AddressCount {
  connections: number;
  readonly unauthenticated: Set<Session>;
}
