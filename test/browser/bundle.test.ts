import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { parseAst } from 'rolldown/parseAst';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BROWSER_CLIENT, bundleForBrowser } from '../../scripts/browser-bundle.ts';

/** Names that only Node.js knows. */
const NODE_ONLY = new Set(['Buffer', 'process', 'global', 'require', 'setImmediate', 'clearImmediate', '__dirname', '__filename']);
const MAX_GZIPPED_BYTES = 60_000;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'syncline-bundle-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('the bundle for browsers', () => {
  test('imports nothing, names nothing of Node.js, exports the client, and is small', async () => {
    const file = join(folder, 'client.js');
    await bundleForBrowser(BROWSER_CLIENT, file);
    const code = readFileSync(file, 'utf8');
    const { names, imports, exports } = namesIn(code);
    expect(imports).toEqual([]);
    expect([...names].filter((name) => NODE_ONLY.has(name))).toEqual([]);
    expect(exports.sort()).toEqual(['Client', 'SyncError', 'Table', 'Timestamp', 'connect']);
    const gzipped = gzipSync(code, { level: 9 }).length;
    console.log(`the client for browsers: ${code.length} bytes, ${gzipped} gzipped`);
    expect(gzipped).toBeLessThan(MAX_GZIPPED_BYTES);
    const map = JSON.parse(readFileSync(`${file}.map`, 'utf8')) as { sources: string[] };
    expect(map.sources.some((source) => source.endsWith('src/core/platform.browser.ts'))).toBe(true);
    expect(map.sources.filter((source) => source.endsWith('src/core/platform.ts'))).toEqual([]);
  });

  test.each([
    ['imports a module of Node.js', `import { readFileSync } from 'node:fs'; console.log(readFileSync);`, 'node:fs'],
    ['imports a package that is not there', `import nothing from 'no-such-package'; console.log(nothing);`, 'no-such-package'],
  ])('is not made of what %s', async (_, code, named) => {
    const entry = join(folder, 'entry.ts');
    writeFileSync(entry, code);
    await expect(bundleForBrowser(entry, join(folder, 'never.js'))).rejects.toThrow(named);
  });

  test('would show a name of Node.js', () => {
    expect(namesIn('const Buffer2 = globalThis.Buffer ?? Buffer; export { Buffer2 }').names).toContain('Buffer');
  });
});

interface SyntaxNode {
  readonly type: string;
  readonly [key: string]: unknown;
}

/** Every identifier, what is imported, and what is exported. */
function namesIn(code: string): { names: Set<string>; imports: string[]; exports: string[] } {
  const names = new Set<string>();
  const imports: string[] = [];
  const exports: string[] = [];
  const walk = (value: unknown): void => {
    if (Array.isArray(value)) return value.forEach(walk);
    if (typeof value !== 'object' || value === null || !('type' in value)) return;
    const node = value as SyntaxNode;
    if (node.type === 'Identifier') names.add(String(node['name']));
    if (/^Import(Declaration|Expression)$/.test(node.type)) imports.push(JSON.stringify(node['source']));
    if (node.type === 'ExportSpecifier') exports.push(String((node['exported'] as SyntaxNode)['name']));
    for (const child of Object.values(node)) walk(child);
  };
  walk(parseAst(code, { lang: 'js' }));
  return { names, imports, exports };
}
