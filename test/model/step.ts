import type { World } from './world.ts';

/** What a rule keeps from happening. */
export type Violation =
  | 'loss'
  | 'forgotten early'
  | 'repeat'
  | 'order'
  | 'unsafe trim'
  | 'watermark back'
  | 'applied before rejected'
  | 'false incident'
  | 'wedge';

/** One thing that can happen next. */
export interface Step {
  readonly label: string;
  readonly world: World;
  /** It costs one of the faults: the world does not need it to go on. */
  readonly isFault: boolean;
  /** What this step itself does wrong; states are checked besides. */
  readonly violation: Violation | undefined;
}

/** Collects the steps out of one state. */
export class Steps {
  readonly all: Step[] = [];

  add(label: string, world: World, violation?: Violation): void {
    this.all.push({ label, world, isFault: false, violation });
  }

  addFault(label: string, world: World): void {
    const { ledger } = world;
    this.all.push({ label, world: { ...world, ledger: { ...ledger, faults: ledger.faults + 1 } }, isFault: true, violation: undefined });
  }
}
