import { RequestFault } from './request-fault.ts';

/** How deep brackets may nest, and how many fields there may be. */
const MAX_DEPTH = 8;
const MAX_FIELDS = 10_000;
/** Characters of a name: as many as {@link MAX_DEPTH} names of columns have. */
const MAX_NAME_CHARACTERS = 2_048;

type Tree = Map<string, Tree | string>;

/**
 * A form as PHP writes and reads it: `data[id]=1` is `{"data": {"id": "1"}}`, and `a[]=x&a[]=y` or `a[0]=x&a[1]=y` is
 * `{"a": ["x", "y"]}`. All values are text. Of a name that comes twice, the last value counts.
 * @throws {RequestFault} 400
 */
export function parseForm(text: string): unknown {
  const root: Tree = new Map();
  let count = 0;
  // Before they are parsed, which takes a hundred bytes for each.
  for (let at = text.indexOf('&'); at !== -1; at = text.indexOf('&', at + 1))
    if (++count >= MAX_FIELDS) throw badForm(`has more than ${MAX_FIELDS} fields; send JSON`);
  for (const [name, value] of new URLSearchParams(text)) {
    if (name.length > MAX_NAME_CHARACTERS) throw badForm(`has a name of more than ${MAX_NAME_CHARACTERS} characters`);
    put(root, pathOf(name), value);
  }
  return valueOf(root);
}

/** `data[id]` is `data`, `id`. */
function pathOf(name: string): string[] {
  const open = name.indexOf('[');
  if (open <= 0) return [name];
  const parts = name.slice(open).match(/\[[^\]]*\]/g) ?? [];
  if (parts.join('') !== name.slice(open)) throw badForm('has a name with brackets that do not match');
  if (parts.length >= MAX_DEPTH) throw badForm(`nests deeper than ${MAX_DEPTH} levels`);
  return [name.slice(0, open), ...parts.map((part) => part.slice(1, -1))];
}

function put(root: Tree, path: readonly string[], value: string): void {
  let node = root;
  for (const [depth, part] of path.entries()) {
    const name = part === '' && depth > 0 ? String(node.size) : part;
    if (depth === path.length - 1) {
      node.set(name, value);
      return;
    }
    let next = node.get(name);
    if (typeof next !== 'object') node.set(name, (next = new Map()));
    node = next;
  }
}

/** A map with the keys 0, 1, 2, … is a list. */
function valueOf(node: Tree | string): unknown {
  if (typeof node === 'string') return node;
  const entries = [...node].map(([name, value]) => [name, valueOf(value)] as const);
  if (entries.length > 0 && entries.every(([name], index) => name === String(index))) return entries.map(([, value]) => value);
  return Object.fromEntries(entries);
}

function badForm(what: string): RequestFault {
  return new RequestFault(400, 'bad_request', `the form ${what}`);
}
