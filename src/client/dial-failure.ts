const UNTRUSTED = 'pass the certificate of the authority that signed it as tls.ca, or name its file in NODE_EXTRA_CA_CERTS';
const NO_COMMON_VERSION = 'the two have no version of TLS in common';
const NOT_TLS = 'it does not speak TLS there; a url with tcp:// connects without';

/** What to do about failures of TLS, by code; what Node.js and OpenSSL say of them is right and leaves that open. */
const HINTS: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'who runs the server must renew it',
  DEPTH_ZERO_SELF_SIGNED_CERT: UNTRUSTED,
  SELF_SIGNED_CERT_IN_CHAIN: UNTRUSTED,
  UNABLE_TO_GET_ISSUER_CERT: UNTRUSTED,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNTRUSTED,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNTRUSTED,
  ERR_TLS_CERT_ALTNAME_INVALID: 'connect by a name that its certificate holds, or pass that name as tls.servername',
  ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION: NO_COMMON_VERSION,
  ERR_SSL_UNSUPPORTED_PROTOCOL: NO_COMMON_VERSION,
  ERR_SSL_WRONG_VERSION_NUMBER: NOT_TLS,
  ERR_SSL_PACKET_LENGTH_TOO_LONG: NOT_TLS,
};

/** Why a connection to `host` was not made, for people, with what to do where that is known. */
export function dialFailure(host: string, port: number, error: Error): Error {
  const { code = '' } = error as NodeJS.ErrnoException;
  const hint = HINTS[code];
  // OpenSSL's own text names places in its source.
  const { reason = error.message } = error as { reason?: string };
  const what = reason === '' ? code : reason;
  return new Error(`${host}:${port} cannot be reached: ${what}${hint === undefined ? '' : `; ${hint}`}`, { cause: error });
}
