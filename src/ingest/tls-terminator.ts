import { constants } from 'node:crypto';
import type { Socket } from 'node:net';
import { createServer, type Server, type TLSSocket, type TlsOptions } from 'node:tls';
import { certificateNames } from '../core/certificate-names.ts';
import type { Clock, Timer } from '../core/clock.ts';
import { messageOf, SyncError } from '../core/errors.ts';
import type { TlsMaterial } from '../core/tls-material.ts';
import { networkOf } from './address-ranges.ts';

/** A connection after its handshake. */
export interface SecuredSocket {
  /** What to go on with: over TLS, or the socket as it was given where the peer speaks something else. */
  readonly socket: Socket;
  /** Names in the certificate that the peer proved to own; empty without one. */
  readonly certificateNames: readonly string[];
  /** Why the peer must not be let in, to be told over {@link socket}: `tls_required` or `certificate_refused`. */
  readonly refusal: SyncError | undefined;
}

/** From the first byte on, a handshake takes two or three ways there and back. */
const DEADLINE_MS = 5_000;
/** Handshakes of one address at a time: as many as there may be connections from it that have not said HELLO. */
const MAX_HANDSHAKES_PER_ADDRESS = 64;
/** What every connection over TLS begins with: a record of type "handshake". */
const HANDSHAKE_RECORD = 0x16;

/**
 * Ends TLS on connections that a door has accepted, whatever the door brings through them. Beneath it lies a server of
 * `node:tls` that listens nowhere: connections are brought to it, after the header of a balancer has been read off them.
 */
export class TlsTerminator {
  readonly #clock: Clock;
  /** By {@link placeOf} its connection. */
  readonly #handshakes = new Map<string, Handshake>();
  readonly #byAddress = new Map<string, number>();
  #server: Server;

  /** @throws {Error} when OpenSSL does not take `material`. */
  constructor(material: TlsMaterial, clock: Clock) {
    this.#clock = clock;
    this.#server = this.#createServer(material);
  }

  /**
   * Makes ready to go on with other material, and returns what makes that count, for connections from then on: those that
   * are open, or within their handshake, stay as they are.
   * @throws {Error} when OpenSSL does not take it; then nothing has changed.
   */
  prepare(material: TlsMaterial): () => void {
    const server = this.#createServer(material);
    return () => void (this.#server = server);
  }

  /**
   * Makes the handshake. `raw` has just been accepted, or stands still with what follows the header of a balancer in it;
   * `address` is the client's. Resolves with undefined when the peer goes away without a word, as health checks do.
   * @throws {SyncError} `tls_failed` or `too_many_connections`; the socket is destroyed then.
   */
  async secure(raw: Socket, address: string): Promise<SecuredSocket | undefined> {
    if (raw.destroyed) return undefined;
    const network = networkOf(address);
    const count = this.#byAddress.get(network) ?? 0;
    if (count >= MAX_HANDSHAKES_PER_ADDRESS) {
      raw.destroy();
      throw new SyncError('too_many_connections', `${address} has ${count} connections that have not finished the TLS handshake`);
    }
    this.#byAddress.set(network, count + 1);
    const place = placeOf(raw);
    const handshake = new Handshake(raw, this.#clock, () => void this.#server.emit('connection', raw));
    this.#handshakes.set(place, handshake);
    try {
      return await handshake.result;
    } finally {
      this.#handshakes.delete(place);
      const left = (this.#byAddress.get(network) as number) - 1;
      if (left === 0) this.#byAddress.delete(network);
      else this.#byAddress.set(network, left);
    }
  }

  #createServer(material: TlsMaterial): Server {
    const server = createServer(serverOptions(material));
    server.on('secureConnection', (socket) => {
      const handshake = this.#handshakes.get(placeOf(socket));
      if (handshake === undefined) return socket.destroy();
      handshake.succeeded(socket, judge(socket, material));
    });
    server.on('tlsClientError', (error, socket) => {
      this.#handshakes.get(placeOf(socket))?.failed(error);
      socket.destroy();
    });
    return server;
  }
}

/**
 * What a server of `node:tls` or `node:https` takes. Certificates of clients are asked for and not judged by it: whoever
 * uses these options looks at `authorized` and at whether there is a certificate at all.
 */
function serverOptions({ cert, key, clientCa, clientCertificates, minVersion }: TlsMaterial): TlsOptions {
  const options = { cert, key, minVersion, secureOptions: constants.SSL_OP_NO_RENEGOTIATION };
  if (clientCertificates === 'off') return options;
  return {
    ...options,
    ca: clientCa,
    requestCert: true,
    // We tell the peer why; and a session that is resumed would be judged by what was true when it began.
    rejectUnauthorized: false,
    secureOptions: options.secureOptions | constants.SSL_OP_NO_TICKET,
  };
}

function judge(socket: TLSSocket, { clientCertificates }: TlsMaterial): Omit<SecuredSocket, 'socket'> {
  const nobody = { certificateNames: [], refusal: undefined };
  if (clientCertificates === 'off') return nobody;
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) {
    if (clientCertificates === 'optional') return nobody;
    return {
      ...nobody,
      refusal: new SyncError('certificate_refused', 'this server asks every client for a certificate, and there is none'),
    };
  }
  if (socket.authorized) return { certificateNames: certificateNames(certificate.subjectAltName), refusal: undefined };
  const reason = String(socket.authorizationError);
  return { ...nobody, refusal: new SyncError('certificate_refused', `the certificate of the client is not accepted: ${reason}`) };
}

/** One connection, from its first byte until it is secured. */
class Handshake {
  readonly result: Promise<SecuredSocket | undefined>;
  readonly #raw: Socket;
  readonly #settle: PromiseWithResolvers<SecuredSocket | undefined>;
  readonly #deadline: Timer;
  readonly #begin: () => void;
  #hasBegun = false;

