import { globSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';

/** Root of the repository. */
export const ROOT = new URL('../../', import.meta.url).pathname;

/** Files that match `pattern`, relative to the root, without what is installed or built. */
export function files(...patterns: string[]): string[] {
  return globSync(patterns, { cwd: ROOT, exclude: ['**/node_modules/**', 'dist/**', 'coverage/**'] })
    .map((path) => path.replaceAll('\\', '/'))
    .sort();
}

export function read(path: string): string {
  return readFileSync(`${ROOT}${path}`, 'utf8');
}

/** What a source file imports: static, dynamic and re-exported, as written. */
export function importsOf(path: string): string[] {
  const code = read(path).replace(/^\s*(\/\/|\*|\/\*).*$/gm, '');
  return [...code.matchAll(/(?:^|[\s;}])(?:from|import)\s*\(?\s*'([^'\n]+)'/g)].map((match) => match[1] as string);
}

/** A relative import as a path from the root; undefined for packages and built-in modules. */
export function resolveImport(importer: string, imported: string): string | undefined {
  return imported.startsWith('.') ? posix.normalize(posix.join(posix.dirname(importer), imported)) : undefined;
}
