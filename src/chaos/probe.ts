import { connect, type Client } from '../client/client.ts';
import { messageOf, SyncError } from '../core/errors.ts';
import { ChaosError } from './chaos-error.ts';
import type { ChaosDatabase } from './database.ts';
import type { TableNames } from './tables.ts';

export interface ServerAddress {
  readonly url: string;
  readonly token: string | undefined;
}

const CONNECT_MS = 10_000;
/** The journal's row that no client writes. */
const PROBE = { client: 0, life: 1, n: 1 };

/** Finds out whether a server takes us in, and connects. @throws {ChaosError} */
export async function connectProbe({ url, token }: ServerAddress): Promise<Client> {
  try {
    return await connect({ url, token: token ?? '', connectTimeoutMs: CONNECT_MS, agent: 'syncline-chaos probe' });
  } catch (error) {
    if (error instanceof TypeError) throw new ChaosError('refused', error.message, { cause: error });
    if (!(error instanceof SyncError)) throw error;
    const hint =
      error.code === 'auth_failed'
        ? `the server at ${url} does not take this token${token === undefined ? ', which is none' : ''}: ${error.message}; name the right one with SYNCLINE_TOKEN or --token-file`
        : `not connected: ${error.message}`;
    throw new ChaosError('unreachable', `${hint} [${error.code}]`, { cause: error });
  }
}

/**
 * Sends one row and looks for it in the database: whether that is where the server applies changes to. The row is
 * removed again.
 * @throws {ChaosError} when it is not there within `patienceMs`.
 */
export async function probe(client: Client, url: string, database: ChaosDatabase, names: TableNames, patienceMs: number): Promise<void> {
  await client.table(names.journal, { key: Object.keys(PROBE) }).insert(PROBE);
  try {
    const { rejections } = await client.flush({ signal: AbortSignal.timeout(patienceMs) });
    const [rejection] = rejections;
    if (rejection !== undefined) {
      throw new ChaosError(
        'refused',
        rejection.code === 'unknown_table'
          ? `the server at ${url} does not know table ${names.journal}, which was just created in ${database.where}: it applies changes to another database; name the one that its configuration has as its sink`
          : `the server at ${url} refuses a row of table ${names.journal}: ${rejection.message} [${rejection.code}]`,
      );
    }
  } catch (error) {
    if (error instanceof ChaosError) throw error;
    throw new ChaosError(
      'refused',
      `the server at ${url} applied nothing within ${patienceMs / 1000} s (${messageOf(error)}); it must work before it is disturbed: see syncline status, and whether its database user may write to new tables`,
      { cause: error },
    );
  }
  const where = `client = ${PROBE.client} AND life = ${PROBE.life} AND n = ${PROBE.n}`;
  const rows = await database.rows(`SELECT n FROM ${names.journal} WHERE ${where}`);
  if (rows.length === 0) {
    throw new ChaosError(
      'refused',
      `the server at ${url} applied a row, and it is not in ${database.where}: it applies changes to another database; name the one that its configuration has as its sink. If that creates tables by itself (schema: evolve), it now has a table ${names.journal} there: drop it`,
    );
  }
  await database.run(`DELETE FROM ${names.journal} WHERE ${where}`);
}
