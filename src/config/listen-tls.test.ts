import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Authority, type Certificate } from '../../test/support/certificate.ts';
import { messageOf } from '../core/errors.ts';
import type { Config } from './config.ts';
import { loadConfig } from './load.ts';

const DAY_MS = 86_400_000;
let folder: string;
let authority: Authority;
let door: Certificate;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'syncline-listen-tls-'));
  authority = new Authority(folder, 'authority');
  door = authority.issue('door', { names: 'DNS:Sync.example,IP:10.0.0.3', days: 5 });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const load = (listen: object, env: Record<string, string> = {}): Config => {
  writeFileSync(join(folder, 'syncline.yaml'), JSON.stringify({ token: 'default.one', listen }));
  return loadConfig({ env, cwd: folder });
};
const tls = { cert: 'door.pem', key: 'door-key.pem' };

function faultOf(listen: object): string {
  try {
    load(listen);
  } catch (error) {
    return messageOf(error).replaceAll(`${folder}/`, '');
  }
  throw new Error('the configuration was accepted');
}

describe('listen.tls', () => {
  test('with a certificate and its key turns TLS on, and tells for whom and until when', () => {
    const { listen, warnings } = load({ tls });
    expect(listen.tcp).toMatchObject({ host: '0.0.0.0', tls: true });
    expect(listen.tls).toMatchObject({
      ...{ cert: readFileSync(door.cert, 'utf8'), key: readFileSync(door.key, 'utf8') },
      ...{ clientCertificates: 'off', minVersion: 'TLSv1.2', names: ['DNS:sync.example', 'IP:10.0.0.3'] },
      files: { cert: door.cert, key: door.key },
    });
    const expiry = new Date(execFileSync('openssl', ['x509', '-in', door.cert, '-noout', '-enddate'], { encoding: 'utf8' }).split('=')[1]!);
    expect(listen.tls?.expiresAtMs).toBe(expiry.getTime());
    expect(warnings).toEqual([]);
  });

  test('is read from variables as well', () => {
    const env = { SYNCLINE_TLS_CERT: door.cert, SYNCLINE_TLS_KEY: door.key, SYNCLINE_TLS_CLIENT_CA: authority.cert };
    expect(load({}, env).listen).toMatchObject({ tcp: { tls: true }, tls: { clientCertificates: 'required' } });
    expect(load({}, { ...env, SYNCLINE_TCP_TLS: 'off' }).listen.tcp.tls).toBe(false);
    expect(load({}, { ...env, SYNCLINE_TLS_CLIENT_CERTIFICATES: 'off' }).listen.tls?.clientCertificates).toBe('off');
  });

  test('may hold a chain, which ends with the first of its certificates', () => {
    const leaf = authority.issue('long', { days: 30 });
    writeFileSync(join(folder, 'chain.pem'), readFileSync(leaf.cert, 'utf8') + readFileSync(authority.cert, 'utf8'));
    const { listen } = load({ tls: { cert: 'chain.pem', key: 'long-key.pem' } });
    expect(listen.tls?.names).toEqual(['DNS:localhost', 'IP:127.0.0.1']);
    expect((listen.tls?.expiresAtMs ?? 0) - Date.now()).toBeLessThan(3 * DAY_MS);
  });

  test('that has expired does not keep the server from applying what it holds', () => {
    authority.issue('expired', { days: -1 });
    expect(load({ tls: { cert: 'expired.pem', key: 'expired-key.pem' } }).listen.tls?.expiresAtMs).toBeLessThan(Date.now());
  });

  test.each<[string, object, string]>([
    ['cert without key', { tls: { cert: 'door.pem' } }, 'listen.tls.cert: needs key beside it'],
    ['key without cert', { tls: { key: 'door-key.pem' } }, 'listen.tls.key: needs cert beside it'],
    ['clientCa alone', { tls: { clientCa: 'authority.pem' } }, 'listen.tls.clientCa: needs cert beside it'],
    [
      'certificates of clients of nobody',
      { tls: { ...tls, clientCertificates: 'optional' } },
      'listen.tls.clientCertificates: is optional, which needs clientCa',
    ],
    ['no file', { tls: { ...tls, cert: 'nowhere.pem' } }, 'listen.tls.cert: file nowhere.pem does not exist'],
    ['a certificate that is none', { tls: { ...tls, cert: 'door-key.pem' } }, 'listen.tls.cert: names a file without a certificate in PEM'],
    ['a key that is none', { tls: { ...tls, key: 'door.pem' } }, 'listen.tls.key: names a file without a private key in PEM'],
    [
      'authorities that are none',
      { tls: { ...tls, clientCa: 'door-key.pem' } },
      'listen.tls.clientCa: names a file without a certificate in PEM',
    ],
    [
      'the key of another',
      { tls: { ...tls, key: 'authority-key.pem' } },
      'listen.tls.key: is not the key of the first certificate in cert',
    ],
    ['a version that nobody should speak', { tls: { ...tls, minVersion: 'TLSv1.1' } }, 'listen.tls.minVersion: must be TLSv1.2 or TLSv1.3'],
    [
      'an engine that cannot exchange it',
      { tls, web: { engine: 'uws' } },
      'listen.web.engine: is uws, which cannot exchange a certificate',
    ],
    ['TLS without a certificate', { tcp: { tls: true } }, 'listen.tcp.tls: is true, but there is no certificate'],
  ])('is refused with %s', (_, listen, message) => {
    expect(faultOf(listen)).toContain(message);
  });

  test('is refused with a key that has a passphrase, a damaged certificate, and one that is too weak', () => {
    const [cert, key] = [join(folder, 'weak.pem'), join(folder, 'weak-key.pem')];
    const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: 'ignore' });
    openssl('pkey', '-in', door.key, '-aes256', '-passout', 'pass:secret', '-out', join(folder, 'locked.pem'));
    expect(faultOf({ tls: { ...tls, key: 'locked.pem' } })).toContain('listen.tls.key: names a key that has a passphrase');
    writeFileSync(join(folder, 'damaged.pem'), readFileSync(door.cert, 'utf8').replace(/\n.{64}\n/, '\n'));
    expect(faultOf({ tls: { ...tls, cert: 'damaged.pem' } })).toContain('listen.tls.cert: names a file with a damaged certificate');
    openssl('req', '-x509', '-newkey', 'rsa:512', '-nodes', '-keyout', key, '-out', cert, '-subj', '/CN=weak');
    expect(faultOf({ tls: { cert, key } })).toMatch(/listen\.tls\.cert: cannot be used \(.*too small\)/);
  });
});

describe('a door that others reach without TLS', () => {
  const warning = expect.stringContaining('others can reach listen.tcp (0.0.0.0:9501) and listen.web (0.0.0.0:9502) without TLS') as string;

  test.each<[string, object, readonly string[]]>([
    ['is warned of', {}, [warning]],
    ['is warned of where TLS is only for other doors', { tls, tcp: { tls: false }, web: { tls: false } }, [warning]],
    ['is not one on loopback', { tcp: { host: '127.0.0.1' } }, []],
    ['may have a balancer in front of it that ends TLS', { tcp: { proxyFrom: ['10.0.0.3'] }, web: { proxyFrom: ['10.0.0.3'] } }, []],
  ])('%s', (_, listen, warnings) => {
    expect(load(listen).warnings).toEqual(warnings);
  });
});
