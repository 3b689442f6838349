/** `npm run sbom`: the bill of materials of the published package, as it also lies in it. */
import { billOfMaterials } from './bill-of-materials.ts';
import { readLock, readManifest } from './lock.ts';

process.stdout.write(`${JSON.stringify(billOfMaterials(readManifest(), readLock()), null, 2)}\n`);