  constructor(raw: Socket, clock: Clock, begin: () => void) {
    this.#raw = raw;
    this.#begin = begin;
    this.#settle = Promise.withResolvers();
    this.result = this.#settle.promise;
    this.#deadline = clock.setTimer(DEADLINE_MS, () => this.#fail(`it was not finished within ${DEADLINE_MS} ms`));
    // Without a listener a reset connection would end the process.
    raw.on('error', () => {});
    raw.once('close', this.#closed);
    raw.once('data', this.#first);
    raw.resume();
  }

  succeeded(socket: TLSSocket, judgement: Omit<SecuredSocket, 'socket'>): void {
    socket.on('error', () => {});
    this.#detach();
    this.#settle.resolve({ socket, ...judgement });
  }

  failed(error: Error): void {
    const { code } = error as NodeJS.ErrnoException;
    this.#fail(code === 'ECONNRESET' ? 'the connection ended within it' : reasonOf(error));
  }

  readonly #first = (chunk: Buffer): void => {
    this.#raw.pause();
    this.#raw.unshift(chunk);
    this.#hasBegun = true;
    if (chunk[0] === HANDSHAKE_RECORD) return this.#begin();
    this.#detach();
    const refusal = new SyncError(
      'tls_required',
      'this port speaks TLS, and the connection begins with something else; connect to tcps://, or https:// and wss:// where it is the web port',
    );
    this.#settle.resolve({ socket: this.#raw, certificateNames: [], refusal });
  };

  readonly #closed = (): void => {
    if (this.#hasBegun) return this.#fail('the connection ended within it');
    this.#detach();
    this.#settle.resolve(undefined);
  };

  #fail(reason: string): void {
    this.#detach();
    this.#raw.destroy();
    this.#settle.reject(new SyncError('tls_failed', `the TLS handshake failed: ${reason}`));
  }

  #detach(): void {
    this.#deadline.cancel();
    this.#raw.off('close', this.#closed);
    this.#raw.off('data', this.#first);
  }
}

/** The two ends of a connection, which the socket over TLS has in common with the one beneath it. */
function placeOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}

/** What OpenSSL says, without its place in OpenSSL's source. */
function reasonOf(error: Error): string {
  const { reason } = error as { reason?: unknown };
  return typeof reason === 'string' ? reason : messageOf(error);
}
