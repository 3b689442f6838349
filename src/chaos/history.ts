/** What a client has noted, in files that outlive its processes; what the audit holds the database against. */
export interface ClientHistory {
  /** Counts from 1. */
  readonly client: number;
  /** By number, from 1. Every start of the process is a new life over the same spool. */
  readonly lives: ReadonlyMap<number, Life>;
  /** `life n` of the rows of table `strict` that it was told are refused. */
  readonly refused: ReadonlySet<string>;
  /** What should not have happened: rows refused that nothing is wrong with, and why it stopped, if it did. */
  readonly complaints: readonly string[];
  /** Refusals of the connection, after which it came back by itself. */
  readonly notes: readonly string[];
}

export interface Life {
  /** Up to this step it had begun to write. */
  readonly begun: number;
  /** Up to this step it was told that everything is durable in its spool. */
  readonly kept: number;
  /** Up to this step it was told that everything is applied. */
  readonly applied: number;
  /** When it began its blocks: the first step of each, and the wall clock in ms. */
  readonly blocks: readonly (readonly [n: number, wallMs: number])[];
}

/** One line of a file. */
export type Note =
  | readonly ['begun', life: number, n: number, wallMs: number]
  | readonly ['kept', life: number, n: number]
  | readonly ['applied', life: number, n: number]
  | readonly ['refused', life: number, n: number]
  | readonly ['complaint', text: string]
  | readonly ['note', text: string];

export function noteLine(note: Note): string {
  return `${JSON.stringify(note)}\n`;
}

/** Reads the files of a client. A line that the death of the process cut off counts as not written. */
export function readHistory(client: number, texts: readonly string[]): ClientHistory {
  const lives = new Map<number, { begun: number; kept: number; applied: number; blocks: (readonly [number, number])[] }>();
  const lifeOf = (number: number) => {
    const life = lives.get(number) ?? { begun: 0, kept: 0, applied: 0, blocks: [] };
    lives.set(number, life);
    return life;
  };
  const refused = new Set<string>();
  const complaints: string[] = [];
  const notes: string[] = [];
  for (const line of texts.flatMap((text) => text.split('\n').slice(0, -1))) {
    const note = JSON.parse(line) as Note;
    switch (note[0]) {
      case 'begun': {
        const life = lifeOf(note[1]);
        life.blocks.push([life.begun + 1, note[3]]);
        life.begun = note[2];
        break;
      }
      case 'kept':
      case 'applied': {
        const life = lifeOf(note[1]);
        life[note[0]] = Math.max(life[note[0]], note[2]);
        break;
      }
      case 'refused':
        refused.add(`${note[1]} ${note[2]}`);
        break;
      case 'complaint':
        complaints.push(note[1]);
        break;
      case 'note':
        notes.push(note[1]);
        break;
    }
  }
  return { client, lives, refused, complaints, notes };
}
