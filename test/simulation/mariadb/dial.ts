import type { Clock } from '../../../src/core/clock.ts';
import type { Dial, Driver } from '../../../src/sinks/mysql/connection.ts';
import type { Host } from '../world/host.ts';
import type { Network } from '../world/network.ts';
import type { Wire } from '../world/wire.ts';
import type { Reply, Request } from './messages.ts';

/** How long connecting may take, to the end of the handshake, as the production driver is told. */
const CONNECT_TIMEOUT_MS = 5_000;

/**
 * How the process that runs on `host` now, and lives by `clock`, connects to the simulated MariaDB behind `service`. The
 * driver behaves as mysql2 does through the production code: errors that the server sent have a number and an SQLSTATE,
 * others mean that the connection is lost.
 */
export function createDial(host: Host, clock: Clock, network: Network, service: string): Dial {
  return async (address) => {
    const startMs = clock.monotonicMs();
    const wire = await network.dial(host, service, CONNECT_TIMEOUT_MS);
    const client = new Client(wire);
    return new Promise((resolve, reject) => {
      const timer = clock.setTimer(CONNECT_TIMEOUT_MS - (clock.monotonicMs() - startMs), () => {
        client.destroy();
        reject(Object.assign(new Error('connect ETIMEDOUT'), { code: 'ETIMEDOUT' }));
      });
      client.login(address.database, (error, serverVersion) => {
        timer.cancel();
        if (error === undefined) return resolve(driverOf(client, serverVersion));
        client.destroy();
        reject(error);
      });
    });
  };
}

function driverOf(client: Client, serverVersion: string): Driver {
  return {
    serverVersion,
    query: (sql, done) => client.request({ kind: 'query', sql }, sql.length, done),
    ping: (done) => client.request({ kind: 'ping' }, 1, (error) => done(error)),
    onLost: (lost) => client.onLost(lost),
    destroy: () => client.destroy(),
  };
}

/** The client's end of a connection. */
class Client {
  readonly #wire: Wire;
  #pending: ((error: unknown, reply: Reply | undefined) => void) | undefined;
  #isClosed = false;
  #lost: ((error: unknown) => void) | undefined;

  constructor(wire: Wire) {
    this.#wire = wire;
  }

  login(database: string, done: (error: Error | undefined, serverVersion: string) => void): void {
    // The server speaks first.
    this.#pending = (refusal, greeting) => {
      if (greeting?.kind !== 'greeting') return done(refusal as Error, '');
      this.#send({ kind: 'login', database }, database.length, (error) =>
        done((error ?? undefined) as Error | undefined, greeting.serverVersion),
      );
    };
    this.#wire.open({
      message: (message) => this.#receive(message as Reply),
      closed: (error) => this.#end(error),
    });
  }

  request(request: Request, bytes: number, done: (error: unknown, result: unknown) => void): void {
    this.#send(request, bytes, (error, reply) => {
      if (reply?.kind === 'rows') done(null, reply.rows);
      else if (reply?.kind === 'done')
        done(null, { affectedRows: reply.affectedRows, insertId: reply.insertId, warningStatus: reply.warnings });
      else done(error, undefined);
    });
  }

  onLost(lost: (error: unknown) => void): void {
    this.#lost = lost;
  }

  /** Closes the socket; what was written to it still goes out. */
  destroy(): void {
    this.#isClosed = true;
    this.#pending = undefined;
    this.#wire.close();
  }

  #send(request: Request, bytes: number, done: (error: unknown, reply: Reply | undefined) => void): void {
    if (this.#isClosed) return done(new Error("Can't add new command when connection is in closed state"), undefined);
    if (this.#pending !== undefined) throw new Error('a driver was given two requests at once');
    this.#pending = done;
    this.#wire.send(request, bytes);
  }

  #receive(reply: Reply): void {
    if (this.#isClosed) return;
    const pending = this.#pending;
    this.#pending = undefined;
    if (reply.kind !== 'error') return pending?.(null, reply);
    const { errno, sqlState, message } = reply;
    pending?.(Object.assign(new Error(message), { errno, sqlState }), undefined);
  }

  #end(reason: Error | undefined): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const error =
      reason === undefined
        ? Object.assign(new Error('Connection lost: The server closed the connection.'), { code: 'PROTOCOL_CONNECTION_LOST' })
        : Object.assign(reason, { code: 'ECONNRESET', errno: -104 });
    const pending = this.#pending;
    this.#pending = undefined;
    pending?.(error, undefined);
    this.#lost?.(error);
  }
}
