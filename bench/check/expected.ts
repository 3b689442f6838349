import { crc32 } from 'node:zlib';
import { changesOf, presentItem, presentRows, type Item, type Workload } from '../workload.ts';

/** What the table holds in short: how many rows, and the sum of {@link itemChecksum} over them. */
export interface Contents {
  readonly rows: number;
  readonly checksum: number;
}

/** The table as it must be once every change of `workload` was applied in order. */
export function expectedContents(workload: Workload): Contents {
  const name = JSON.stringify(workload);
  let contents = known.get(name);
  if (contents === undefined) known.set(name, (contents = replay(workload)));
  return contents;
}

/** CRC-32 of the row's values with a bar between them: `CRC32(CONCAT_WS('|', …))` in MariaDB. */
export function itemChecksum(item: readonly unknown[]): number {
  return crc32(item.join('|'));
}

/** @throws {Error} when `found` is not what `workload` leaves. */
export function checkContents(found: Contents, workload: Workload): void {
  const expected = expectedContents(workload);
  if (found.rows === expected.rows && found.checksum === expected.checksum) return;
  throw new Error(
    `the table does not hold what was sent: ${found.rows} rows with checksum ${found.checksum} instead of ${expected.rows} with ${expected.checksum}`,
  );
}

/** Every pair of measurements is checked against the same. */
const known = new Map<string, Contents>();

function replay(workload: Workload): Contents {
  const rows = presentRows(workload);
  // Row by row, the checksum of its last version. Sums of some million checksums are exact in a double.
  const last = new Map<number, number>();
  for (let id = 1; id <= rows; id++) last.set(id, itemChecksum(presentItem(id)));
  for (const item of changesOf(workload)) last.set((item satisfies Item)[0], itemChecksum(item));
  let checksum = 0;
  for (const one of last.values()) checksum += one;
  return { rows: last.size, checksum };
}
