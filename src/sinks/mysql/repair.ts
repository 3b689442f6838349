import { messageOf } from '../../core/errors.ts';

/**
 * Makes Syncline's own tables again where one is found missing: the database was set back to before it was made, or somebody
 * has dropped it. What found it missing fails, and is tried again by whoever tries everything again.
 */
export class Repair {
  readonly #prepare: (() => Promise<unknown>) | undefined;
  #isUnderWay = false;
  /** Why the last one failed. */
  #failure: string | undefined;

  constructor(prepare: (() => Promise<unknown>) | undefined) {
    this.#prepare = prepare;
  }

  /** Begins one, unless one is under way; gives what is to be said of it. */
  readonly begin = (): string => {
    if (this.#prepare === undefined) return '; a server creates its tables when it starts with this sink';
    if (!this.#isUnderWay) void this.#run(this.#prepare);
    return this.#failure === undefined ? '; it is created again' : `; creating it again failed: ${this.#failure}`;
  };

  async #run(prepare: () => Promise<unknown>): Promise<void> {
    this.#isUnderWay = true;
    try {
      await prepare();
      this.#failure = undefined;
    } catch (error) {
      this.#failure = messageOf(error);
    } finally {
      this.#isUnderWay = false;
    }
  }
}
