/** What the checker sees of the database: tables and what was committed, read past the product. */
export interface SinkView {
  rows(table: string): readonly SinkRow[];
  /** Rows that were written, in the order of the commits; only grows. */
  readonly effects: readonly Effect[];
  /** By `stream partition`, the highest watermark that a restored backup took back. */
  readonly takenBack: ReadonlyMap<string, number>;
}

export type SinkRow = Readonly<Record<string, unknown>>;

/** One committed change of one row. */
export interface Effect {
  /** Counts commits. */
  readonly commit: number;
  readonly table: string;
  readonly op: 'insert' | 'update' | 'delete';
  /** What the row was; undefined when it was inserted. */
  readonly before: SinkRow | undefined;
  /** What the row became; undefined when it was deleted. */
  readonly row: SinkRow | undefined;
}

export interface LetterPlace {
  readonly stream: string;
  readonly partition: number;
  readonly seq: number;
  /** −1 for the whole batch. */
  readonly index: number;
  /** `stream partition seq`. */
  readonly batch: string;
}

/** Seqs by `stream partition`, of streams that were ended, too. */
export function watermarksOf(view: SinkView): Map<string, number> {
  const ended = view.effects.filter(({ table, op }) => table === 'syncline_watermark' && op === 'delete').map(({ before }) => before!);
  return new Map([...ended, ...view.rows('syncline_watermark')].map((row) => [watermarkLaneOf(row), Number(row['seq'])]));
}

/** `stream partition` of a row of the watermark table. */
export function watermarkLaneOf(row: SinkRow): string {
  return `${hex(row['stream'])} ${Number(row['part'])}`;
}

export function lettersOf(view: SinkView): LetterPlace[] {
  return view.rows('syncline_dead_letter').map(letterPlaceOf);
}

export function letterPlaceOf(row: SinkRow): LetterPlace {
  const [stream, partition, seq] = [hex(row['stream']), Number(row['part']), Number(row['seq'])];
  return { stream, partition, seq, index: Number(row['change_index']), batch: `${stream} ${partition} ${seq}` };
}

export function hex(value: unknown): string {
  return value instanceof Uint8Array ? Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex') : String(value);
}
