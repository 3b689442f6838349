import type { ConnectionOptions } from 'node:tls';
import type { Config } from '../config/config.ts';

/** Where a command on the same machine reaches the server that `config` is of. */
export interface OwnServer {
  readonly host: string;
  readonly port: number;
  readonly url: string;
  /** Undefined where the door speaks none. */
  readonly tls: ConnectionOptions | undefined;
}

export function ownServer({ listen }: Pick<Config, 'listen'>): OwnServer {
  const { host: bound, port, tls: usesTls } = listen.tcp;
  const host = bound === '0.0.0.0' ? '127.0.0.1' : bound === '::' ? '::1' : bound;
  const tls = usesTls && listen.tls !== undefined ? trustIn(listen.tls.cert) : undefined;
  return { host, port, url: `${tls === undefined ? 'tcp' : 'tcps'}://${host.includes(':') ? `[${host}]` : host}:${port}`, tls };
}

/** In the first certificate of `pem` alone: whoever shows it is the server, under whatever name it was reached. */
function trustIn(pem: string): ConnectionOptions {
  const end = '-----END CERTIFICATE-----';
  return { ca: pem.slice(0, pem.indexOf(end) + end.length), allowPartialTrustChain: true, checkServerIdentity: () => undefined };
}
