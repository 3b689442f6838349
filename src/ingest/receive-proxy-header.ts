import type { Socket } from 'node:net';
import type { Clock } from '../core/clock.ts';
import { SyncError } from '../core/errors.ts';
import { type ProxyHeader, readProxyHeader } from './proxy-header.ts';

/** Balancers send the header at once; a packet of it may have been lost and sent again. */
const DEADLINE_MS = 5_000;

/**
 * Takes the PROXY protocol header off a connection that has just been accepted, and leaves the socket paused, with what
 * follows the header still in it. Resolves with undefined where there is no client: the peer went away without a word, or
 * the balancer spoke for itself and then said nothing more, as in a health check.
 * @throws {SyncError} `bad_proxy_header`; the socket is still open unless the peer closed it.
 */
export function receiveProxyHeader(socket: Socket, clock: Clock): Promise<ProxyHeader | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<ProxyHeader | undefined>();
  let received: Buffer = Buffer.alloc(0);
  let header: ProxyHeader | undefined;

  const data = (chunk: Buffer) => {
    // Below the longest header plus one chunk, because what is no header throws.
    received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
    try {
      header ??= readProxyHeader(received);
    } catch (error) {
      detach();
      reject(error);
      return;
    }
    if (header === undefined || (header.source === undefined && received.length === header.bytes)) return;
    detach();
    if (received.length > header.bytes) socket.unshift(received.subarray(header.bytes));
    resolve(header);
  };
  const ended = (reason: string) => {
    detach();
    if (header === undefined && received.length > 0) reject(new SyncError('bad_proxy_header', reason));
    else resolve(undefined);
  };
  const closed = () => ended(`the connection ended within the header, after ${received.length} bytes`);
  const late = () => {
    if (header !== undefined) return ended('');
    detach();
    reject(new SyncError('bad_proxy_header', `no complete header came within ${DEADLINE_MS} ms`));
  };
  const detach = () => {
    timer.cancel();
    socket.off('data', data);
    socket.off('close', closed);
    socket.pause();
  };
  const timer = clock.setTimer(DEADLINE_MS, late);
  socket.on('data', data);
  socket.on('close', closed);
  return promise;
}
