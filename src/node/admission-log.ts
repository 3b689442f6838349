import type { Logger } from '../admin/log.ts';
import type { Clock, Timer } from '../core/clock.ts';
import type { Admission, Queue } from '../queue/queue.ts';

/** A queue that is nearly full takes something now and then: only one that stays open for this long is said to be open. */
const SETTLED_MS = 2_000;

/**
 * Writes to the log when the queue begins to hold producers back, for another kind of reason than before, and when it
 * has ceased to. Returns how to stop.
 */
export function logAdmission(queue: Pick<Queue, 'admission' | 'watch'>, clock: Clock, logger: Logger): () => Promise<void> {
  /** Code of the reason that was told. */
  let told: string | undefined;
  let settling: Timer | undefined;
  const tell = (admission: Admission) => {
    settling?.cancel();
    if (admission.state === 'held') {
      // The code alone: the rest of a reason may differ from one look at the queue to the next.
      const code = admission.reason.split(':', 1)[0];
      if (code !== told) logger.warn({ reason: admission.reason }, 'producers are held back');
      told = code;
    } else if (told !== undefined) {
      settling = clock.setTimer(SETTLED_MS, () => {
        told = undefined;
        logger.info({}, 'producers may send again');
      });
    }
  };
  tell(queue.admission);
  const unwatch = queue.watch((event) => {
    if (event.type === 'admission') tell(event.admission);
  });
  return async () => {
    unwatch();
    settling?.cancel();
  };
}
