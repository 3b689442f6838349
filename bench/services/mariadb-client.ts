import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import type { MariadbServer } from '../../test/support/mariadb-server.ts';

/** Where everything that is measured lies. */
export const DATABASE = 'bench';

/** What the client is given: a file of statements on its standard input, or one statement. */
export type ClientInput = { readonly file: string } | { readonly statement: string };

/** Runs the `mariadb` command to its end. @throws {Error} with what it printed when it fails. */
export async function runMariadbClient(server: Pick<MariadbServer, 'port'>, input: ClientInput): Promise<void> {
  const args = ['--no-defaults', '--host=127.0.0.1', `--port=${server.port}`, '--user=root', '--local-infile=1', DATABASE];
  const file = 'file' in input ? openSync(input.file, 'r') : undefined;
  try {
    const child = spawn('mariadb', 'statement' in input ? [...args, '--execute', input.statement] : args, {
      stdio: [file ?? 'ignore', 'ignore', 'pipe'],
    });
    let complaints = '';
    child.stderr?.on('data', (chunk: Buffer) => (complaints += chunk.toString()));
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    if (code !== 0) throw new Error(`the mariadb client ended with ${code}: ${complaints.slice(0, 2000)}`);
  } finally {
    if (file !== undefined) closeSync(file);
  }
}
