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
  /** Called at every try while the sink is away: nothing else looks at what waits meanwhile. */
  readonly onAway: () => Promise<void>;
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
  try {
    await prepare(options);
    return { close: async () => {} };
  } catch (error) {
    if (!(error instanceof SyncError) || error.kind !== 'transient') throw error;
    logger.warn({ sink: sink.name, code: error.code }, `sink is away, changes are stored until it is back: ${error.message}`);
  }
  const retrying = (async () => {
    let last = '';
    for (let failures = 1; !stop.signal.aborted; failures++) {
      await sleep(clock, backoffMs(random, failures, RETRY_BASE_MS, RETRY_CAP_MS), stop.signal);
      if (stop.signal.aborted) return;
      try {
        await options.onAway();
        await prepare(options);
        logger.info({ sink: sink.name }, 'sink is there');
        return;
      } catch (error) {
        if (!(error instanceof SyncError)) throw error;
        if (error.kind !== 'transient' && error.message !== last) logger.error({ sink: sink.name, code: error.code }, error.message);
        last = error.message;
      }
    }
  })();
  return {
    close: async () => {
      stop.abort();
      await retrying;
    },
  };
}

async function prepare({ sink, settings, logger, onPrepared }: StartSinkOptions): Promise<void> {
  for (const warning of await sink.prepare(settings)) logger.warn({ sink: sink.name }, warning);
  await sink.refreshSchema();
  onPrepared();
}
