import { SyncError } from '../core/errors.ts';
import type { QueueSettings } from './queue.ts';

/**
 * Version of what is kept in a queue beside the elements, which carry their own. It stands in the settings, which every append
 * compares: a version that raises it keeps older ones out, even those that run.
 */
const FORMAT = 1;

/** The settings as they are recorded in a queue: equal settings give equal text, in whatever order the sinks are named. */
export function recordOfSettings(settings: QueueSettings): string {
  const names = (required: boolean) =>
    settings.sinks
      .filter((sink) => sink.required === required)
      .map((sink) => sink.name)
      .sort();
  return JSON.stringify({
    format: FORMAT,
    partitions: settings.partitions,
    required: names(true),
    optional: names(false),
    mapping: settings.mapping,
  });
}

/** The error for a queue that holds other settings than this node has; `recorded` is the text found there. */
export function settingsMismatch(recorded: string, settings: QueueSettings): SyncError {
  const ours = JSON.parse(recordOfSettings(settings)) as Record<string, unknown>;
  const differences: string[] = [];
  try {
    const theirs = JSON.parse(recorded) as Record<string, unknown>;
    if (Number(theirs['format']) > FORMAT)
      return new SyncError(
        'queue_mismatch',
        `the queue has format ${String(theirs['format'])}, this version knows ${FORMAT}; a newer version has been at work: run that one, see docs/upgrading.md`,
      );
    for (const key of Object.keys(ours)) {
      const there = JSON.stringify(theirs[key]);
      const here = JSON.stringify(ours[key]);
      if (there !== here) differences.push(`${key} ${there} there, ${here} here`);
    }
  } catch {
    differences.push('its record cannot be read');
  }
  return new SyncError(
    'queue_mismatch',
    `the queue was created with other settings: ${differences.join('; ')}; use the recorded settings, or another prefix or folder`,
  );
}
