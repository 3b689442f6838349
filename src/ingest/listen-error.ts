import { messageOf, SyncError } from '../core/errors.ts';

/** What to tell whoever runs the server when an address cannot be used; `section` is where it is configured: `listen.tcp`. */
export function listenError(error: NodeJS.ErrnoException, section: string, host: string, port: number): SyncError {
  const hints: Record<string, string> = {
    EADDRINUSE: `another process listens there; set ${section}.port to a free port or stop that process`,
    EACCES: `this user may not listen there; set ${section}.port to a port above 1023`,
    EADDRNOTAVAIL: `no interface of this machine has that address; correct ${section}.host`,
    ENOTFOUND: `the name does not resolve; correct ${section}.host`,
  };
  const hint = hints[error.code ?? ''] ?? "see the system's message";
  return new SyncError('listen_failed', `cannot listen on ${host}:${port} (${error.code ?? messageOf(error)}): ${hint}`, { cause: error });
}
