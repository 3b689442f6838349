/** A CPU profile as V8 writes it, as far as it is read here. */
export interface CpuProfile {
  readonly nodes: readonly ProfileNode[];
  /** The node that was running, sample by sample. */
  readonly samples: readonly number[];
  /** µs since the sample before. */
  readonly timeDeltas: readonly number[];
}

interface ProfileNode {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string };
  readonly children?: readonly number[];
}

/** Time in which code of a module itself was running, µs. */
export interface SelfTime {
  /** `src/…`, the name of a package, a module `node:…`, or what is no module: `(idle)`, `(garbage collector)`, `(native)`. */
  readonly module: string;
  readonly us: number;
  /** What of it was in native functions that the module called: hashing, writing to sockets, string conversion. */
  readonly nativeUs: number;
}

/** Adds up a profile by module, the longest first. Native functions count for the module that called them. */
export function selfTimes({ nodes, samples, timeDeltas }: CpuProfile): SelfTime[] {
  const places = placesOf(nodes);
  const totals = new Map<string, { us: number; nativeUs: number }>();
  for (const [index, id] of samples.entries()) {
    const place = places.get(id);
    if (place === undefined) continue;
    const us = timeDeltas[index] ?? 0;
    const total = totals.get(place.module) ?? { us: 0, nativeUs: 0 };
    totals.set(place.module, total);
    total.us += us;
    if (place.native) total.nativeUs += us;
  }
  return [...totals].map(([module, total]) => ({ module, ...total })).sort((a, b) => b.us - a.us);
}

interface Place {
  readonly module: string;
  readonly native: boolean;
}

/** Where each node's time belongs. A node without a file of its own is a native function: its caller decides. */
function placesOf(nodes: readonly ProfileNode[]): Map<number, Place> {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const places = new Map<number, Place>();
  const visit = (id: number, caller: string) => {
    const node = byId.get(id);
    if (node === undefined) return;
    const own = moduleOf(node.callFrame);
    places.set(id, { module: own ?? caller, native: own === undefined });
    for (const child of node.children ?? []) visit(child, own ?? caller);
  };
  const [root] = nodes;
  if (root !== undefined) visit(root.id, '(native)');
  return places;
}

/** Undefined for native functions, and for the root. */
function moduleOf({ functionName, url }: ProfileNode['callFrame']): string | undefined {
  if (url === '') return SPECIAL.get(functionName);
  const inPackage = url.lastIndexOf('/node_modules/');
  if (inPackage >= 0) {
    const [scope = '', name = ''] = url.slice(inPackage + '/node_modules/'.length).split('/');
    return scope.startsWith('@') ? `${scope}/${name}` : scope;
  }
  if (url.startsWith('node:')) return url;
  const inPackagedServer = url.lastIndexOf('/dist/');
  if (inPackagedServer >= 0) return `src/${url.slice(inPackagedServer + '/dist/'.length).replace(/\.js$/, '.ts')}`;
  const inSource = Math.max(url.lastIndexOf('/src/'), url.lastIndexOf('/bench/'));
  return inSource >= 0 ? url.slice(inSource + 1) : url;
}

const SPECIAL: ReadonlyMap<string, string> = new Map([
  ['(idle)', '(idle)'],
  ['(garbage collector)', '(garbage collector)'],
  ['(program)', '(native)'],
]);
