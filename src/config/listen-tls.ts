import { createPrivateKey, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { certificateNames } from '../core/certificate-names.ts';
import { messageOf } from '../core/errors.ts';
import type { ListenTlsConfig } from './config.ts';
import type { Options } from './options.ts';

/** What reading and checking needs of whoever resolves options. */
export interface ListenTlsOrigin {
  /** An absolute path of what the option `name` names. */
  readonly path: (name: FileOption, written: string) => string;
  /** The text of that file; undefined when it cannot be read, which has been reported. */
  readonly read: (name: FileOption, written: string) => string | undefined;
  readonly report: (name: keyof Options['listen']['tls'], message: string) => void;
}

type FileOption = 'cert' | 'key' | 'clientCa';

/** Reads what the doors speak TLS with, and checks that it fits together. Undefined without a certificate, or where something is wrong. */
export function readListenTls(tls: Options['listen']['tls'], origin: ListenTlsOrigin): ListenTlsConfig | undefined {
  const clientCertificates = tls.clientCertificates ?? (tls.clientCa === undefined ? 'off' : 'required');
  if (clientCertificates !== 'off' && tls.clientCa === undefined)
    origin.report('clientCertificates', `is ${clientCertificates}, which needs clientCa: who signs the certificates of clients`);
  if (tls.cert === undefined || tls.key === undefined) {
    for (const name of ['cert', 'key', 'clientCa'] as const)
      if (tls[name] !== undefined) origin.report(name, `needs ${tls.cert === undefined ? 'cert' : 'key'} beside it`);
    return undefined;
  }
  const written = { cert: tls.cert, key: tls.key, ...(tls.clientCa === undefined ? {} : { clientCa: tls.clientCa }) };
  const pem = (name: FileOption) => (written[name] === undefined ? undefined : origin.read(name, written[name]));
  const [cert, key, clientCa] = [pem('cert'), pem('key'), pem('clientCa')];
  const chain = cert === undefined ? undefined : certificatesOf('cert', cert, origin);
  if (clientCa !== undefined) certificatesOf('clientCa', clientCa, origin);
  if (cert === undefined || key === undefined || chain === undefined || !fit(cert, key, chain[0], tls.minVersion, origin)) return undefined;
  return {
    ...{ cert, key, clientCertificates, minVersion: tls.minVersion },
    ...(clientCa === undefined ? {} : { clientCa }),
    files: {
      cert: origin.path('cert', written.cert),
      key: origin.path('key', written.key),
      ...(written.clientCa === undefined ? {} : { clientCa: origin.path('clientCa', written.clientCa) }),
    },
    names: certificateNames(chain[0].subjectAltName),
    expiresAtMs: Math.min(...chain.map(({ validToDate }) => validToDate.getTime())),
  };
}

function certificatesOf(name: FileOption, pem: string, { report }: ListenTlsOrigin): [X509Certificate, ...X509Certificate[]] | undefined {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  try {
    const [first, ...others] = blocks.map((block) => new X509Certificate(block));
    if (first !== undefined) return [first, ...others];
    report(name, 'names a file without a certificate in PEM, which has a line -----BEGIN CERTIFICATE-----');
  } catch (error) {
    report(name, `names a file with a damaged certificate (${messageOf(error)})`);
  }
  return undefined;
}

/** Whether key and certificate belong together, and OpenSSL takes them. */
function fit(
  cert: string,
  key: string,
  own: X509Certificate,
  minVersion: Options['listen']['tls']['minVersion'],
  { report }: ListenTlsOrigin,
): boolean {
  if (/ENCRYPTED/.test(key)) {
    report('key', 'names a key that has a passphrase, which nobody can type here; take it off with: openssl pkey -in KEY -out NEW');
    return false;
  }
  try {
    if (!own.checkPrivateKey(createPrivateKey(key))) {
      report('key', 'is not the key of the first certificate in cert, which must be that of this server');
      return false;
    }
  } catch (error) {
    report('key', `names a file without a private key in PEM (${messageOf(error)})`);
    return false;
  }
  try {
    createSecureContext({ cert, key, minVersion });
  } catch (error) {
    report('cert', `cannot be used (${messageOf(error)})`);
    return false;
  }
  return true;
}
