import type { Logger } from '../admin/log.ts';
import type { Admission, Queue } from '../queue/queue.ts';

/**
 * Writes to the log when the queue begins to hold producers back, for another kind of reason than before, and when it
 * ceases to. Returns how to stop.
 */
export function logAdmission(queue: Pick<Queue, 'admission' | 'watch'>, logger: Logger): () => Promise<void> {
  let told: string | undefined;
  const tell = (admission: Admission) => {
    // The code: the rest of a reason may differ from one look at the queue to the next.
    const held = admission.state === 'held' ? admission.reason.split(':', 1)[0] : undefined;
    if (held === told) return;
    told = held;
    if (admission.state === 'held') logger.warn({ reason: admission.reason }, 'producers are held back');
    else logger.info({}, 'producers may send again');
  };
  tell(queue.admission);
  const unwatch = queue.watch((event) => {
    if (event.type === 'admission') tell(event.admission);
  });
  return async () => unwatch();
}
