import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { patchText, type SourcePatch } from '../support/source-patches.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const patches = JSON.parse(process.env['CONTROL_PATCHES'] ?? '[]') as SourcePatch[];

/** For `controls.test.ts`: the runner of one test whose subject was patched. */
// oxlint-disable-next-line import/no-default-export -- the runner takes no other
export default defineConfig({
  root: ROOT,
  plugins: [
    {
      name: 'patched sources',
      enforce: 'pre',
      transform(code, id) {
        const file = id.startsWith(ROOT) ? id.slice(ROOT.length).replace(/\?.*$/, '') : '';
        return patches.some((patch) => patch.file === file) ? { code: patchText(file, code, patches), map: null } : undefined;
      },
    },
  ],
  // What was transformed before was not patched, and is kept by the text of the file as it is.
  test: { include: ['src/**/*.test.ts', 'test/**/*.test.ts'], maxWorkers: 1, testTimeout: 10_000, fsModuleCache: false },
});
