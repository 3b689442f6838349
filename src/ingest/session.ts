import type { Access } from '../core/access.ts';
import type { Timer } from '../core/clock.ts';
import { type ErrorCode, SyncError } from '../core/errors.ts';
import type { Connection } from '../core/network.ts';
import type { SeqByPartition, StreamId } from '../core/stream.ts';
import { encodeFrame, FRAME, type Frame, frameName, PRE_AUTH_FRAME_BYTES } from '../protocol/frame.ts';
import { encodeGoaway, type Hello } from '../protocol/messages.ts';
import type { AppendEntry, AppendResult } from '../queue/queue.ts';
import { Acknowledgements } from './acknowledgements.ts';
import { Answers } from './answers.ts';
import type { Submitter } from './appender.ts';
import { Confirmation } from './confirmation.ts';
import { NO_TOKEN, REFUSED, type IngestContext, type IngestSettings } from './context.ts';
import { Credit } from './credit.ts';
import { errorFrame, lateHello, logEnd, refusal, refusedFrame, toldError, unknownPartition } from './endings.ts';
import { Heartbeat } from './heartbeat.ts';
import { Intake } from './intake.ts';
import { readGreeting, surveyForOpening, tablesFor, takeSurvey, welcomeFrame } from './opening.ts';
import { Outbox } from './outbox.ts';
import { hashToken, tokenId } from './producers.ts';
import { Pace } from './pace.ts';
import type { PayloadCheck } from './payload-check.ts';
import type { ProducerLoad } from './producer-load.ts';
import type { Advance } from '../core/progress.ts';
import { Recheck } from './recheck.ts';
import type { SessionKeeper, SessionState, SessionStatus } from './session-keeper.ts';

/** After an ERROR or the last acknowledgement: how long the peer may take to read it. */
const CLOSE_DEADLINE_MS = 2_000;
/** After BYE, or after the peer has seen GOAWAY: how long what is in flight may take to be stored. */
const LEAVE_DEADLINE_MS = 5_000;
/** The PONG to this PING shows that the peer has seen the GOAWAY before it. */
const GOAWAY_MARK = Buffer.from('goaway');

/**
 * One connection of a client.
 *
 *     greeting ──HELLO──► authenticating ──producer known──► opening ──WELCOME──► open ──drain()──► draining
 *     opening | open | draining ──BYE──► leaving            draining ──the peer has seen GOAWAY──► leaving
 *     leaving ──everything received is answered, or a deadline──► closing
 *     any ──error──► closing ──the peer has read it, or a deadline──► closed
 *
 * While `opening`, reading sinks and queue is tried until it succeeds; the client waits for WELCOME meanwhile.
 * While `closing`, what still comes is read and thrown away: bytes left unread would make the peer lose our last words.
 */
export class Session implements Submitter {
  readonly address: string;
  readonly #connection: Connection;
  readonly #context: IngestContext;
  /** As they were when the connection came: WELCOME has told them to the client. */
  readonly #settings: IngestSettings;
  readonly #keeper: SessionKeeper;
  readonly #payloads: PayloadCheck;
  readonly #intake: Intake;
  readonly #outbox: Outbox;
  readonly #answers: Answers;
  readonly #acknowledgements: Acknowledgements;
  readonly #credit: Credit;
  readonly #heartbeat: Heartbeat;
  /** While `opening`. */
  #opening: AbortController | undefined;
  readonly #sinceMs: number;
  #state: SessionState = 'greeting';
  /** From HELLO; of the token only its digest is kept. */
  #stream: StreamId | undefined;
  #agent = '';
  #producer: string | undefined;
  /** What it may write; undefined: everything. */
  #access: Access | undefined;
  #tokenDigest = '';
  #load: ProducerLoad | undefined;
  #pace: Pace | undefined;
  #recheck: Recheck | undefined;
  #confirmation: Confirmation | undefined;
  /** News of a commit came before WELCOME: what was read for it may be older. */
  #missedAdvance = false;
  #inFlightBytes = 0;
  #inFlightFrames = 0;
  /** BATCH frames. */
  #frameCount = 0;
  /** HELLO, leaving or closing must be done by then. */
  #deadline: Timer | undefined;

