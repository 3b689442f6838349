import { rmSync } from 'node:fs';

/** Folders of private servers. Most are gone long before this process ends. */
const folders = new Set<string>();

/** Removes `folder` when this process ends: whoever interrupts a run is not left with gigabytes of data. */
export function removeAtExit(folder: string): void {
  if (folders.size === 0) process.on('exit', removeAll);
  folders.add(folder);
}

function removeAll(): void {
  // Processes that were killed a moment ago may still be writing.
  for (const folder of folders) rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
}
