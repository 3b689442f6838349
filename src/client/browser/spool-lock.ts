import { messageOf, SyncError } from '../../core/errors.ts';

export interface SpoolLock {
  release(): void;
}

/**
 * How long to wait for a lock that somebody has: when a page is loaded again, what the page before it had is given back a
 * moment after the new one has begun.
 */
const PATIENCE_MS = 1000;

/**
 * Takes a spool for this page alone, among all pages and workers of its origin. The browser gives the lock back when the
 * page goes, however it goes.
 * @throws {SyncError} `spool_locked` when somebody has it, `spool_unavailable` where there are no locks.
 */
export function lockSpool(name: string): Promise<SpoolLock> {
  // Against what the types say: only pages of https and of localhost have it.
  if ((navigator.locks as LockManager | undefined) === undefined) {
    throw new SyncError(
      'spool_unavailable',
      `spool indexeddb:${name} cannot be locked: browsers have locks only for pages of https and of localhost; serve the page over https`,
    );
  }
  return new Promise((resolve, reject) => {
    const held = () => new Promise<void>((release) => resolve({ release }));
    navigator.locks.request(`syncline spool ${name}`, { signal: AbortSignal.timeout(PATIENCE_MS) }, held).catch((error: unknown) => {
      const isTaken = error instanceof DOMException && error.name === 'TimeoutError';
      reject(
        isTaken
          ? new SyncError(
              'spool_locked',
              `spool indexeddb:${name} is used by another client, such as the same page in another tab; give each client a spool of its own`,
            )
          : new SyncError('spool_unavailable', `spool indexeddb:${name} cannot be locked: ${messageOf(error)}`, { cause: error }),
      );
    });
  });
}
