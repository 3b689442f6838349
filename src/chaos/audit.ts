import { auditLog } from './audit-log.ts';
import { auditRows } from './audit-rows.ts';
import { Findings, type Finding } from './findings.ts';
import type { ClientHistory } from './history.ts';
import { stepsOf, type Step } from './workload.ts';

/** What the database holds at the end. */
export interface Contents {
  /** In the order in which they were inserted. */
  readonly journal: readonly Place[];
  /** Full name of that table; with it the partitions of its rows are known. */
  readonly journalTable: string;
  readonly item: readonly ChangedRow[];
  readonly state: readonly ChangedRow[];
  readonly strict: readonly Place[];
  /** In order; undefined where there are no triggers. */
  readonly log: readonly Effect[] | undefined;
  /** Dead letters of all tables of the run. */
  readonly letters: readonly Letter[];
  /** Of the queue that the server uses; decides which rows of the journal keep their order. */
  readonly partitions: number;
}

/** A step of a life of a client. */
export interface Place {
  readonly client: number;
  readonly life: number;
  readonly n: number;
}

export interface ChangedRow extends Place {
  readonly id: number;
  readonly pad: string | null;
}

export interface Effect extends Place {
  readonly id: number;
  readonly op: 'I' | 'U' | 'D';
}

export interface Letter {
  readonly table: 'journal' | 'item' | 'state' | 'strict';
  /** Undefined where the key in the letter cannot be read. */
  readonly place: Place | undefined;
  readonly code: string;
  readonly message: string;
}

/** One life as the audit sees it: what it did, and how much of that must be in the database. */
export interface LifeModel extends Omit<Place, 'n'> {
  readonly kept: number;
  /** Every step that it had begun; those above {@link kept} may be there or not. */
  readonly steps: readonly Step[];
}

/**
 * Compares what the clients noted with what the database holds, knowing nothing of how it came there. Returns what is
 * wrong; empty when nothing is.
 *
 * What a client had made sure of must be there, once and in order. What it had begun to write when it was killed may be
 * there or not, but each row's changes only in their order and without one missing between them.
 */
export function audit(seed: number, histories: readonly ClientHistory[], contents: Contents): Finding[] {
  const findings = new Findings();
  const models = new Map<string, LifeModel>();
  for (const { client, lives, complaints } of histories) {
    for (const text of complaints) findings.add('other', `client ${client}: ${text}`);
    for (const [life, { begun, kept }] of lives) {
      const steps: Step[] = [];
      const plan = stepsOf(seed, client, life);
      for (let n = 1; n <= begun; n++) steps.push(plan.next().value);
      models.set(`${client} ${life}`, { client, life, kept, steps });
    }
  }
  const told = new Map(histories.map(({ client, refused }) => [client, refused]));
  auditRows(findings, models, told, contents);
  if (contents.log !== undefined) auditLog(findings, models, contents.log);
  return findings.list;
}
