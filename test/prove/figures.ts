import type { Figures } from './part.ts';

/** Figures of two slices as those of one. */
export function addFigures(one: Figures, other: Figures): Figures {
  const sum: Record<string, number> = { ...one };
  for (const [name, value] of Object.entries(other)) {
    const before = sum[name];
    sum[name] = before === undefined ? value : rounded(/^(longest|median)\b/.test(name) ? Math.max(before, value) : before + value);
  }
  return sum;
}

/** A sum of fractions, without the digits that are none. */
export function rounded(value: number): number {
  return Math.round(value * 1e9) / 1e9;
}
