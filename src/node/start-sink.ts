import type { Logger } from '../admin/log.ts';
import { sleep, type Clock } from '../core/clock.ts';
import { SyncError } from '../core/errors.ts';
import { backoffMs, type Random } from '../core/random.ts';
import type { Sink, SinkSettings } from '../sinks/sink.ts';

const RETRY_BASE_MS = 200;
const RETRY_CAP_MS = 1_000;

export interface StartSinkOptions {
  readonly sink: Sink;
  readonly settings: SinkSettings;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Called once, when slices may run. */
  readonly onPrepared: () => void;
  /** Called after every try that failed, with the reason: nothing else looks at what waits meanwhile. */
  readonly onAway: (error: SyncError) => Promise<void>;
}

/**
 * Prepares the sink. One that is away is tried again in the background, for as long as it takes: the node stores what
 * comes meanwhile. What the sink refuses at the first contact is thrown; at a later one it is logged, and tried again in
 * case somebody puts it right.
 * @throws {SyncError} of kind `startup`.
 */
export async function startSink(options: StartSinkOptions): Promise<{ close(): Promise<void> }> {
  const { sink, logger, clock, random } = options;
  const stop = new AbortController();
  let failure = await failureOf(options);
  if (failure === undefined) return { close: async () => {} };
  if (failure.kind !== 'transient') throw failure;
  logger.warn({ sink: sink.name, code: failure.code }, `sink is away, changes are stored until it is back: ${failure.message}`);

  const retrying = (async () => {
    for (let failures = 1; failure !== undefined; failures++) {
      await away(options, failure);
      await sleep(clock, backoffMs(random, failures, RETRY_BASE_MS, RETRY_CAP_MS), stop.signal);
      if (stop.signal.aborted) return;
      const before = failure.message;
      failure = await failureOf(options);
      if (failure !== undefined && failure.kind !== 'transient' && failure.message !== before)
        logger.error({ sink: sink.name, code: failure.code }, failure.message);
    }
    logger.info({ sink: sink.name }, 'sink is there');
  })();
  return {
    close: async () => {
      stop.abort();
      await retrying;
    },
  };
}

/** Prepares the sink; gives the reason when the world is in the way. */
async function failureOf({ sink, settings, logger, onPrepared }: StartSinkOptions): Promise<SyncError | undefined> {
  try {
    for (const warning of await sink.prepare(settings)) logger.warn({ sink: sink.name }, warning);
    await sink.refreshSchema();
  } catch (error) {
    if (error instanceof SyncError) return error;
    throw error;
  }
  onPrepared();
  return undefined;
}

async function away({ onAway }: StartSinkOptions, failure: SyncError): Promise<void> {
  try {
    await onAway(failure);
  } catch (error) {
    // The queue is away too, and says so itself.
    if (!(error instanceof SyncError)) throw error;
  }
}
