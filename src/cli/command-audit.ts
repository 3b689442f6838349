import { userInfo } from 'node:os';
import { type AuditEvent, commandsFile, openAuditLog } from '../audit/audit-log.ts';
import type { AuditFields } from '../audit/chain.ts';
import type { Config } from '../config/config.ts';
import { systemClock } from '../core/clock.ts';
import { SyncError } from '../core/errors.ts';
import type { Terminal } from './command.ts';

/** Writes down what a command has done, beside the audit log of the server; says so where that cannot be done. */
export async function recordCommand({ audit }: Config, terminal: Terminal, event: AuditEvent, fields: AuditFields): Promise<void> {
  if (audit.file === undefined) return;
  const path = commandsFile(audit.file);
  const warn = (reason: string) => terminal.err(`warning: this was done, and is not in the audit log: ${reason}\n`);
  const troubled = (failure: string | undefined) => {
    if (failure !== undefined) warn(failure);
  };
  try {
    const log = openAuditLog({ path, maxBytes: audit.maxBytes, maxFiles: audit.maxFiles, clock: systemClock, troubled });
    log.record(event, { user: userInfo().username, ...fields });
    await log.close();
  } catch (error) {
    if (!(error instanceof SyncError)) throw error;
    warn(error.message);
  }
}
