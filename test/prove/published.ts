import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import { LEDGER_ENTRY, type LedgerEntry } from './ledger-entry.ts';

const PUBLISHED = z.record(z.string(), z.array(LEDGER_ENTRY.omit({ part: true })));

/**
 * The counts that are committed with the source, by part: what a fresh clone goes on from, and what the page is made of.
 * @throws {Error} when the file is not what {@link publishedText} writes.
 */
export function readPublished(file: string): LedgerEntry[] {
  if (!existsSync(file)) return [];
  const parts = PUBLISHED.parse(JSON.parse(readFileSync(file, 'utf8')));
  return Object.entries(parts).flatMap(([part, entries]) => entries.map((entry) => ({ part, ...entry })));
}

export function writePublished(file: string, entries: readonly LedgerEntry[]): void {
  writeFileSync(file, publishedText(entries));
}

function publishedText(entries: readonly LedgerEntry[]): string {
  const groups = Map.groupBy(entries, ({ part }) => part);
  const parts = [...groups].map(([part, group]) => [part, group.map(({ part: _, ...entry }) => entry)] as const);
  return `${JSON.stringify(Object.fromEntries(parts), undefined, 2)}\n`;
}
