import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

/** A Lua script with its digest, as EVALSHA names it. */
export interface Script {
  readonly name: string;
  readonly source: string;
  readonly sha: string;
}

const NAMES = ['append', 'raise', 'fetch', 'trim', 'heal', 'backlog', 'acquire', 'renew', 'release', 'probe'] as const;

export type Scripts = { readonly [name in (typeof NAMES)[number]]: Script };

/** Reads the scripts that lie beside this file; the build copies them to the same place in `dist`. */
export function loadScripts(): Scripts {
  return Object.fromEntries(NAMES.map((name) => [name, loadScript(name)])) as Scripts;
}

/** Reads one script that is not loaded ahead of its use. */
export function loadScript(name: string): Script {
  const source = readFileSync(new URL(`./scripts/${name}.lua`, import.meta.url), 'utf8');
  return { name, source, sha: createHash('sha1').update(source).digest('hex') };
}
