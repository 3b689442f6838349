import type { Comparison, Figures, Side } from './comparison.ts';
import { figureText } from './report/text.ts';

/** What a comparison gave: for each side, the figures of each pair. */
export interface Rounds {
  readonly comparison: Comparison;
  readonly scale: number;
  /** By name of the side; all have as many entries as there were pairs. */
  readonly measured: ReadonlyMap<string, readonly Figures[]>;
  /** Sides that could not run, and what to install. */
  readonly skipped: readonly { readonly side: Side; readonly reason: string }[];
}

export interface RoundsOptions {
  readonly pairs: number;
  readonly scale: number;
  /** Takes a line about each measurement. */
  readonly note: (line: string) => void;
}

/** Measures the sides of a comparison in turn, A B, B A, A B …, so that a machine that slows down slows both. */
export async function runRounds(comparison: Comparison, { pairs, scale, note }: RoundsOptions): Promise<Rounds> {
  const skipped: { side: Side; reason: string }[] = [];
  const present: Side[] = [];
  for (const side of comparison.sides) {
    const reason = await side.missing();
    if (reason === undefined) present.push(side);
    else skipped.push({ side, reason });
  }
  for (const { side, reason } of skipped) note(`${comparison.name}: ${side.name} is skipped: ${reason}`);
  if (comparison.sides.length > 1 && present.length < 2) {
    note(`${comparison.name}: there is nothing to set ${present[0]?.name ?? 'against each other'} against, so nothing is measured`);
    present.length = 0;
  }
  const measured = new Map<string, Figures[]>(present.map(({ name }) => [name, []]));
  for (let pair = 1; pair <= pairs; pair++) {
    // What one leaves behind in the machine comes before each as often as before the other.
    for (const side of pair % 2 === 1 ? present : present.toReversed()) {
      const figures = await measureOne(comparison, side, scale);
      measured.get(side.name)?.push(figures);
      note(`${comparison.name} ${pair}/${pairs}  ${side.name}  ${figuresText(figures)}`);
    }
  }
  return { comparison, scale, measured, skipped };
}

async function measureOne(comparison: Comparison, side: Side, scale: number): Promise<Figures> {
  try {
    return await side.measure(scale);
  } catch (error) {
    throw new Error(`${comparison.name}, ${side.name}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

function figuresText(figures: Figures): string {
  return Object.entries(figures)
    .map(([name, value]) => `${figureText(value)} ${name}`)
    .join(', ');
}
