/** `npm run lock`: whether everything that is installed is what was looked at; needs no network. */
import { lockFaults } from './lock-faults.ts';
import { readLock, readManifest } from './lock.ts';

const FOLDERS = ['', 'bench/peers/'];

const faults = FOLDERS.flatMap((folder) => {
  const manifest = readManifest(folder);
  const workspaces = (manifest.workspaces ?? []).map((workspace) => readManifest(`${folder}${workspace}/`));
  return lockFaults([manifest, ...workspaces], readLock(folder)).map((fault) => `${folder}${fault}`);
});
for (const fault of faults) console.error(fault);
process.exitCode = faults.length > 0 ? 1 : 0;
