import type { Server } from 'node:net';
import { listenError } from './listen-error.ts';

export interface ListenAt {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
}

/** Connections that the system keeps while this process is busy. */
const BACKLOG = 1_024;

/**
 * Listens, and resolves with the address; `failed` hears of what goes wrong later. `option` is where the address was written,
 * such as `listen.tcp`. @throws {SyncError} `listen_failed`.
 */
export async function listen(server: Server, at: ListenAt, option: string, failed: (error: Error) => void): Promise<ListenAt> {
  const { host, port } = at;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(listenError(error, host, port, option)));
    server.listen({ host, port, backlog: BACKLOG }, resolve);
  });
  server.removeAllListeners('error');
  server.on('error', failed);
  const address = server.address();
  return address !== null && typeof address === 'object' ? { host, port: address.port } : at;
}
