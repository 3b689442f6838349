import { decodeAccess, type AccessList } from '../core/access.ts';

/** What a task says that producers may write. Nearly all tasks say the same: what came of the last text is kept. */
export function readAccess(text: string): AccessList {
  if (text !== last.text) last = { text, list: decodeAccess(text) };
  return last.list;
}

let last = { text: '', list: decodeAccess('') };
