import { SyncError } from '../core/errors.ts';
import type { QueueSettings } from './queue.ts';

/** The settings as they are recorded in a queue: equal settings give equal text, in whatever order the sinks are named. */
export function recordOfSettings(settings: QueueSettings): string {
  const names = (required: boolean) =>
    settings.sinks
      .filter((sink) => sink.required === required)
      .map((sink) => sink.name)
      .sort();
  return JSON.stringify({
    format: 1,
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
