/** `npm run build`: what the published package runs, in dist/. */
import { spawnSync } from 'node:child_process';
import { cpSync, globSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { billOfMaterials } from './bill-of-materials.ts';
import { readLock, readManifest } from './lock.ts';
import { BROWSER_CLIENT, bundleForBrowser } from './browser-bundle.ts';
import { toolEnv } from './steps.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

rmSync(`${ROOT}dist`, { recursive: true, force: true });
compile('tsconfig.build.json');
// The compiler leaves behind what it does not compile.
for (const path of globSync('**/*.lua', { cwd: `${ROOT}src` })) cpSync(`${ROOT}src/${path}`, `${ROOT}dist/${path}`);
mkdirSync(`${ROOT}dist`, { recursive: true });
writeFileSync(`${ROOT}dist/sbom.cdx.json`, `${JSON.stringify(billOfMaterials(readManifest(), readLock()), null, 2)}\n`);
compile('src/client/browser/tsconfig.build.json');
await bundleForBrowser(BROWSER_CLIENT, `${ROOT}dist/browser/client.js`);

function compile(project: string): void {
  const { status } = spawnSync('tsc', ['-p', project], { cwd: ROOT, stdio: 'inherit', env: toolEnv() });
  if (status !== 0) process.exit(status ?? 1);
}
