import { randomBytes } from 'node:crypto';
import { tokenDigest } from '../config/resolve.ts';
import { EXIT, parseFlags, UsageError, type Command, type Terminal } from './command.ts';

export const token: Command = { name: 'token', summary: 'make a token for a producer', help, run };

const SECRET_BYTES = 32;

function run(args: readonly string[], terminal: Terminal): Promise<number> {
  const { positionals } = parseFlags(args, {});
  const [action, name, ...rest] = positionals;
  if (action !== 'create' || name === undefined || rest.length > 0) throw new UsageError('give a name, as in: syncline token create shop.');
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(name))
    throw new UsageError('a name has letters, digits, dots, dashes and underscores, 64 at most.');
  const secret = `${name}.${randomBytes(SECRET_BYTES).toString('base64url')}`;
  terminal.out(`token of ${name}, shown this once; the producer keeps it:

  ${secret}

for syncline.yaml of the server, which keeps only its digest:

producers:
  - name: ${name}
    tokens: ["${tokenDigest(secret)}"]
`);
  return Promise.resolve(EXIT.ok);
}

function help(): string {
  return `Usage: syncline token create NAME

Makes a random token for the producer NAME and prints it with the entry for the server's configuration. The token is stored
nowhere; a lost one is replaced by another. A producer may have several, so that one can be replaced without a gap.
`;
}
