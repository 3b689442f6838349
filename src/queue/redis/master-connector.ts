import { AbstractConnector, type RedisOptions } from 'ioredis';
import { connect as connectTcp, Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { RedisAddress } from '../../core/redis-url.ts';

/** Knows where the master is now. */
export interface MasterFinder {
  /** Asks anew. @throws {SyncError} when nobody knows. */
  find(): Promise<RedisAddress>;
  /** Calls `listener` whenever it is told of a master; returns how to stop. */
  watch(listener: (master: RedisAddress) => void): () => void;
}

/** Makes the connections of a driver lead to the master, which is found anew for each. */
export function masterConnector(
  find: MasterFinder['find'],
  tlsFor: ((host: string) => NonNullable<RedisOptions['tls']>) | undefined,
  disconnectTimeoutMs: number,
): NonNullable<RedisOptions['Connector']> {
  return class extends AbstractConnector {
    constructor() {
      super(disconnectTimeoutMs);
    }

    /** Never rejects: the driver would not try again. A stream that is closed already makes it do so. */
    async connect(): Promise<Socket> {
      this.connecting = true;
      try {
        const master = await find();
        // Told to disconnect while the answer was awaited.
        if (!this.connecting) return this.#fail(new Error('the connection was closed'));
        return this.#keep(tlsFor === undefined ? connectTcp(master) : connectTls({ ...tlsFor(master.host), ...master }));
      } catch (error) {
        return this.#fail(error as Error);
      }
    }

    #fail(error: Error): Socket {
      this.firstError = error;
      return this.#keep(new Socket().destroy());
    }

    #keep(stream: Socket): Socket {
      this.stream = stream;
      stream.once('error', (error) => (this.firstError = error));
      return stream;
    }
  };
}
