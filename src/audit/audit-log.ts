import { AuditFile, type AuditFileOptions } from './audit-file.ts';
import type { AuditFields, Link } from './chain.ts';
import { Gathering } from './gathering.ts';

/**
 * What is written down, for whoever asks later who did what. docs/security.md says what stands beside each.
 * Those of {@link FLOODS} can be caused by anybody who reaches a door: what is the same within a second shares a line.
 */
export type AuditEvent =
  | 'started'
  | 'stopped'
  | 'admitted'
  | 'refused'
  | 'admin_refused'
  | 'dead_letters'
  | 'dead_letters_retried'
  | 'dead_letters_dropped'
  | 'drain'
  | 'resume'
  | 'reloaded'
  | 'reload_failed'
  | 'tokens_changed';

/** A record of what concerns security, in a file that shows when it was changed. */
export interface AuditLog {
  /** Never waits and never throws; `count` is how often it happened. */
  record(event: AuditEvent, fields: AuditFields, count?: number): void;
  readonly state: AuditState;
  /** Writes what waits. */
  close(): Promise<void>;
}

export interface AuditState {
  /** The last line that is on the disk. */
  readonly last: Link;
  /** Events that were lost, because the disk took nothing for too long. */
  readonly lost: number;
  /** Why nothing can be written now. */
  readonly failure: string | undefined;
}

const FLOODS: ReadonlySet<AuditEvent> = new Set(['admitted', 'refused', 'admin_refused', 'dead_letters']);

/** @throws {SyncError} `audit_unavailable` when the file cannot be used. */
export function openAuditLog(options: AuditFileOptions): AuditLog {
  const file = new AuditFile(options);
  const gathering = new Gathering(options.clock, (event, fields) => file.append(event, fields));
  return {
    record(event, fields, count = 1) {
      if (FLOODS.has(event)) gathering.add(event, fields, count);
      else file.append(event, { ...fields, ...(count === 1 ? {} : { count }) });
    },
    get state() {
      return { last: file.link, lost: file.lost, failure: file.failure };
    },
    async close() {
      gathering.flush();
      await file.close();
    },
  };
}

/** The audit log of the commands that are run beside a server, which has its own open. */
export function commandsFile(path: string): string {
  return `${path}.commands`;
}
