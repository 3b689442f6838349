/** Runs in a page: spools that `page-spool.ts` drives from outside. */
import { openIndexedDbSpool } from '../../src/client/browser/indexed-db-spool.ts';
import type { Spool, SpooledFrame } from '../../src/client/spool.ts';
import { SyncError } from '../../src/core/errors.ts';
import { fromHex, toHex } from '../../src/core/hex.ts';
import type { Place } from '../../src/core/stream.ts';

/** What can be carried into a page and out of it. */
export interface CarriedFrame extends Omit<SpooledFrame, 'bytes'> {
  readonly hex: string;
}

export interface CarriedState {
  readonly stream: string | undefined;
  readonly left: readonly string[];
  readonly note: string | undefined;
  readonly assigned: readonly (readonly [number, Place])[];
  readonly held: readonly CarriedFrame[];
}

/** What a spool said: a value, or its error. */
export type Said<T> = { readonly value: T } | { readonly code: string; readonly message: string };

export interface SpoolPage {
  open(name: string): Promise<Said<{ readonly id: number; readonly state: CarriedState }>>;
  append(id: number, frames: readonly CarriedFrame[]): Promise<Said<void>>;
  reset(id: number, stream: string, frames: readonly CarriedFrame[], left: readonly string[]): Promise<Said<void>>;
  remember(id: number, note: string): Promise<Said<void>>;
  applied(id: number, partition: number, place: Place): void;
  close(id: number): Promise<Said<void>>;
}

const spools: Spool[] = [];

const page: SpoolPage = {
  open: (name) =>
    said(async () => {
      const spool = await openIndexedDbSpool(name);
      const { stream, left, note, assigned, held } = spool.restored;
      const carried = held.map(({ bytes, ...rest }) => ({ ...rest, hex: toHex(bytes) }));
      return { id: spools.push(spool) - 1, state: { stream, left, note, assigned: [...assigned], held: carried } };
    }),
  append: (id, frames) => said(() => spools[id]!.append(frames.map(received))),
  reset: (id, stream, frames, left) => said(() => spools[id]!.reset(stream, frames.map(received), left)),
  remember: (id, note) => said(() => spools[id]!.remember(note)),
  applied: (id, partition, place) => spools[id]!.applied(partition, place),
  close: (id) => said(() => spools[id]!.close()),
};

Object.assign(globalThis, { spoolPage: page });

function received({ hex, ...rest }: CarriedFrame): SpooledFrame {
  return { ...rest, bytes: fromHex(hex) };
}

async function said<T>(run: () => Promise<T>): Promise<Said<T>> {
  try {
    return { value: await run() };
  } catch (error) {
    if (!(error instanceof SyncError)) throw error;
    return { code: error.code, message: error.message };
  }
}
