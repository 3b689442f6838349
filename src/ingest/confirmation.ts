import type { StreamId } from '../core/stream.ts';
import type { Acknowledgements } from './acknowledgements.ts';
import type { IngestContext } from './context.ts';
import { mayPass } from './survey.ts';

/**
 * Tells a client what another node applied of its stream. That node only says that there is news: how far the sinks are is
 * read from them. One reading at a time; whatever is heard meanwhile is covered by one more after it.
 */
export class Confirmation {
  readonly #context: IngestContext;
  readonly #stream: StreamId;
  readonly #acknowledgements: Acknowledgements;
  readonly #failed: (error: unknown) => void;
  #running = false;
  #again = false;
  #stopped = false;

  constructor(context: IngestContext, stream: StreamId, acknowledgements: Acknowledgements, failed: (error: unknown) => void) {
    this.#context = context;
    this.#stream = stream;
    this.#acknowledgements = acknowledgements;
    this.#failed = failed;
  }

  request(): void {
    this.#again = true;
    if (!this.#running) void this.#run();
  }

  stop(): void {
    this.#stopped = true;
  }

  async #run(): Promise<void> {
    this.#running = true;
    try {
      while (this.#again && !this.#stopped) {
        this.#again = false;
        await this.#read();
      }
    } catch (error) {
      // A sink that is away is looked at again while the client waits.
      if (!mayPass(error) && !this.#stopped) this.#failed(error);
    }
    this.#running = false;
  }

  async #read(): Promise<void> {
    const { above, told } = this.#acknowledgements.standing();
    const found = await this.#context.progress.read(this.#stream, above, told);
    if (this.#stopped) return;
    for (const partition of found.watermarks.keys()) this.#acknowledgements.found(this.#acknowledgements.lane(partition), found);
  }
}