  constructor(connection: Connection, context: IngestContext, keeper: SessionKeeper, payloads: PayloadCheck) {
    const { clock, settings } = context;
    this.address = connection.remoteAddress;
    this.#connection = connection;
    this.#context = context;
    this.#settings = settings;
    this.#keeper = keeper;
    this.#payloads = payloads;
    this.#sinceMs = clock.wallMs();
    this.#intake = new Intake(connection, clock, PRE_AUTH_FRAME_BYTES, {
      frame: (frame) => this.#handle(frame),
      failed: (error) => this.fail(error),
      paused: () => this.#heartbeat.stopListening(),
      resumed: () => this.#heartbeat.listen(),
      waiting: (deltaBytes) => keeper.waiting(deltaBytes),
    });
    this.#outbox = new Outbox(connection, clock, () => this.#abort('slow_reader'));
    this.#answers = new Answers(this.#outbox, this.#intake, clock);
    this.#acknowledgements = new Acknowledgements(this.#outbox, clock, () => this.#recheck?.request());
    this.#credit = new Credit(this.#outbox, settings.creditBytes);
    this.#heartbeat = new Heartbeat(clock, settings.heartbeatMs, {
      beat: () => this.#watchPeer(),
      ping: () => this.#outbox.send(encodeFrame({ type: FRAME.ping })),
      lost: () => this.fail(refusal('heartbeat_lost', `nothing was heard for ${settings.heartbeatMs * 2.5} ms; answer PING with PONG`)),
    });
  }

  get stream(): StreamId | undefined {
    return this.#stream;
  }

  get producer(): string | undefined {
    return this.#producer;
  }

  /** Whether it is with a client in this process, which a door answers for; it cuts batches by size, and nobody behind it could otherwise. */
  get isInternal(): boolean {
    return this.#connection.peer?.producer !== undefined;
  }

  /** What its producer does; undefined until that is known. */
  get load(): ProducerLoad | undefined {
    return this.#load;
  }

  /** Says which token it came with, and not what that is; undefined where it came without one. */
  get tokenId(): string | undefined {
    return this.#tokenDigest === '' || this.#tokenDigest === hashToken('') ? undefined : tokenId(this.#tokenDigest);
  }

  get gone(): boolean {
    return this.#state === 'closing' || this.#state === 'closed';
  }

  get status(): SessionStatus {
    const { clock } = this.#context;
    return {
      producer: this.#producer,
      stream: this.#stream,
      agent: this.#agent,
      address: this.address,
      state: this.#state,
      sinceMs: this.#sinceMs,
      lastHeardMs: clock.wallMs() - (clock.monotonicMs() - this.#heartbeat.heardAtMs),
      inFlightBytes: this.#inFlightBytes,
      frameCount: this.#frameCount,
      rewindCount: this.#acknowledgements.rewindCount,
    };
  }

  /** What was received and waits, and since when that is through the peer. */
  get intake(): Pick<Intake, 'waitingBytes' | 'clogsSinceMs'> {
    return this.#intake;
  }

  /** Begins to listen to the connection. */
  start(): void {
    const { authTimeoutMs } = this.#settings;
    this.#setDeadline(authTimeoutMs, () => this.fail(lateHello(authTimeoutMs)));
    this.#connection.open({
      data: (chunk) => this.#received(chunk),
      drain: () => {
        this.#answers.drained();
        this.#acknowledgements.flush();
      },
      close: () => this.#closed(),
    });
  }

  /** News of a commit in this session's stream. */
  advanced({ partition, before, after, rejections }: Advance): void {
    if (this.#state === 'opening') this.#missedAdvance = true;
    if (this.#recheck === undefined || this.gone) return;
    const lane = this.#acknowledgements.lane(partition);
    // Between what was told and what this commit began with, there may be dead letters that nobody reported.
    const hole = before.seq > lane.applied.seq && after.seq > lane.applied.seq;
    if (!hole) this.#acknowledgements.applied(lane, after, rejections);
    else if (!this.#acknowledgements.hasMore) this.#recheck.request();
  }

  /** Another node may have moved watermarks of this session's stream. */
  confirm(): void {
    if (this.#state === 'opening') this.#missedAdvance = true;
    if (this.#recheck === undefined || this.gone || this.#acknowledgements.hasMore) return;
    this.#confirmation ??= new Confirmation(this.#context, this.#stream!, this.#acknowledgements, (error) => this.fail(error));
    this.#confirmation.request();
  }

  /** The queue was connected again: it may hold less than before. */
  queueConnected(): void {
    this.#recheck?.request();
  }

  admissionChanged(reason: string | undefined): void {
    if (this.gone) return;
    if (reason === undefined) this.#credit.release('queue');
    else this.#credit.hold('queue', reason);
  }

  /** Goes by an exchanged authenticator: ends the session when it would not be let in any more. */
  reauthenticate(): void {
    const producer = this.#producer;
    if (producer === undefined || this.gone) return;
    const { authenticator } = this.#context;
    this.#access = authenticator.accessOf(producer);
    if (this.isInternal) return;
    if (authenticator.producerOf(this.#tokenDigest, this.address, this.#connection.peer?.certificateNames) === producer) return;
    this.fail(new SyncError('auth_failed', `what this connection was opened with no longer lets producer ${producer} in`));
  }

  /** Asks the client to go elsewhere and answers what is under way; then closes. */
  drain(reason: string, retryAfterMs: number): void {
    if (this.#state === 'greeting' || this.#state === 'authenticating') return this.fail(new SyncError('shutting_down', reason));
    if (this.#state !== 'opening' && this.#state !== 'open') return;
    this.#outbox.send(encodeFrame({ type: FRAME.goaway, payload: encodeGoaway({ reason, retryAfterMs }) }));
    if (this.#state === 'opening') return this.#leave();
    this.#outbox.send(encodeFrame({ type: FRAME.ping, payload: GOAWAY_MARK }));
    this.#state = 'draining';
  }

  /** Sends ERROR and closes. */
  fail(cause: unknown): void {
    if (this.gone) return;
    const error = toldError(cause);
    this.#log(error);
    this.#end(error);
  }

  /** Closes at once. */
  destroy(): void {
    this.#connection.destroy();
  }

  judged(partition: number, { seq, frame, chargedBytes = frame.length }: AppendEntry, result: AppendResult): void {
    this.#inFlightBytes -= chargedBytes;
    this.#inFlightFrames--;
    if (this.gone) return;
    const consequence = this.#acknowledgements.judged(partition, seq, result);
    if (consequence === 'none') this.#recheck?.watchWaiting();
    else if (consequence === 'rewind') this.#recheck?.requestRewind();
    else if (consequence === 'recheck') this.#recheck?.request();
    else return this.fail(refusedFrame(this.#stream!, partition, seq, result));
    if (this.#state === 'leaving' && this.#inFlightFrames === 0) this.#finish();
    else if (this.#inFlightBytes <= this.#settings.creditBytes) this.#intake.release('window');
  }

  roomFound(): void {
    this.#intake.release('room');
  }

  /** Sends ERROR and closes; whoever calls it has seen to the log. */
  #end(error: SyncError): void {
    if (this.#state === 'open' || this.#state === 'draining' || this.#state === 'leaving') this.#acknowledgements.flush();
    this.#outbox.send(errorFrame(error));
    this.#close(error.code);
  }

  #received(chunk: Uint8Array): void {
    this.#heartbeat.heard();
    // What is on the way while we are full waits here by the chunk, and at the peer after that.
    if (this.#context.appender.isFull && this.#state === 'open') this.#waitForRoom();
    this.#intake.received(chunk);
  }

  #waitForRoom(): void {
    if (this.#intake.isHeld('room')) return;
    this.#intake.hold('room');
    this.#context.appender.waitForRoom(this);
  }

  #handle(frame: Frame): void {
    if (frame.type === FRAME.hello) return this.#greeted(frame);
    if (this.#state === 'greeting') throw new SyncError('hello_expected', `the first frame is ${frameName(frame.type)}; send HELLO first`);
    switch (frame.type) {
      case FRAME.batch:
        return this.#batch(frame);
      case FRAME.ping:
        return this.#answers.ping(frame.payload);
      case FRAME.pong:
        return this.#state === 'draining' && GOAWAY_MARK.equals(frame.payload) ? this.#leave() : undefined;
      case FRAME.bye:
        return this.#leave();
      default:
        throw new SyncError('unknown_type', `${frameName(frame.type)} is not a frame that a client sends`);
    }
  }

  #greeted(frame: Frame): void {
    if (this.#state !== 'greeting') throw new SyncError('hello_repeated', 'a second HELLO arrived; open a new connection for it');
    const { hello, forgotten } = readGreeting(frame.payload, this.#context.queue.partitionCount, this.isInternal ? 'inside' : 'outside');
    this.#stream = hello.stream;
    this.#agent = hello.agent;
    this.#state = 'authenticating';
    this.#intake.hold('auth');
    this.#open(hello, forgotten).catch((error: unknown) => this.fail(error));
  }

  async #open(hello: Hello, forgotten: SeqByPartition): Promise<void> {
    const { authenticator } = this.#context;
    const { peer } = this.#connection;
    // A refusal comes late on purpose: the time to say HELLO is over.
    this.#deadline?.cancel();
    const producer = peer?.producer ?? (await authenticator.authenticate(hello.token, this.address, peer?.certificateNames));
    if (this.gone) return;
    // Tokens changed meanwhile.
    if (authenticator !== this.#context.authenticator) return this.#open(hello, forgotten);
    if (producer === undefined) return this.#end(refusal('auth_failed', hello.token === '' ? NO_TOKEN : REFUSED));
    this.#clearDeadline();
    this.#tokenDigest = hashToken(hello.token);
    this.#producer = producer;
    this.#access = authenticator.accessOf(producer);
    this.#state = 'opening';
    this.#intake.maxFrameBytes = this.#settings.maxFrameBytes;
    this.#load = this.#keeper.opening(this);
    this.#heartbeat.start();
    this.#intake.release('auth');
    // Before the survey: what happens between that and WELCOME would have to be told apart from what it found.
    const { signal } = (this.#opening = new AbortController());
    const tables = tablesFor(this.#access, await this.#context.tables());
    const survey = await surveyForOpening(this.#context, hello, producer, forgotten, signal);
    this.#opening = undefined;
    if (survey === undefined || this.#state !== 'opening') return;
    this.#outbox.send(welcomeFrame(this.#context, this.#settings, producer, survey, tables));
    takeSurvey(this.#acknowledgements, survey, forgotten);
    if (!survey.isComplete) this.#missedAdvance = true;
    this.#opened(hello.stream, producer);
  }

  #opened(stream: StreamId, producer: string): void {
    const context = this.#context;
    const [acknowledgements, credit] = [this.#acknowledgements, this.#credit];
    this.#recheck = new Recheck({ context, stream, producer, acknowledgements, credit, failed: (error) => this.fail(error) });
    this.#state = 'open';
    acknowledgements.start();
    const { admission } = context.queue;
    if (admission.state === 'held') credit.hold('queue', admission.reason);
    credit.start();
    if (!this.isInternal) context.log.info({ stream, producer, address: this.address, agent: this.#agent }, 'stream opened');
    if (this.#missedAdvance) this.#recheck.request();
    this.#recheck.watchWaiting();
    this.#intake.release('opening');
  }

  #batch(frame: Frame): void {
    if (this.#state === 'opening') return this.#intake.putBack(frame, 'opening');
    if (this.#payloads.mustWait(frame)) {
      this.#intake.putBack(frame, 'turn');
      return this.#payloads.wait(() => this.#intake.release('turn'));
    }
    const { queue, appender } = this.#context;
    const { partition, seq, prev, crc, bytes } = frame;
    if (partition >= queue.partitionCount) throw unknownPartition('BATCH is for', partition, queue.partitionCount);
    this.#frameCount++;
    const refused = this.#payloads.refusalOf(frame, this.#access, this.isInternal ? Infinity : this.#load!.limits.maxBatchChanges);
    this.#inFlightBytes += bytes.length;
    this.#inFlightFrames++;
    const [stream, producer, chargedBytes] = [this.#stream!, this.#producer!, bytes.length];
    const kind = refused === undefined ? 'frame' : 'refusal';
    // One literal of one shape: spread, and with a property more for some, it took a sixth of the time of a small frame.
    appender.submit(partition, { stream, producer, seq, prev, crc, frame: refused ?? bytes, kind, chargedBytes }, this);
    if (this.#inFlightBytes > this.#settings.creditBytes + this.#settings.maxFrameBytes) this.#intake.hold('window');
    if (appender.isFull) this.#waitForRoom();
    this.#pace ??= new Pace(this.#context.clock, this.#load!, this.#intake, this.#credit, (rate) => this.#keeper.paced(rate));
    this.#pace.took(bytes.length, refused === undefined ? this.#payloads.changes : Math.max(1, this.#payloads.changes));
  }

  /** A peer may be alive and yet read nothing of what waits for it, or send nothing of the rest of a frame. */
  #watchPeer(): void {
    const { heartbeatMs } = this.#settings;
    if (this.#outbox.blockedMs() > heartbeatMs * 2.5) return this.#abort('slow_reader');
    const stall = this.#intake.stallOf(heartbeatMs);
    if (stall !== undefined) this.fail(stall);
  }

  #leave(): void {
    if (this.gone || this.#state === 'leaving') return;
    this.#state = 'leaving';
    this.#intake.stop();
    this.#setDeadline(LEAVE_DEADLINE_MS, () => this.#finish());
    if (this.#inFlightFrames === 0) this.#finish();
  }

  /** Everything is answered: sends what is due, and closes. */
  #finish(): void {
    this.#acknowledgements.flush();
    this.#log(undefined);
    this.#close(undefined);
  }

  #close(code: ErrorCode | undefined): void {
    this.#stop(code);
    this.#setDeadline(CLOSE_DEADLINE_MS, () => this.#connection.destroy());
    this.#connection.end();
  }

  /** Closes without a word: the peer would not read it. */
  #abort(code: ErrorCode): void {
    if (this.gone) return;
    this.#log(new SyncError(code, 'the peer does not read what it is sent'));
    this.#stop(code);
    this.#connection.destroy();
  }

  #closed(): void {
    if (this.#state === 'closed') return;
    if (!this.gone) {
      this.#log(undefined);
      this.#stop(undefined);
    }
    this.#state = 'closed';
    this.#clearDeadline();
    this.#keeper.closed(this);
  }

  /** Nothing is sent or handled any more. */
  #stop(code: ErrorCode | undefined): void {
    this.#state = 'closing';
    this.#clearDeadline();
    this.#opening?.abort();
    this.#pace?.stop();
    this.#recheck?.stop();
    this.#confirmation?.stop();
    this.#heartbeat.stop();
    this.#answers.close();
    this.#intake.stop();
    this.#keeper.closing(this, code);
  }

  #log(error: SyncError | undefined): void {
    const { stream, producer, address } = this;
    // Of requests there are too many for a line about each.
    if (this.isInternal && error === undefined) return;
    logEnd(this.#context.log, { stream, producer, address, frameCount: this.#frameCount }, error);
  }

  /** A timer that is cancelled and kept would take memory for as long as the connection lasts. */
  #clearDeadline(): void {
    this.#deadline?.cancel();
    this.#deadline = undefined;
  }

  #setDeadline(delayMs: number, run: () => void): void {
    this.#clearDeadline();
    this.#deadline = this.#context.clock.setTimer(delayMs, run);
  }
}
