import { z } from 'zod';
import {
  bytes,
  flag,
  GIB,
  integer,
  KIB,
  MIB,
  optionalFlag,
  optionalInteger,
  optionalText,
  PORTS,
  section,
  text,
  textList,
} from './option.ts';
import { udpOptions } from './udp-options.ts';

/** The options of every door: the section `listen`. */
export const listenOptions = section('Where the server listens.', {
  tls: section('TLS for clients: with `cert` and `key` set, every door speaks it that is not told otherwise.', {
    cert: optionalText({
      description:
        'PEM file with the certificate of this server, first, and those between it and the authority. Read at the start and at a reload.',
      env: 'SYNCLINE_TLS_CERT',
      takesEffect: 'reload',
      fallback: 'no TLS',
    }),
    key: optionalText({
      description: 'PEM file with the private key of `cert`, without a passphrase.',
      env: 'SYNCLINE_TLS_KEY',
      takesEffect: 'reload',
    }),
    clientCa: optionalText({
      description: 'PEM file with the authorities that sign the certificates of clients.',
      env: 'SYNCLINE_TLS_CLIENT_CA',
      takesEffect: 'reload',
      fallback: 'clients are asked for none',
    }),
    clientCertificates: z.enum(['off', 'optional', 'required']).optional().meta({
      description:
        'Whether a client shows a certificate that `clientCa` has signed: `off` asks for none, `optional` takes clients without one too, `required` does not. One that is not valid is always refused.',
      env: 'SYNCLINE_TLS_CLIENT_CERTIFICATES',
      takesEffect: 'reload',
      fallback: '`required` with `clientCa`, else `off`',
    }),
    minVersion: z
      .enum(['TLSv1.2', 'TLSv1.3'])
      .default('TLSv1.2')
      .meta({ description: 'Oldest version of TLS that is spoken.', env: 'SYNCLINE_TLS_MIN_VERSION', takesEffect: 'reload' }),
  }),
  tcp: section('Frames over TCP: what clients connect to.', {
    host: optionalText({
      description: 'Address to listen on. Without a token and without `producers` only a loopback address is allowed.',
      env: 'SYNCLINE_TCP_HOST',
      takesEffect: 'restart',
      fallback: '`0.0.0.0` with a token or `producers`, else `127.0.0.1`',
    }),
    port: integer(PORTS, 9501, { description: 'Port; 0 takes any free one.', env: 'SYNCLINE_TCP_PORT', takesEffect: 'restart' }),
    tls: optionalFlag({
      description: 'Whether this door speaks TLS. Set `false` where a balancer ends TLS in front of it while another door speaks it here.',
      env: 'SYNCLINE_TCP_TLS',
      takesEffect: 'restart',
      fallback: 'true with `listen.tls.cert`, else false',
    }),
    proxyFrom: textList(64, {
      description:
        'Addresses and ranges of balancers, such as `10.0.0.5` or `10.0.0.0/24`. Connections from there must begin with a PROXY protocol header (version 2 or 1), and count as those of the client that it names. From everybody else a header is never believed.',
      env: 'SYNCLINE_TCP_PROXY_FROM',
      takesEffect: 'restart',
      fallback: 'nobody',
    }),
  }),
  web: section('Frames over WebSocket, at `/ws`, and HTTP: see docs/websocket.md.', {
    enabled: flag(true, { description: 'Whether it listens at all.', env: 'SYNCLINE_WEB_ENABLED', takesEffect: 'restart' }),
    host: optionalText({
      description: 'Address to listen on. Without a token and without `producers` only a loopback address is allowed.',
      env: 'SYNCLINE_WEB_HOST',
      takesEffect: 'restart',
      fallback: '`listen.tcp.host`',
    }),
    port: integer(PORTS, 9502, { description: 'Port; 0 takes any free one.', env: 'SYNCLINE_WEB_PORT', takesEffect: 'restart' }),
    engine: z.enum(['auto', 'uws', 'ws']).default('auto').meta({
      description:
        'What carries it: `uws` is uWebSockets.js, which must be installed beside Syncline, `ws` is part of it. `auto` takes uWebSockets.js where it loads, `proxyFrom` is empty and the door speaks no TLS, and says in the log which it took and why.',
      env: 'SYNCLINE_WEB_ENGINE',
      takesEffect: 'restart',
    }),
    tls: optionalFlag({
      description: 'Whether this door speaks TLS: `https://` and `wss://`. Set `false` where a balancer ends TLS in front of it.',
      env: 'SYNCLINE_WEB_TLS',
      takesEffect: 'restart',
      fallback: 'true with `listen.tls.cert`, else false',
    }),
    proxyFrom: textList(64, {
      description:
        'Addresses and ranges of balancers, as in `listen.tcp.proxyFrom`. With the engine `uws` they must send version 2 of the header.',
      env: 'SYNCLINE_WEB_PROXY_FROM',
      takesEffect: 'restart',
      fallback: 'nobody',
    }),
    origins: textList(64, {
      description:
        'Origins of web pages that may connect and send, such as `https://shop.example`. Programs that are no browsers send none and need none.',
      env: 'SYNCLINE_WEB_ORIGINS',
      takesEffect: 'restart',
      fallback: 'no browser may',
    }),
    hosts: textList(64, {
      description: 'Names that requests may call this server by in `Host`, without port, such as `sync.shop.example`. Others are refused.',
      env: 'SYNCLINE_WEB_HOSTS',
      takesEffect: 'restart',
      fallback: 'any',
    }),
    maxBodyBytes: bytes([64 * KIB, 256 * MIB], 16 * MIB, {
      description:
        'Largest body of an HTTP request, also after expansion. NDJSON without an `Idempotency-Key` may be of any length, and each of its lines as long as this.',
      env: 'SYNCLINE_WEB_MAX_BODY_BYTES',
      takesEffect: 'restart',
    }),
    bufferBytes: bytes([MIB, 64 * GIB], 64 * MIB, {
      description:
        'How much HTTP requests may hold in memory together: bodies, and changes that are not applied yet. While it is used up, requests wait, and after a while they are answered with 503. At least twice `maxBodyBytes`.',
      env: 'SYNCLINE_WEB_BUFFER_BYTES',
      takesEffect: 'restart',
    }),
  }),
  udp: udpOptions,
  admin: section('Health, metrics and status over HTTP.', {
    host: text('127.0.0.1', {
      description: 'Address to listen on. Without a token only a loopback address is allowed.',
      env: 'SYNCLINE_ADMIN_HOST',
      takesEffect: 'restart',
    }),
    port: integer(PORTS, 9500, { description: 'Port; 0 takes any free one.', env: 'SYNCLINE_ADMIN_PORT', takesEffect: 'restart' }),
    token: optionalText({
      description:
        'What metrics and status ask for, as `Authorization: Bearer TOKEN`; `syncline status` sends it. Without one nobody is asked. Health needs none.',
      env: 'SYNCLINE_ADMIN_TOKEN',
      takesEffect: 'reload',
      secret: true,
      fallback: 'none',
    }),
    tokenFile: optionalText({
      description: 'File that holds the token, instead of `token`.',
      env: 'SYNCLINE_ADMIN_TOKEN_FILE',
      takesEffect: 'reload',
    }),
    healthHost: optionalText({
      description: 'Address of a second listener that serves `/health/*` only, for a balancer on another machine. Needs `healthPort`.',
      env: 'SYNCLINE_HEALTH_HOST',
      takesEffect: 'restart',
      fallback: '`0.0.0.0` when `healthPort` is set',
    }),
    healthPort: optionalInteger(PORTS, {
      description: 'Port of that second listener.',
      env: 'SYNCLINE_HEALTH_PORT',
      takesEffect: 'restart',
      fallback: 'no second listener',
    }),
  }),
});
