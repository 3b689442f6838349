import { loadConfig } from '../config/load.ts';
import { messageOf } from '../core/errors.ts';
import type { Terminal } from './command.ts';

/** The admin server of a running node, and the token that it may ask for. */
export interface AdminTarget {
  readonly url: string;
  readonly token: string | undefined;
}

export const ADMIN_FLAGS = { url: { type: 'string' }, config: { type: 'string', short: 'c' } } as const;

/** For the help of commands that take {@link ADMIN_FLAGS}. */
export const ADMIN_FLAGS_HELP = `  --url URL           admin address, such as http://127.0.0.1:9500, with the token in SYNCLINE_ADMIN_TOKEN if it asks for
                      one; without it address and token of the configuration
  --config, -c FILE   read FILE instead of ./syncline.yaml`;

/**
 * Whom to ask and with which token. A URL that was given gets no token from a configuration file, which may be meant for
 * another server.
 */
export function adminTarget(flags: { url?: string; config?: string }, terminal: Terminal): AdminTarget {
  if (flags.url !== undefined) return { url: flags.url, token: terminal.env['SYNCLINE_ADMIN_TOKEN'] || undefined };
  const { host, port, token } = loadConfig({ file: flags.config, env: terminal.env, cwd: terminal.cwd }).listen.admin;
  const reachable = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  return { url: `http://${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}`, token };
}

/** Asks, and gives the JSON that is answered. @throws {Error} whose {@link unreachableReason} says why there is none. */
export async function askAdmin(
  { url, token }: AdminTarget,
  method: 'GET' | 'POST' | 'DELETE',
  path: string,
  signal: AbortSignal,
): Promise<unknown> {
  const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const response = await fetch(new URL(path, url), { method, headers, signal });
  if (response.status === 401)
    throw new TokenRefused(`it ${token === undefined ? 'asks for a token' : 'knows another token'}; set SYNCLINE_ADMIN_TOKEN`);
  if (!response.ok) throw new Error(`it answers ${response.status}`);
  return response.json();
}

/** Why there was no answer, for people. */
export function unreachableReason(error: unknown): string {
  if (error instanceof TokenRefused) return error.message;
  const cause = error instanceof Error ? error.cause : undefined;
  const reason = error instanceof DOMException && error.name === 'TimeoutError' ? 'no answer in time' : messageOf(cause ?? error);
  return `${reason}; is the server running, and is this its admin address?`;
}

class TokenRefused extends Error {}
