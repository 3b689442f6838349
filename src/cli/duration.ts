import { UsageError } from './command.ts';
import { duration } from './text.ts';

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, min: 60_000, h: 3_600_000, d: 86_400_000 };

/** The time that a flag gives, in ms: `500ms`, `90s`, `10m`, `2h`. @throws {UsageError} */
export function parseDuration(
  name: string,
  written: string | undefined,
  fallbackMs: number,
  [min, max]: readonly [number, number],
): number {
  if (written === undefined) return fallbackMs;
  const match = /^(\d+(?:\.\d+)?)([a-z]+)$/i.exec(written.trim());
  const unit = UNITS[match?.[2]?.toLowerCase() ?? ''];
  const ms = unit === undefined ? NaN : Math.round(Number(match?.[1]) * unit);
  if (!(ms >= min && ms <= max))
    throw new UsageError(`--${name} is a time such as 90s, 10m or 2h, from ${duration(min)} to ${duration(max)}, not ${written}`);
  return ms;
}
