import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions, type SecureContextOptions } from 'node:tls';
import type { Connection, Dialer, Receiver } from '../core/network.ts';
import { dialFailure } from './dial-failure.ts';

export interface DialTarget {
  readonly host: string;
  readonly port: number;
  /** Undefined: plain TCP. */
  readonly tls: TlsOptions | ConnectionOptions | undefined;
}

/** For `tcps://`: what `node:tls` takes, where the defaults do not do. */
export interface TlsOptions extends Pick<SecureContextOptions, 'ca' | 'cert' | 'key'> {
  /** Default true. Without it, whoever sits between can read and change everything. */
  readonly rejectUnauthorized?: boolean;
  /** The name that the certificate must carry; default: the host of the url. */
  readonly servername?: string;
}

/** Opens connections over `node:net`, or `node:tls`. */
export function createTcpDialer({ host, port, tls }: DialTarget): Dialer {
  return {
    connect: (signal) =>
      new Promise((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason as Error);
        const socket = tls === undefined ? connectTcp({ host, port }) : connectTls({ host, port, ...serverName(host), ...tls });
        const settle = (finish: () => void) => {
          signal.removeEventListener('abort', aborted);
          socket.off('error', failed);
          finish();
        };
        const aborted = () => {
          socket.on('error', () => {});
          socket.destroy();
          settle(() => reject(signal.reason as Error));
        };
        const failed = (error: Error) => settle(() => reject(dialFailure(host, port, error)));
        signal.addEventListener('abort', aborted);
        socket.once('error', failed);
        socket.once(tls === undefined ? 'connect' : 'secureConnect', () => settle(() => resolve(connectionOver(socket))));
      }),
  };
}

/** An address is no name that may be sent; the certificate is held against it all the same. */
function serverName(host: string): { servername?: string } {
  return isIP(host) === 0 ? { servername: host } : {};
}

function connectionOver(socket: Socket): Connection {
  socket.setNoDelay(true);
  let failure: Error | undefined;
  let corked = false;
  // Errors may come before open() is called; nothing is lost, 'close' follows and brings them along.
  socket.on('error', (error) => (failure = error));
  return {
    remoteAddress: socket.remoteAddress ?? '',
    get bufferedBytes() {
      return socket.writableLength;
    },
    open(receiver: Receiver) {
      if (socket.destroyed) return receiver.close(failure);
      socket.on('data', (chunk: Buffer) => receiver.data(chunk));
      socket.on('drain', () => receiver.drain());
      socket.on('close', () => receiver.close(failure));
    },
    write(chunk) {
      if (!socket.writable) return;
      // What is written in one turn leaves in one system call.
      if (!corked) {
        corked = true;
        socket.cork();
        process.nextTick(() => {
          corked = false;
          socket.uncork();
        });
      }
      socket.write(chunk);
    },
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    end: () => void socket.end(),
    destroy: () => void socket.destroy(),
  };
}
