import { type Lock, type LockedPackage, type Manifest, nameAt, runtimeClosure } from './lock.ts';

/**
 * What the published package runs with, as CycloneDX 1.6. The same lock gives the same text. npm has a command for this,
 * which leaves out packages that development needs as well.
 */
export function billOfMaterials({ name, version, license = '' }: Manifest, lock: Lock): object {
  const closure = runtimeClosure(lock);
  const refOf = (path: string) => (path === '' ? purlOf(name, version) : purlOf(nameAt(path), lock.packages[path]?.version ?? ''));
  const paths = [...closure.keys()].filter((path) => path !== '').sort();
  return {
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: {
      component: { type: 'application', 'bom-ref': refOf(''), name, version, purl: refOf(''), licenses: [{ license: { id: license } }] },
    },
    components: paths.map((path) => component(path, refOf(path), lock.packages[path] as LockedPackage)),
    dependencies: ['', ...paths].map((path) => ({ ref: refOf(path), dependsOn: (closure.get(path) ?? []).map(refOf).sort() })),
  };
}

function component(path: string, ref: string, { version, integrity = '', license }: LockedPackage): object {
  return {
    type: 'library',
    'bom-ref': ref,
    name: nameAt(path),
    version,
    purl: ref,
    hashes: [{ alg: 'SHA-512', content: Buffer.from(integrity.replace('sha512-', ''), 'base64').toString('hex') }],
    ...(license === undefined ? {} : { licenses: [{ license: { id: license } }] }),
  };
}

function purlOf(name: string, version: string): string {
  return `pkg:npm/${name.replace('@', '%40')}@${version}`;
}
