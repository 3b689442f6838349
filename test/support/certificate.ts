import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

/** Paths of PEM files. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
  /** Who has signed it. */
  readonly ca: string;
}

/** A new certificate for loopback, by address and as `localhost`, signed by itself. */
export function createCertificate(folder: string, name: string): Certificate {
  const [key, cert] = [join(folder, `${name}-key.pem`), join(folder, `${name}.pem`)];
  const what = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1', '-days', '2'];
  const form = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  execFileSync('openssl', ['req', ...form, '-keyout', key, '-out', cert, ...what], { stdio: 'pipe' });
  return { key, cert, ca: cert };
}
