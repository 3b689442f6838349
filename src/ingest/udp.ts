import { createSocket, type Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { messageOf } from '../core/errors.ts';
import { plainAddress } from './address-ranges.ts';
import type { Log } from './context.ts';
import { listenError } from './listen-error.ts';

export interface UdpDoorOptions {
  /** An address, not a name. */
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  /** What the system keeps while this process is busy; its own default where left out. */
  readonly recvBufferBytes?: number | undefined;
  readonly log: Log;
}

/** The door for datagrams. It has no connections, and says nothing to anybody. */
export interface UdpDoor {
  /** Where it listens, once {@link start} has resolved. */
  readonly address: { readonly host: string; readonly port: number };
  /** @throws {SyncError} `listen_failed`. */
  start(): Promise<void>;
  close(): Promise<void>;
}

/** `received` gets every datagram that comes, in memory of its own, with its sender's address. */
export function createUdpDoor(options: UdpDoorOptions, received: (bytes: Uint8Array, address: string) => void): UdpDoor {
  const { host, port, recvBufferBytes, log } = options;
  let address = { host, port };
  let socket: Socket | undefined;
  return {
    get address() {
      return address;
    },
    async start() {
      const opening = createSocket({
        type: isIPv6(host) ? 'udp6' : 'udp4',
        ...(recvBufferBytes === undefined ? {} : { recvBufferSize: recvBufferBytes }),
      });
      await new Promise<void>((resolve, reject) => {
        opening.once('error', (error: NodeJS.ErrnoException) => reject(listenError(error, host, port, 'listen.udp')));
        opening.bind({ address: host, port, exclusive: true }, resolve);
      });
      opening.removeAllListeners('error');
      opening.on('error', (error) => log.error({ err: error }, `udp door: ${messageOf(error)}`));
      opening.on('message', (bytes, sender) => received(bytes, plainAddress(sender.address)));
      address = { host, port: opening.address().port };
      socket = opening;
    },
    async close() {
      const closing = socket;
      socket = undefined;
      if (closing !== undefined) await new Promise<void>((resolve) => void closing.close(resolve));
    },
  };
}
