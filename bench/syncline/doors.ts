import { loadUws } from '../../src/ingest/web/uws.ts';
import { newerLibc } from '../../test/support/newer-libc.ts';
import type { Carrier } from '../load/sender-messages.ts';
import type { ServerOptions } from './server.ts';

/** A door of the server, and how the server is started so that it has it. */
export interface Door {
  readonly title: string;
  readonly carrier: Carrier;
  /** Why there is none here, and what would help. */
  missing(): string | undefined;
  server(): Pick<ServerOptions, 'program'>;
}

/** Both doors of a server that has uWebSockets.js, where need be by a newer C library than that of this machine: so they are compared. */
export const TCP: Door = { title: 'TCP', carrier: 'tcp', missing: missingUws, server };
export const WEB_SOCKET: Door = { title: 'WebSocket (uWS)', carrier: 'websocket', missing: missingUws, server };

function missingUws(): string | undefined {
  const program = programWithUws();
  return typeof program === 'string' ? `uWebSockets.js does not load here: ${program}` : undefined;
}

function server(): Pick<ServerOptions, 'program'> {
  const program = programWithUws();
  if (typeof program === 'string') throw new Error(program);
  return { program };
}

function programWithUws(): readonly string[] | string {
  const uws = loadUws();
  if (typeof uws !== 'string') return [process.execPath];
  const libc = newerLibc();
  if ('reason' in libc) return `${uws}; ${libc.reason}`;
  return [`${libc.folder}/ld-linux-x86-64.so.2`, '--library-path', libc.folder, process.execPath];
}
