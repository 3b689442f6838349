import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

export type Versions = Readonly<Record<string, string>>;

/** What of a package.json concerns other packages. */
export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly license?: string;
  readonly workspaces?: readonly string[];
  readonly dependencies?: Versions;
  readonly devDependencies?: Versions;
  readonly optionalDependencies?: Versions;
  readonly overrides?: Versions;
  /** Whether install scripts of a package may run. */
  readonly allowScripts?: Readonly<Record<string, boolean>>;
}

/** One entry of package-lock.json, by where it is installed. */
export interface LockedPackage extends Omit<Manifest, 'name' | 'version'> {
  readonly version?: string;
  readonly integrity?: string;
  readonly resolved?: string;
  readonly link?: boolean;
  readonly hasInstallScript?: boolean;
  readonly peerDependencies?: Versions;
  readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional?: boolean }>>;
}

export interface Lock {
  readonly lockfileVersion: number;
  readonly packages: Readonly<Record<string, LockedPackage>>;
}

/** A folder of the repository with packages of its own. */
export function readManifest(folder = ''): Manifest {
  return JSON.parse(readFileSync(`${ROOT}${folder}package.json`, 'utf8')) as Manifest;
}

export function readLock(folder = ''): Lock {
  return JSON.parse(readFileSync(`${ROOT}${folder}package-lock.json`, 'utf8')) as Lock;
}

/** The name of a package from where it is installed. */
export function nameAt(path: string): string {
  return path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
}

/** Where packages find each other: for each that the published one runs with, its place and those of what it needs. */
export function runtimeClosure({ packages }: Lock): ReadonlyMap<string, readonly string[]> {
  const closure = new Map<string, readonly string[]>();
  const visit = (path: string) => {
    if (closure.has(path)) return;
    const entry = packages[path] as LockedPackage;
    const needed = neededBy(entry).flatMap((name) => placeOf(name, path, packages) ?? []);
    closure.set(path, needed);
    needed.forEach(visit);
  };
  visit('');
  return closure;
}

function neededBy({ dependencies, optionalDependencies, peerDependencies, peerDependenciesMeta }: LockedPackage): string[] {
  const peers = Object.keys(peerDependencies ?? {}).filter((name) => peerDependenciesMeta?.[name]?.optional !== true);
  return [...new Set([...Object.keys(dependencies ?? {}), ...Object.keys(optionalDependencies ?? {}), ...peers])].sort();
}

/** Where `name` is found from `path`: there, or in a folder around it. Optional ones may be nowhere. */
function placeOf(name: string, path: string, packages: Lock['packages']): string | undefined {
  for (let around = path; ;) {
    const place = `${around === '' ? '' : `${around}/`}node_modules/${name}`;
    if (packages[place] !== undefined) return place;
    if (around === '') return undefined;
    const up = around.lastIndexOf('/node_modules/');
    around = up < 0 ? '' : around.slice(0, up);
  }
}
