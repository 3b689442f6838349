import { cpSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { compileServer } from '../../scripts/compile.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** In the clone, so that what it needs is found there. */
const FOLDER = `${ROOT}.tmp/bench-package`;

let main: string | undefined;

/**
 * Where the program is that a package runs, compiled from the sources as they are now: running those themselves takes memory for
 * their compiler. Compiles once in the life of a process.
 */
export function packagedMain(): string {
  if (main === undefined) {
    rmSync(FOLDER, { recursive: true, force: true });
    compileServer(`${FOLDER}/dist`);
    cpSync(`${ROOT}package.json`, `${FOLDER}/package.json`);
    main = `${FOLDER}/dist/main.js`;
  }
  return main;
}
