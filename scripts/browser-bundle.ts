import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'rolldown';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** What `syncline/client` is in a browser. */
export const BROWSER_CLIENT = `${ROOT}src/client/browser/client.ts`;

/**
 * Writes `entry` and all that it imports into one minified module for browsers, with its source map beside it. Where a
 * file has a twin for browsers (`platform.browser.ts` beside `platform.ts`), the twin takes its place.
 * @throws when something of it is not for browsers, such as a module of Node.js.
 */
export async function bundleForBrowser(entry: string, file: string): Promise<void> {
  await build({
    input: entry,
    platform: 'browser',
    plugins: [browserTwins],
    output: { file, format: 'esm', minify: true, sourcemap: true },
    onLog: (_, { message }) => {
      throw new Error(`the bundle of ${entry} is not for browsers: ${message}`);
    },
  });
}

const browserTwins: Plugin = {
  name: 'browser-twins',
  async resolveId(source, importer, options) {
    const resolved = await this.resolve(source, importer, { ...options, skipSelf: true });
    if (resolved === null) return null;
    const twin = resolved.id.replace(/\.ts$/, '.browser.ts');
    return twin !== resolved.id && existsSync(twin) ? twin : resolved;
  },
};
