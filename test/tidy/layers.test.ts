import { describe, expect, test } from 'vitest';
import { files, importsOf, resolveImport } from '../support/source-files.ts';

/**
 * Who may import whom, as docs/architecture.md says: one direction, and each stage sees only the interface of the next.
 * An entry is a folder of src or one file in it; a folder may always import itself.
 */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  core: [],
  protocol: ['core'],
  config: ['core'],
  ingest: ['core', 'protocol', 'queue/queue.ts'],
  queue: ['core', 'protocol'],
  apply: ['core', 'protocol', 'queue/queue.ts', 'sinks/sink.ts'],
  cluster: ['core', 'queue/queue.ts'],
  sinks: ['core', 'protocol'],
  client: ['core', 'protocol'],
  admin: ['core'],
  audit: ['core'],
  // Parts of the composition root, which knows all parts.
  node: ['core', 'protocol', 'config', 'admin', 'apply', 'audit', 'client', 'cluster', 'ingest', 'queue', 'sinks'],
  // A user's view of the whole, which starts servers and clients and reads the database past the sink.
  chaos: ['core', 'config', 'client', 'sinks', 'server.ts'],
  cli: ['core', 'protocol', 'config', 'client', 'admin', 'audit', 'queue', 'sinks', 'chaos', 'server.ts'],
};

/** Files at the top of src put concrete parts together; so do these two. */
const CATALOGUES = ['queue/open.ts', 'sinks/registry.ts'];

/** Built-in modules that do something in the world: the rules know none of them. */
const IO = /^node:(fs|net|tls|http|https|dgram|child_process|worker_threads|sqlite|os|process|timers|dns|cluster|readline)/;

interface Import {
  readonly from: string;
  readonly to: string;
}

const sources = files('src/**/*.ts').filter((path) => !path.endsWith('.test.ts'));
const imports: Import[] = sources.flatMap((from) =>
  importsOf(from).flatMap((written) => {
    const to = resolveImport(from, written);
    return to === undefined ? [] : [{ from: from.replace('src/', ''), to: to.replace('src/', '') }];
  }),
);
const packages = sources.flatMap((from) =>
  importsOf(from).flatMap((to) => (to.startsWith('.') ? [] : [{ from: from.replace('src/', ''), to }])),
);

function folderOf(path: string): string | undefined {
  return path.includes('/') ? path.slice(0, path.indexOf('/')) : undefined;
}

function say(found: readonly Import[]): string[] {
  return found.map(({ from, to }) => `${from} imports ${to}`);
}

test('there is something to check', () => {
  expect(imports.length).toBeGreaterThan(100);
});

test('every folder of src has its place', () => {
  expect(
    [...new Set(sources.map((path) => folderOf(path.replace('src/', ''))))].filter(
      (folder) => folder !== undefined && !(folder in MAY_IMPORT),
    ),
  ).toEqual([]);
});

describe.each(Object.keys(MAY_IMPORT))('%s', (folder) => {
  test('imports only what it may', () => {
    const may = MAY_IMPORT[folder] ?? [];
    const found = imports.filter(
      ({ from, to }) =>
        folderOf(from) === folder && folderOf(to) !== folder && !may.some((allowed) => to === allowed || to.startsWith(`${allowed}/`)),
    );
    expect(say(found)).toEqual([]);
  });
});

test.each(['queue', 'sinks'])('parts of %s never import each other', (folder) => {
  const found = imports.filter(({ from, to }) => {
    if (folderOf(from) !== folder || folderOf(to) !== folder || CATALOGUES.includes(from)) return false;
    const [mine, theirs] = [partOf(from), partOf(to)];
    return theirs !== undefined && mine !== theirs;
  });
  expect(say(found)).toEqual([]);
});

test('only composition roots know concrete parts', () => {
  const found = imports.filter(({ from, to }) => {
    const isRoot = [undefined, 'chaos', 'cli', 'node'].includes(folderOf(from));
    return folderOf(to) !== folderOf(from) && !isRoot && (partOf(to) !== undefined || CATALOGUES.includes(to));
  });
  expect(say(found)).toEqual([]);
});

test('only the server imports the parts of its composition', () => {
  expect(say(imports.filter(({ from, to }) => folderOf(to) === 'node' && folderOf(from) !== 'node' && from !== 'server.ts'))).toEqual([]);
});

test('core does no input or output and needs no package', () => {
  expect(say(packages.filter(({ from, to }) => folderOf(from) === 'core' && (!to.startsWith('node:') || IO.test(to))))).toEqual([]);
});

test('the client and the protocol need no package', () => {
  expect(say(packages.filter(({ from, to }) => ['client', 'protocol'].includes(folderOf(from) ?? '') && !to.startsWith('node:')))).toEqual(
    [],
  );
});

test('imports of our own files name files that exist', () => {
  const known = new Set(files('src/**/*.ts', 'package.json').map((path) => path.replace('src/', '')));
  expect(say(imports.filter(({ to }) => !known.has(to)))).toEqual([]);
});

/**
 * The interchangeable part that a file of `queue` or `sinks` belongs to: its folder, or the first word of its name where
 * a part is small (`memory.ts`, `memory-table.ts`); undefined for what all parts share.
 */
function partOf(path: string): string | undefined {
  const match = /^(?:queue|sinks)\/(?:(\w+)\/|(memory|embedded)(?:-[\w-]+)?\.ts$)/.exec(path);
  return match?.[1] ?? match?.[2];
}
