import type { Clock } from '../core/clock.ts';
import type { Dialer } from '../core/network.ts';
import { createTcpDialer, type TlsOptions } from './tcp-dialer.ts';
import { createWebSocketDialer } from './web-socket-dialer.ts';

const DEFAULT_PORT = 9501;
/** Where a server takes WebSocket connections, when the url names no other path. */
const DEFAULT_PATH = '/ws';

/** Opens connections as the scheme of a url says. @throws {TypeError} for urls, and options beside them, that make no sense. */
export function dialerOfUrl(text: string, tls: TlsOptions | undefined, clock: Clock): Dialer {
  const url = URL.parse(text);
  // First, because the other message shows the url.
  if (url !== null && (url.username !== '' || url.password !== ''))
    throw new TypeError('the url must not carry a password; pass the token as { token }');
  if (url === null || url.hostname === '' || !/^(tcps?|wss?):$/.test(url.protocol))
    throw new TypeError(`url "${text}" is not of the form tcp://host:port, tcps://host:port, ws://host:port/ws or wss://host:port/ws`);
  if (url.protocol === 'ws:' || url.protocol === 'wss:') {
    if (tls !== undefined)
      throw new TypeError(
        'the tls options are for tcps://; with wss:// the platform decides whom to trust: start Node.js with NODE_EXTRA_CA_CERTS naming the PEM file of a private CA',
      );
    if (url.pathname === '/') url.pathname = DEFAULT_PATH;
    return createWebSocketDialer(url.href, clock);
  }
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  return createTcpDialer({
    host,
    port: url.port === '' ? DEFAULT_PORT : Number(url.port),
    tls: url.protocol === 'tcps:' ? (tls ?? {}) : undefined,
  });
}
