import { closeSync, mkdtempSync, openSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { removeAtExit } from './leftovers.ts';
import { changesOf, presentItem, presentRows, type Item, type Workload } from '../workload.ts';

/** How many rows one statement of {@link upsertsFile} writes. */
export const ROWS_PER_STATEMENT = 1000;

/** The changes as statements of {@link ROWS_PER_STATEMENT} rows; of several `parts`, those of the keys that are in `part`. */
export function upsertsFile(workload: Workload, table: string, part = 0, parts = 1): string {
  return made(`upserts ${table} ${part} of ${parts} ${JSON.stringify(workload)}`, function* () {
    let rows: string[] = [];
    for (const item of changesOf(workload)) {
      if (item[0] % parts !== part) continue;
      rows.push(`(${item[0]},'${item[1]}','${item[2]}',${item[3]},${item[4]},'${item[5]}')`);
      if (rows.length === ROWS_PER_STATEMENT) {
        yield statement(table, rows);
        rows = [];
      }
    }
    if (rows.length > 0) yield statement(table, rows);
  });
}

/** The changes as lines that `LOAD DATA` reads. */
export function loadFile(workload: Workload): string {
  return made(`load ${JSON.stringify(workload)}`, () => lines(changesOf(workload)));
}

/** The rows that are there before, as lines that `LOAD DATA` reads. */
export function presentRowsFile(workload: Workload): string {
  const rows = presentRows(workload);
  return made(`present ${rows}`, () => lines(presentItems(rows)));
}

function* presentItems(rows: number): Generator<Item> {
  for (let id = 1; id <= rows; id++) yield presentItem(id);
}

function statement(table: string, rows: readonly string[]): string {
  return `INSERT INTO ${table} VALUES\n${rows.join(',\n')}\nON DUPLICATE KEY UPDATE sku=VALUES(sku),name=VALUES(name),price=VALUES(price),stock=VALUES(stock),changed_at=VALUES(changed_at);\n`;
}

function* lines(items: Iterable<Item>): Generator<string> {
  for (const item of items) yield `${item.join('\t')}\n`;
}

/** Files of this process by what is in them: every pair of measurements reads the same. */
const files = new Map<string, string>();
let folder: string | undefined;

function made(what: string, write: () => Iterable<string>): string {
  let path = files.get(what);
  if (path === undefined) {
    folder ??= temporaryFolder();
    path = join(folder, `${files.size}.txt`);
    writeTexts(path, write());
    files.set(what, path);
  }
  return path;
}

function temporaryFolder(): string {
  const made = mkdtempSync(join(tmpdir(), 'syncline-bench-'));
  removeAtExit(made);
  return made;
}

function writeTexts(path: string, texts: Iterable<string>): void {
  const file = openSync(path, 'w');
  let waiting: string[] = [];
  let length = 0;
  for (const text of texts) {
    waiting.push(text);
    length += text.length;
    if (length < WRITE_CHARS) continue;
    writeSync(file, waiting.join(''));
    waiting = [];
    length = 0;
  }
  writeSync(file, waiting.join(''));
  closeSync(file);
}

const WRITE_CHARS = 1 << 20;
