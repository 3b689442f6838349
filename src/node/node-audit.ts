import { isDeepStrictEqual } from 'node:util';
import type { AdminObserver } from '../admin/admin.ts';
import type { Logger } from '../admin/log.ts';
import type { SliceResult } from '../apply/task.ts';
import { type AuditLog, type AuditState, openAuditLog } from '../audit/audit-log.ts';
import type { Config } from '../config/config.ts';
import type { Reload } from '../config/reload.ts';
import type { Clock } from '../core/clock.ts';
import type { SyncError } from '../core/errors.ts';
import type { AccessObserver } from '../ingest/context.ts';
import { tokenId } from '../ingest/producers.ts';

export interface NodeAuditOptions {
  readonly config: Config;
  readonly version: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Ends of connections that are no refusal. */
const ORDINARY: ReadonlySet<string> = new Set(['shutting_down', 'stream_taken_over', 'heartbeat_lost']);

/** Brings what happens on a node into its audit log; does nothing where none is configured. */
export class NodeAudit implements AccessObserver, AdminObserver {
  readonly #log: AuditLog | undefined;
  readonly #logger: Logger;

  /** @throws {SyncError} `audit_unavailable` when the file cannot be used. */
  constructor({ config, version, clock, logger }: NodeAuditOptions) {
    const { file, maxBytes, maxFiles } = config.audit;
    this.#logger = logger;
    if (file === undefined) return;
    const troubled = (failure: string | undefined) => {
      if (failure === undefined) logger.info({}, 'the audit log is written again');
      else
        logger.error(
          { file, reason: failure },
          'the audit log cannot be written; the server goes on, and keeps what comes as far as it has room',
        );
    };
    this.#log = openAuditLog({ path: file, maxBytes, maxFiles, clock, troubled });
    // Noted where another program keeps it: who cuts off the end of the file does not cut it off there.
    logger.info({ file, ...this.#log.state.last }, 'the audit log goes on from here');
    this.#log.record('started', { node: config.node, version, process: process.pid });
  }

  /** Undefined where there is none. */
  get state(): AuditState | undefined {
    return this.#log?.state;
  }

  admitted({ address, producer, token, stream }: Parameters<AccessObserver['admitted']>[0]): void {
    this.#log?.record('admitted', { address, producer, token, stream });
  }

  refused({ address, producer, code }: Parameters<AccessObserver['refused']>[0]): void {
    if (!ORDINARY.has(code)) this.#log?.record('refused', { address, producer, code });
  }

  adminRefused(address: string, path: string): void {
    this.#log?.record('admin_refused', { address, path });
  }

  dutyChanged(to: 'drain' | 'resume', address: string): void {
    this.#log?.record(to, { address });
  }

  sliceFinished({ moves }: Pick<SliceResult, 'moves'>): void {
    for (const { producer, rejections } of moves) {
      // A rejection of a whole batch names no changes.
      for (const { code, changes } of rejections) this.#log?.record('dead_letters', { producer, code }, Math.max(1, changes.length));
    }
  }

  reloaded({ config, changed, waiting }: Reload, before: Config): void {
    this.#log?.record('reloaded', { changed, waiting });
    this.tokensChanged(tokensOf(before), tokensOf(config));
  }

  /** By producer, what names its tokens. */
  tokensChanged(before: ReadonlyMap<string, readonly string[]>, after: ReadonlyMap<string, readonly string[]>): void {
    for (const producer of new Set([...before.keys(), ...after.keys()])) {
      const [was, is] = [before.get(producer) ?? [], after.get(producer) ?? []];
      if (isDeepStrictEqual(was, is)) continue;
      const added = is.filter((token) => !was.includes(token));
      const removed = was.filter((token) => !is.includes(token));
      this.#log?.record('tokens_changed', { producer, added, removed });
    }
  }

  reloadFailed({ code }: SyncError): void {
    this.#log?.record('reload_failed', { code });
  }

  /** Writes what waits. */
  async close(): Promise<void> {
    if (this.#log === undefined) return;
    this.#log.record('stopped', {});
    await this.#log.close();
    this.#logger.info({ ...this.#log.state.last }, 'the audit log ends here');
  }
}

function tokensOf({ producers }: Config): ReadonlyMap<string, readonly string[]> {
  return new Map(producers.map(({ name, tokens }) => [name, tokens.map(tokenId)]));
}
