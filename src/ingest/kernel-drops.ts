import { readFile } from 'node:fs/promises';

/**
 * Datagrams that the system threw away because the socket on `port` had no room for them, as Linux counts them; undefined
 * where it does not say.
 */
export async function readKernelDrops(port: number): Promise<number | undefined> {
  let drops: number | undefined;
  for (const file of ['/proc/net/udp', '/proc/net/udp6']) {
    const found = dropsIn(await readFile(file, 'latin1').catch(() => ''), port);
    if (found !== undefined) drops = (drops ?? 0) + found;
  }
  return drops;
}

/** `sl local_address rem_address … drops`: addresses in hex, the last column counts. */
function dropsIn(table: string, port: number): number | undefined {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  let drops: number | undefined;
  for (const line of table.split('\n').slice(1)) {
    const columns = line.trim().split(/\s+/);
    if (columns[1]?.endsWith(suffix) === true) drops = (drops ?? 0) + Number(columns.at(-1));
  }
  return drops;
}
