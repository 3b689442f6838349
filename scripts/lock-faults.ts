import { type Lock, type Manifest, nameAt } from './lock.ts';

/** How many packages the published one may name: each is something that users install. */
export const MOST_RUNTIME_DEPENDENCIES = 10;

/** Below these versions there are holes that are known. */
const LEAST_VERSIONS: Readonly<Record<string, string>> = { ioredis: '6.0.0', mysql2: '3.23.4', msgpackr: '1.11.0' };

const EXACT = /^\d+\.\d+\.\d+(-[\w.]+)?$|^npm:(@[\w.-]+\/)?[\w.-]+@\d+\.\d+\.\d+$/;

/** What is wrong with what one folder takes from others; `manifests` are its package.json and those of its workspaces. */
export function lockFaults(manifests: readonly Manifest[], { lockfileVersion, packages }: Lock): string[] {
  const faults: string[] = [];
  if (lockfileVersion !== 3) faults.push(`package-lock.json has version ${lockfileVersion} instead of 3`);
  for (const manifest of manifests) faults.push(...pinFaults(manifest));
  const [root] = manifests as [Manifest];
  const count = Object.keys(root.dependencies ?? {}).length + Object.keys(root.optionalDependencies ?? {}).length;
  if (count > MOST_RUNTIME_DEPENDENCIES) faults.push(`${count} runtime dependencies are more than ${MOST_RUNTIME_DEPENDENCIES}`);

  const workspaces = new Set(root.workspaces);
  for (const [path, entry] of Object.entries(packages)) {
    if (path === '' || workspaces.has(path)) continue;
    if (entry.link === true) {
      if (!workspaces.has(entry.resolved ?? '')) faults.push(`${path} links to ${entry.resolved}, which is no workspace`);
      continue;
    }
    const name = nameAt(path);
    // Not where it comes from: an address in the lock is that of one machine's registry, of git or of somebody's server.
    if (entry.resolved !== undefined) faults.push(`${path} names where it comes from: ${entry.resolved.slice(0, 60)}`);
    if (!/^sha512-[A-Za-z0-9+/]{86}==$/.test(entry.integrity ?? '')) faults.push(`${path} has no SHA-512`);
    if (!/^\d+\.\d+\.\d+/.test(entry.version ?? '')) faults.push(`${path} has no version, but ${entry.version}`);
    if (entry.hasInstallScript === true && root.allowScripts?.[name] === undefined)
      faults.push(`${path} runs a script when it is installed; say in allowScripts whether it may`);
    const least = LEAST_VERSIONS[name];
    if (least !== undefined && isBelow(entry.version ?? '0', least)) faults.push(`${path} ${entry.version} is below ${least}`);
  }
  return faults;
}

function pinFaults({ name, dependencies, devDependencies, optionalDependencies, overrides }: Manifest): string[] {
  return [dependencies, devDependencies, optionalDependencies, overrides].flatMap((versions) =>
    Object.entries(versions ?? {})
      .filter(([, version]) => !EXACT.test(version))
      .map(([dependency, version]) => `${name}: ${dependency} is not pinned to one version, but to ${version}`),
  );
}

function isBelow(version: string, least: string): boolean {
  const [a, b] = [version, least].map((text) => text.split('.').map((part) => Number.parseInt(part, 10))) as [number[], number[]];
  const at = b.findIndex((part, i) => part !== a[i]);
  return at >= 0 && (a[at] ?? 0) < (b[at] as number);
}
