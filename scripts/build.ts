/** `npm run build`: what the published package runs, in dist/. */
import { spawnSync } from 'node:child_process';
import { cpSync, globSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { billOfMaterials } from './bill-of-materials.ts';
import { readLock, readManifest } from './lock.ts';
import { toolEnv } from './steps.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

rmSync(`${ROOT}dist`, { recursive: true, force: true });
const { status } = spawnSync('tsc', ['-p', 'tsconfig.build.json'], { cwd: ROOT, stdio: 'inherit', env: toolEnv() });
// The compiler leaves behind what it does not compile.
for (const path of globSync('**/*.lua', { cwd: `${ROOT}src` })) cpSync(`${ROOT}src/${path}`, `${ROOT}dist/${path}`);
mkdirSync(`${ROOT}dist`, { recursive: true });
writeFileSync(`${ROOT}dist/sbom.cdx.json`, `${JSON.stringify(billOfMaterials(readManifest(), readLock()), null, 2)}\n`);
process.exitCode = status ?? 1;
