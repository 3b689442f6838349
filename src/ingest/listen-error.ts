import { messageOf, SyncError } from '../core/errors.ts';

/** Why an address cannot be listened on, as `listen_failed` with what to do; `option` is where it was written, such as `listen.tcp`. */
export function listenError(error: NodeJS.ErrnoException, host: string, port: number, option: string): SyncError {
  const hints: Record<string, string> = {
    EADDRINUSE: `another process listens there; set ${option}.port to a free port or stop that process`,
    EACCES: `this user may not listen there; set ${option}.port to a port above 1023`,
    EADDRNOTAVAIL: `no interface of this machine has that address; correct ${option}.host`,
    ENOTFOUND: `the name does not resolve; correct ${option}.host`,
  };
  const hint = hints[error.code ?? ''] ?? "see the system's message";
  return new SyncError('listen_failed', `cannot listen on ${host}:${port} (${error.code ?? messageOf(error)}): ${hint}`, { cause: error });
}
