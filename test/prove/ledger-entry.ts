import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { z } from 'zod';

const MACHINE = z.strictObject({ cpu: z.string(), cores: z.int(), node: z.string(), os: z.string() });

const VIOLATION = z.strictObject({ what: z.string(), rerun: z.string() });

/** Items of one part, done at one commit on one machine, as the ledger and the published file have them. */
export const LEDGER_ENTRY = z.strictObject({
  part: z.string(),
  /** What it was run on; see `SourceState`. */
  source: z.string(),
  commit: z.string(),
  /** The first item, and how many from it on. */
  from: z.int().min(1),
  count: z.int().min(1),
  /** How many made the full set then. */
  target: z.int(),
  seconds: z.number(),
  violations: z.array(VIOLATION).readonly(),
  figures: z.record(z.string(), z.union([z.number(), z.array(z.number()).readonly()])),
  machine: MACHINE,
  /** When it ended, ISO 8601. */
  date: z.string(),
});

export type LedgerEntry = z.infer<typeof LEDGER_ENTRY>;
export type Machine = z.infer<typeof MACHINE>;

/** The machine that this process runs on. */
export function thisMachine(): Machine {
  const cores = cpus();
  return { cpu: cores[0]?.model.trim() ?? 'unknown', cores: cores.length, node: process.version.slice(1), os: systemName() };
}

function systemName(): string {
  try {
    const [, name] = /^PRETTY_NAME="?(.*?)"?$/m.exec(readFileSync('/etc/os-release', 'utf8')) ?? [];
    return name ?? process.platform;
  } catch {
    return process.platform;
  }
}
