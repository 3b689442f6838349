import type { Figure, Figures } from './part.ts';

/** Figures of two slices as those of one. */
export function addFigures(one: Figures, other: Figures): Figures {
  const sum: Record<string, Figure> = { ...one };
  for (const [name, value] of Object.entries(other)) {
    const before = sum[name];
    sum[name] = before === undefined ? value : add(name, before, value);
  }
  return sum;
}

/** A sum of fractions, without the digits that are none. */
export function rounded(value: number): number {
  return Math.round(value * 1e9) / 1e9;
}

export function median(sample: readonly number[]): number {
  const sorted = sample.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? Number.NaN;
}

function add(name: string, one: Figure, other: Figure): Figure {
  if (typeof one !== 'number' || typeof other !== 'number') return [one, other].flat();
  return name.startsWith('longest ') ? Math.max(one, other) : rounded(one + other);
}
