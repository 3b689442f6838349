import { cpSync, mkdirSync, mkdtempSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { compileServer } from '../../scripts/compile.ts';
import { removeAtExit } from '../services/leftovers.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** In the clone, so that what it needs is found there. */
const FOLDERS = `${ROOT}.tmp`;

let main: string | undefined;

/**
 * Where the program is that a package runs, compiled from the sources as they are now: running those themselves takes memory for
 * their compiler. Compiles once in the life of a process, and removes it at its end.
 */
export function packagedMain(): string {
  if (main === undefined) {
    mkdirSync(FOLDERS, { recursive: true });
    const folder = mkdtempSync(`${FOLDERS}/bench-`);
    removeAtExit(folder);
    compileServer(`${folder}/dist`);
    cpSync(`${ROOT}package.json`, `${folder}/package.json`);
    main = `${folder}/dist/main.js`;
  }
  return main;
}
