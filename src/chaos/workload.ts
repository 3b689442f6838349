import { partitionOf } from '../core/partition.ts';
import { SeededRandom } from './seeded-random.ts';

/** Row keys that one life of a client changes again and again. */
const KEYS = 40;
/** Every so many steps come with a row that must be refused; the step after it with one that must not. */
const REFUSED_EVERY = 25;
const MAX_PAD = 120;

export type RowOp = 'insert' | 'update' | 'upsert' | 'delete';

/** Why a row of table `strict` cannot be applied: the server sees it, the database does, or the row is not there. */
export type Refusal = 'null' | 'check' | 'missing';

/** One step of a client: a row for the journal, the same change for `item` and `state`, and now and then one for `strict`. */
export interface Step {
  /** Counts from 1 in each life. */
  readonly n: number;
  /** Key of the row in `item` and `state`. */
  readonly id: number;
  readonly op: RowOp;
  /** What happens to the row n of table `strict`; undefined when there is none. */
  readonly strict: Refusal | 'good' | undefined;
}

/**
 * What a client does in one of its lives, step by step, without end. Only these three numbers decide it, so that the audit
 * knows what the database must hold without having been told.
 */
export function* stepsOf(seed: number, client: number, life: number): Generator<Step, never> {
  const random = new SeededRandom(seed * 1_000_003 + client * 8191 + life);
  const present = new Array<boolean>(KEYS).fill(false);
  for (let n = 1; ; n++) {
    const id = random.below(KEYS);
    const op = present[id] === true ? presentOp(random) : absentOp(random);
    present[id] = op !== 'delete';
    yield { n, id, op, strict: strictOf(n) };
  }
}

/** The text that a row has which step `n` inserted or upserted. */
export function padOf(n: number): string {
  return `${n}`.padEnd(n % MAX_PAD, '.');
}

/** Where the row of a journal goes; rows of one partition are applied in the order in which they were written. */
export function journalPartition(table: string, client: number, life: number, n: number, partitionCount: number): number {
  return partitionOf(table, [client, life, n], partitionCount);
}

function absentOp(random: SeededRandom): RowOp {
  return random.chance(0.5) ? 'insert' : 'upsert';
}

function presentOp(random: SeededRandom): RowOp {
  const draw = random.fraction();
  if (draw < 0.4) return 'update';
  return draw < 0.7 ? 'upsert' : 'delete';
}

const REFUSALS: readonly Refusal[] = ['null', 'check', 'missing'];

function strictOf(n: number): Step['strict'] {
  if (n % REFUSED_EVERY === 0) return REFUSALS[(n / REFUSED_EVERY) % REFUSALS.length];
  return n % REFUSED_EVERY === 1 ? 'good' : undefined;
}

/** How many changes the first `n` steps of a life are, and how many of them must be refused. */
export function changesUpTo(n: number): { readonly changes: number; readonly refused: number } {
  const refused = Math.floor(n / REFUSED_EVERY);
  const good = Math.floor((n + REFUSED_EVERY - 1) / REFUSED_EVERY);
  return { changes: n * CHANGES_PER_STEP + refused + good, refused };
}

/** Changes of most steps: one each for `journal`, `item` and `state`. */
export const CHANGES_PER_STEP = 3;
