import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A folder that goes away with its owner, also when this process ends before its time. */
export class TempFolder {
  readonly path = mkdtempSync(join(tmpdir(), 'syncline-chaos-'));
  readonly #remove = () => rmSync(this.path, { recursive: true, force: true, maxRetries: 3 });

  constructor() {
    process.on('exit', this.#remove);
  }

  /** Leaves the folder where it is. */
  keep(): void {
    process.off('exit', this.#remove);
  }

  remove(): void {
    process.off('exit', this.#remove);
    this.#remove();
  }
}
