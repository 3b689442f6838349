import type { Access } from '../core/access.ts';
import { type Clock, sleep } from '../core/clock.ts';
import { SyncError } from '../core/errors.ts';
import { backoffMs } from '../core/random.ts';
import { encodeFrame, FRAME } from '../protocol/frame.ts';
import { decodeHello, encodeWelcome, type Hello, PROTOCOL_VERSION, type TableInfo } from '../protocol/messages.ts';
import { kindOfStream, type Place, REQUEST_STREAM_TAG, type SeqByPartition } from '../core/stream.ts';
import type { Queue } from '../queue/queue.ts';
import type { Acknowledgements } from './acknowledgements.ts';
import type { IngestContext, IngestSettings } from './context.ts';
import { unknownPartition } from './endings.ts';
import { mayPass, raiseRecords, type Survey, survey, type Surveyed } from './survey.ts';

const RETRY_BASE_MS = 100;
const RETRY_CAP_MS = 2_000;
/** A sink that is frozen answers nothing at all; clients are taken in without it after this time. */
const SINK_PATIENCE_MS = 1_000;

export interface Greeting {
  readonly hello: Hello;
  /** By partition, the seq up to which the client holds nothing any more. */
  readonly forgotten: SeqByPartition;
}

/** @throws {SyncError} `bad_hello`, `unsupported_version` or `unknown_partition`. */
export function readGreeting(payload: Uint8Array, partitionCount: number, from: 'inside' | 'outside'): Greeting {
  const hello = decodeHello(payload);
  if (from === 'outside' && [hello.stream, ...(hello.left ?? [])].some((stream) => kindOfStream(stream) === 'request'))
    throw new SyncError('bad_hello', `HELLO: stream ids that begin with ${REQUEST_STREAM_TAG} are kept for HTTP requests; choose another`);
  return { hello, forgotten: forgottenOf(hello, partitionCount) };
}

function forgottenOf(hello: Hello, partitionCount: number): Map<number, number> {
  const forgotten = new Map<number, number>();
  for (const [partition, oldest] of hello.oldest) {
    if (partition >= partitionCount) throw unknownPartition('HELLO names', partition, partitionCount);
    if (oldest < 1) throw new SyncError('bad_hello', `HELLO: "oldest" of partition ${partition} is ${oldest}; the first seq is 1`);
    forgotten.set(partition, oldest - 1);
  }
  return forgotten;
}

/**
 * Reads how far the stream is, as often as it takes; undefined when `signal` was aborted. Rejects as {@link survey} does,
 * but for what passes. First of all the streams that HELLO says were left are ended. While the sinks cannot be read, the
 * queue alone will do if it holds everything that the client has let go of: the survey then lacks watermarks and
 * rejections, and must be made again.
 */
export async function surveyForOpening(
  { progress, queue, clock, random, log }: IngestContext,
  { stream, left = [] }: Pick<Hello, 'stream' | 'left'>,
  producer: string,
  forgotten: SeqByPartition,
  signal: AbortSignal,
): Promise<OpeningSurvey | undefined> {
  const surveyed = { stream, producer, above: forgotten };
  const toEnd = [...left];
  for (let failureCount = 0; !signal.aborted;) {
    try {
      for (; toEnd[0] !== undefined; toEnd.shift())
        await within(clock, SINK_PATIENCE_MS, progress.end(toEnd[0], producer)).catch(ifNotAnothers(log, toEnd[0], producer));
      const result = await survey({ read: (...asked) => within(clock, SINK_PATIENCE_MS, progress.read(...asked)) }, queue, surveyed);
      return signal.aborted ? undefined : { ...result, isComplete: true };
    } catch (error) {
      if (!mayPass(error)) throw error;
      failureCount++;
      // What was left must not be applied behind what comes now.
      const stored = toEnd.length > 0 ? undefined : await storedAlone(queue, surveyed);
      if (signal.aborted) return undefined;
      if (stored !== undefined) return { watermarks: new Map(), rejections: [], cut: new Map(), stored, isComplete: false };
      if (failureCount === 1) log.warn({ stream, producer, code: error.code }, `a stream cannot be opened yet: ${error.message}`);
    }
    await sleep(clock, backoffMs(random, failureCount, RETRY_BASE_MS, RETRY_CAP_MS), signal);
  }
  return undefined;
}

/** A client may have been given another producer since it left a stream: that one stays as it is, and the client need not. */
function ifNotAnothers(log: IngestContext['log'], stream: string, producer: string): (error: unknown) => void {
  return (error) => {
    if (!(error instanceof SyncError) || error.code !== 'stream_owned_by_other') throw error;
    log.warn({ stream, producer }, 'a stream that a client has left belongs to another producer, and is not ended');
  };
}

/** What `reading` gives, or a transient error when that takes too long; it then goes on for nothing. */
function within<T>(clock: Clock, timeoutMs: number, reading: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = clock.setTimer(timeoutMs, () =>
      reject(new SyncError('sink_unavailable', `the sink has not answered within ${timeoutMs} ms`)),
    );
    reading.then(resolve, reject).finally(() => timer.cancel());
  });
}

export interface OpeningSurvey extends Survey {
  /** False when only the queue could be read. */
  readonly isComplete: boolean;
}

/** What the queue records, if that is enough to go on with; undefined when it is not, or the queue cannot be read. */
async function storedAlone(queue: Queue, surveyed: Surveyed): Promise<Map<number, Place> | undefined> {
  try {
    const stored = await raiseRecords(queue, surveyed, new Map());
    for (const [partition, seq] of surveyed.above) if ((stored.get(partition)?.seq ?? 0) < seq) return undefined;
    return stored;
  } catch (error) {
    if (mayPass(error)) return undefined;
    throw error;
  }
}

/** Those of `tables` that a producer may write: of others it is not told that they exist. */
export function tablesFor(access: Access | undefined, tables: ReadonlyMap<string, TableInfo>): ReadonlyMap<string, TableInfo> {
  return access === undefined ? tables : new Map([...tables].filter(([name]) => access.includes(name)));
}

/** WELCOME as it answers HELLO. */
export function welcomeFrame(
  { node, queue }: IngestContext,
  settings: IngestSettings,
  producer: string,
  { stored }: Survey,
  tables: ReadonlyMap<string, TableInfo>,
): Uint8Array {
  const { maxFrameBytes, creditBytes, heartbeatMs } = settings;
  const partitions = queue.partitionCount;
  const payload = encodeWelcome({
    v: PROTOCOL_VERSION,
    node,
    producer,
    partitions,
    maxFrameBytes,
    creditBytes,
    heartbeatMs,
    stored,
    tables,
  });
  return encodeFrame({ type: FRAME.welcome, payload });
}

/** Makes REJECTED and APPLIED due as the survey found them, and notes what WELCOME says is stored. */
export function takeSurvey(acknowledgements: Acknowledgements, found: Survey, forgotten: SeqByPartition): void {
  for (const [partition, place] of found.stored) {
    const lane = acknowledgements.lane(partition, forgotten.get(partition) ?? 0);
    lane.stored = place;
    acknowledgements.found(lane, found);
  }
}
