/** `npm run build`: what the published package runs, in dist/. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { billOfMaterials } from './bill-of-materials.ts';
import { readLock, readManifest } from './lock.ts';
import { BROWSER_CLIENT, bundleForBrowser } from './browser-bundle.ts';
import { compile, compileServer } from './compile.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

rmSync(`${ROOT}dist`, { recursive: true, force: true });
compileServer(`${ROOT}dist`);
mkdirSync(`${ROOT}dist`, { recursive: true });
writeFileSync(`${ROOT}dist/sbom.cdx.json`, `${JSON.stringify(billOfMaterials(readManifest(), readLock()), null, 2)}\n`);
compile('src/client/browser/tsconfig.build.json');
await bundleForBrowser(BROWSER_CLIENT, `${ROOT}dist/browser/client.js`);
