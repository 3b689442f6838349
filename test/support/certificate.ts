import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

/** Paths of PEM files. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
  /** Who has signed it. */
  readonly ca: string;
}

export interface CertificateFields {
  /** As OpenSSL takes them; loopback, by address and as `localhost`, when they are left out. */
  readonly names?: string;
  /** From now on; negative: it has expired. */
  readonly days?: number;
  /** `serverAuth` or `clientAuth`; both when it is left out. */
  readonly usage?: string;
}

const LOOPBACK_NAMES = 'DNS:localhost,IP:127.0.0.1';
const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

/** A new certificate for loopback, by address and as `localhost`, signed by itself. */
export function createCertificate(folder: string, name: string): Certificate {
  const { key, cert } = pathsOf(folder, name);
  const what = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=${LOOPBACK_NAMES}`, '-days', '2'];
  openssl('req', '-x509', ...NEW_KEY, '-keyout', key, '-out', cert, ...what);
  return { key, cert, ca: cert };
}

/** Signs certificates. */
export class Authority {
  /** Path of its own certificate. */
  readonly cert: string;
  readonly #folder: string;
  readonly #key: string;

  constructor(folder: string, name: string) {
    const { key, cert } = pathsOf(folder, name);
    this.#folder = folder;
    this.cert = cert;
    this.#key = key;
    openssl('req', '-x509', ...NEW_KEY, '-keyout', key, '-out', cert, '-subj', `/CN=${name}`, '-days', '2');
  }

  issue(name: string, { names = LOOPBACK_NAMES, days = 2, usage = 'serverAuth,clientAuth' }: CertificateFields = {}): Certificate {
    const { key, cert } = pathsOf(this.#folder, name);
    const request = `${cert}.request`;
    const fields = ['-addext', `subjectAltName=${names}`, '-addext', `extendedKeyUsage=${usage}`];
    openssl('req', '-new', ...NEW_KEY, '-keyout', key, '-out', request, '-subj', `/CN=${name}`, ...fields);
    const by = ['-CA', this.cert, '-CAkey', this.#key, '-days', String(days), '-copy_extensions', 'copyall'];
    openssl('x509', '-req', '-in', request, '-out', cert, ...by);
    return { key, cert, ca: this.cert };
  }
}

function pathsOf(folder: string, name: string): { key: string; cert: string } {
  return { key: join(folder, `${name}-key.pem`), cert: join(folder, `${name}.pem`) };
}

function openssl(...args: string[]): void {
  execFileSync('openssl', args, { stdio: 'pipe' });
}
