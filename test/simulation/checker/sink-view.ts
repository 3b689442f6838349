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
  /** What the row became; undefined when it was deleted. */
  readonly row: SinkRow | undefined;
}

export interface LetterPlace {
  readonly stream: string;
  readonly partition: number;
  readonly seq: number;
  /** −1 for the whole batch. */
  readonly index: number;
}

export function watermarkOf(view: SinkView, stream: string, partition: number): number {
  return watermarksOf(view).get(`${stream} ${partition}`) ?? 0;
}

/** Up to where a partition of a stream is, or once was, in the database. */
export function everApplied(view: SinkView, stream: string, partition: number): number {
  return Math.max(watermarkOf(view, stream, partition), view.takenBack.get(`${stream} ${partition}`) ?? 0);
}

/** Seqs by `stream partition`. */
export function watermarksOf(view: SinkView): Map<string, number> {
  return seqsOf(view.rows('syncline_watermark'));
}

/** The same of rows of the table of watermarks. */
export function seqsOf(rows: readonly SinkRow[]): Map<string, number> {
  return new Map(rows.map((row) => [`${hex(row['stream'])} ${Number(row['part'])}`, Number(row['seq'])]));
}

export function lettersOf(view: SinkView): LetterPlace[] {
  return view.rows('syncline_dead_letter').map((row) => ({
    stream: hex(row['stream']),
    partition: Number(row['part']),
    seq: Number(row['seq']),
    index: Number(row['change_index']),
  }));
}

export function hex(value: unknown): string {
  return value instanceof Uint8Array ? Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex') : String(value);
}
