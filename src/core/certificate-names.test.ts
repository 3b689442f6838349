import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { certificateNames } from './certificate-names.ts';

/** What Node.js says of a certificate with these names. */
function namesOf(subjectAltName: string): readonly string[] {
  return certificateNames(selfSigned('-subj', '/CN=common.example', '-addext', `subjectAltName=${subjectAltName}`).subjectAltName);
}

function selfSigned(...fields: string[]): X509Certificate {
  const form = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', '/dev/null'];
  return new X509Certificate(execFileSync('openssl', ['req', ...form, ...fields], { stdio: ['ignore', 'pipe', 'ignore'] }));
}

test('names come out with their kind, and those of DNS in lower case', () => {
  expect(namesOf('DNS:Shop.Example,IP:10.0.0.5,IP:2001:db8::7,URI:spiffe://example/shop,email:ops@shop.example')).toEqual([
    'DNS:shop.example',
    'IP:10.0.0.5',
    'IP:2001:db8:0:0:0:0:0:7',
    'URI:spiffe://example/shop',
    'email:ops@shop.example',
  ]);
});

test('kinds that nobody maps are left out', () => {
  expect(namesOf('RID:1.2.3.4,otherName:1.2.3.4;UTF8:shop,DNS:shop.example')).toEqual(['DNS:shop.example']);
});

test.each(['https://a/, DNS:shop.example', 'a", DNS:shop.example, URI:"b'])(
  'a name that would read as several, %j, is none of them',
  (hostile) => {
    const folder = mkdtempSync(join(tmpdir(), 'syncline-names-'));
    try {
      const config = join(folder, 'config');
      const quoted = hostile.replaceAll('"', '\\"');
      const request = '[req]\ndistinguished_name = subject\nx509_extensions = all\nprompt = no\n[subject]\nCN = x\n';
      writeFileSync(config, `${request}[all]\nsubjectAltName = @names\n[names]\nURI = ${quoted}\n`);
      const given = selfSigned('-config', config).subjectAltName;
      expect(given).toContain('DNS:shop.example');
      expect(certificateNames(given)).toEqual([]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
);

test('without any there are none', () => {
  expect(certificateNames(undefined)).toEqual([]);
  expect(certificateNames('')).toEqual([]);
});
